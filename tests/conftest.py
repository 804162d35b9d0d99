"""Fixtures for every instruction set, thread count and dtype, and the guard over them."""

import os

import dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import gradclip

ISAS = gradclip.show_config("dicts")["isa"]["available"]

_HYPOTHESIS = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
settings.register_profile("default", max_examples=40, derandomize=True, **_HYPOTHESIS)
settings.register_profile("explore", max_examples=5000, **_HYPOTHESIS)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(autouse=True)
def process_state():
    """Restore the instruction set and the thread count after each test."""
    isa, threads = gradclip.show_config("dicts")["isa"]["in_use"], gradclip.get_num_threads()
    yield
    gradclip._gradclip._set_isa(isa)
    gradclip.set_num_threads(threads)


@pytest.fixture(params=ISAS)
def isa(request):
    """Run a test once for each instruction set that this machine supports."""
    gradclip._gradclip._set_isa(request.param)
    assert gradclip.show_config("dicts")["isa"]["in_use"] == request.param
    request.node.user_properties.append(("isa", request.param))
    return request.param


@pytest.fixture(params=[1, 2, 3, 8], ids=lambda count: f"{count}threads")
def num_threads(request):
    """Run a test with each thread count."""
    gradclip.set_num_threads(request.param)
    return request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Run a test for each dtype whose arrays are clipped to an exact bound, one number each."""
    return np.dtype(request.param)


@pytest.fixture(params=dtypes.ALL, ids=str)
def any_dtype(request):
    """Run a test for each dtype that gradients may have."""
    return request.param


@pytest.fixture
def rng():
    """Return a generator that gives every run the same numbers."""
    return np.random.default_rng(20240229)


def pytest_configure(config):
    config.addinivalue_line("markers", "large: needs more than 200 MB of memory")
    config.pluginmanager.register(_IsaGuard(), "isa-guard")


class _IsaGuard:
    """Fails a run of the whole suite in which a supported instruction set ran no test."""

    def __init__(self):
        self._tested = set()
        self._missing = set()

    def pytest_runtest_logreport(self, report):
        if report.when == "call" and not report.skipped:
            self._tested.update(value for name, value in report.user_properties if name == "isa")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session):
        if session.exitstatus == pytest.ExitCode.OK and _is_whole_suite(session.config):
            self._missing = set(ISAS) - self._tested
        if self._missing:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        for isa in sorted(self._missing):
            terminalreporter.write_line(f"ERROR: instruction set {isa} ran no test", red=True)


def _is_whole_suite(config):
    if hasattr(config, "workerinput"):  # an xdist worker sees a part only
        return False
    option = config.option
    here = os.path.dirname(__file__)
    folders = {os.path.abspath(arg) for arg in config.args}
    narrowed = option.keyword or option.markexpr or option.collectonly or option.deselect
    narrowed = narrowed or getattr(option, "lf", False)
    return not narrowed and not folders.isdisjoint({here, os.path.dirname(here)})
