"""Putting gradclip's functions in the place of torch's, and torch's own back."""

import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from subprocesses import output_of

import gradclip

torch = pytest.importorskip("torch")

utils = torch.nn.utils
clip_grad = torch.nn.utils.clip_grad

OURS = {
    (utils, "clip_grad_norm_"): gradclip.torch.clip_grad_norm_,
    (utils, "get_total_norm"): gradclip.torch.get_total_norm,
    (utils, "clip_grads_with_norm_"): gradclip.torch.clip_grads_with_norm_,
    (utils, "clip_grad_value_"): gradclip.torch.clip_grad_value_,
    (clip_grad, "clip_grad_norm_"): gradclip.torch.clip_grad_norm_,
    (clip_grad, "_get_total_norm"): gradclip.torch.get_total_norm,
    (clip_grad, "_clip_grads_with_norm_"): gradclip.torch.clip_grads_with_norm_,
    (clip_grad, "clip_grad_value_"): gradclip.torch.clip_grad_value_,
}


def in_place():
    return {place: getattr(*place) for place in OURS}


THEIRS = in_place()


@pytest.fixture(autouse=True)
def torchs_own_functions():
    """Start each test from torch's own functions, and leave them behind."""
    assert in_place() == THEIRS
    yield
    for (module, name), function in THEIRS.items():
        setattr(module, name, function)


@pytest.fixture
def calls(monkeypatch):
    """Names of gradclip's native functions, as they are called."""
    called = []

    def spy(name):
        function = getattr(gradclip._gradclip, name)

        def call(*args):
            called.append(name)
            return function(*args)

        return call

    for name in ("_clip_grad_norm", "_get_total_norm", "_clip_grads_with_norm", "_clip_grad_value"):
        monkeypatch.setattr(gradclip._gradclip, name, spy(name))
    return called


def parameter(*grad):
    result = torch.nn.Parameter(torch.zeros(len(grad)))
    result.grad = torch.tensor(grad)
    return result


def sparse_parameter():
    result = torch.nn.Parameter(torch.zeros(3))
    result.grad = torch.tensor([3.0, 0.0, 4.0]).to_sparse()
    return result


class Weights(torch.nn.Parameter):
    pass


def parameter_of_a_subclass():
    result = Weights(torch.zeros(2))
    result.grad = torch.tensor([3.0, 4.0]).as_subclass(Weights)
    return result


def test_install_replaces_all_names_and_uninstall_puts_the_same_objects_back():
    gradclip.torch.install()
    assert in_place() == OURS
    gradclip.torch.uninstall()
    assert in_place() == THEIRS


def test_no_other_function_of_torch_clips():
    gradclip.torch.install()
    functions = inspect.getmembers(clip_grad, inspect.isfunction)
    left = {name for name, found in functions if found.__module__ == clip_grad.__name__}
    assert left == {"_no_grad", "clip_grad_norm"}  # a decorator; calls clip_grad_norm_


@pytest.mark.parametrize("times", [1, 2, 3])
def test_both_are_idempotent(times):
    for _ in range(2):
        for _ in range(times):
            gradclip.torch.install()
        assert in_place() == OURS
        for _ in range(times):
            gradclip.torch.uninstall()
        assert in_place() == THEIRS


def test_uninstall_without_install_changes_nothing():
    gradclip.torch.uninstall()
    assert in_place() == THEIRS


def test_installed_nests_and_restores():
    with gradclip.torch.installed() as target:
        assert target is None
        assert in_place() == OURS
        with gradclip.torch.installed():
            assert in_place() == OURS
        assert in_place() == OURS
    assert in_place() == THEIRS


def test_installed_restores_on_exceptions():
    with pytest.raises(KeyError), gradclip.torch.installed():
        raise KeyError
    assert in_place() == THEIRS


def test_installed_can_be_a_decorator():
    @gradclip.torch.installed()
    def inside():
        return in_place()

    assert inside() == inside() == OURS
    assert in_place() == THEIRS


def test_installed_keeps_an_outer_install():
    gradclip.torch.install()
    with gradclip.torch.installed():
        pass
    assert in_place() == OURS
    with pytest.raises(KeyError), gradclip.torch.installed():
        raise KeyError
    assert in_place() == OURS


def test_an_uninstall_inside_installed_is_kept():
    with gradclip.torch.installed():
        gradclip.torch.uninstall()
        assert in_place() == THEIRS
    assert in_place() == THEIRS


def test_what_was_patched_over_it_stays(monkeypatch):
    gradclip.torch.install()

    def patch(*args):
        raise AssertionError

    monkeypatch.setattr(utils, "clip_grad_norm_", patch)
    monkeypatch.setattr(clip_grad, "_get_total_norm", patch)
    gradclip.torch.uninstall()
    patched = {(utils, "clip_grad_norm_"): patch, (clip_grad, "_get_total_norm"): patch}
    assert in_place() == THEIRS | patched


def test_what_was_patched_under_it_comes_back(monkeypatch):
    def patch(*args):
        raise AssertionError

    monkeypatch.setattr(utils, "clip_grad_norm_", patch)
    with gradclip.torch.installed():
        assert in_place() == OURS
    assert in_place() == THEIRS | {(utils, "clip_grad_norm_"): patch}


def test_a_function_imported_by_name_before_goes_through_gradclips_halves(calls):
    by_name = THEIRS[utils, "clip_grad_norm_"]
    weight = parameter(3.0, 4.0)
    assert by_name([weight], 10.0) == 5.0
    assert calls == []
    with gradclip.torch.installed():
        assert by_name([weight], 1.0) == 5.0
    assert calls == ["_get_total_norm", "_clip_grads_with_norm"]
    expected = parameter(3.0, 4.0)
    gradclip.torch.clip_grad_norm_([expected], 1.0)
    torch.testing.assert_close(weight.grad, expected.grad, rtol=2e-7, atol=0)


def test_the_replaced_functions_are_called(calls):
    weight = parameter(3.0, 4.0)
    with gradclip.torch.installed():
        assert utils.clip_grad_norm_(weight, 1.0) == 5.0
        utils.clip_grads_with_norm_(weight, 1.0, utils.get_total_norm([weight.grad]))
        utils.clip_grad_value_(weight, 0.5)
    assert calls == [
        *("_clip_grad_norm", "_get_total_norm", "_clip_grads_with_norm", "_clip_grad_value")
    ]


def test_the_deprecated_function_works(calls):
    weight = parameter(3.0, 4.0)
    with gradclip.torch.installed(), pytest.warns(FutureWarning, match="clip_grad_norm_"):
        assert utils.clip_grad_norm([weight], 1.0) == 5.0
    assert calls == ["_clip_grad_norm"]
    torch.testing.assert_close(weight.grad, torch.tensor([0.6, 0.8]))


def calls_left_to_torch():
    def clip_norm():
        weight = parameter_of_a_subclass()
        return utils.clip_grad_norm_([weight], 1.0), weight.grad

    def clip_with_norm():
        weight = sparse_parameter()
        utils.clip_grads_with_norm_([weight], 1.0, torch.tensor(5.0), foreach=False)
        return weight.grad.to_dense()

    def clip_value():
        weight = parameter(3.0, -4.0)
        utils.clip_grad_value_([weight, weight], 1.0)
        return weight.grad

    def twice():
        weight = parameter(3.0, 4.0)
        return utils.clip_grad_norm_([weight, weight], 1.0), weight.grad

    def zeroth():
        return utils.get_total_norm([torch.ones(3), torch.ones(2)], 0)

    return [clip_norm, clip_with_norm, clip_value, twice, zeroth]


@pytest.mark.parametrize("call", calls_left_to_torch(), ids=lambda call: call.__name__)
def test_a_call_left_to_torch_has_torchs_result_and_counts_once(call):
    expected = call()
    before = gradclip.torch.handed_over()
    with gradclip.torch.installed():
        found = call()
    assert gradclip.torch.handed_over() - before == 1
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_torchs_errors_come_through_once():
    bad = [torch.ones(2), "no tensor"]
    with pytest.raises((AttributeError, RuntimeError, TypeError)) as expected:
        utils.get_total_norm(bad)
    before = gradclip.torch.handed_over()
    with gradclip.torch.installed(), pytest.raises(type(expected.value)) as found:
        utils.get_total_norm(bad)
    assert str(found.value) == str(expected.value)
    assert gradclip.torch.handed_over() - before == 1


def test_threads_that_install_and_clip_at_once():
    start = threading.Barrier(8)

    def run(i):
        start.wait()
        for _ in range(100):
            if i % 2:
                gradclip.torch.install()
            weight = parameter(3.0, 4.0)
            assert utils.clip_grad_norm_([weight], 1.0) == 5.0
            torch.testing.assert_close(weight.grad, torch.tensor([0.6, 0.8]))
            if i % 4 == 1:
                gradclip.torch.uninstall()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    gradclip.torch.uninstall()
    assert in_place() == THEIRS


def test_a_block_leaves_an_outer_install_that_was_patched_over_alone(monkeypatch):
    gradclip.torch.install()
    monkeypatch.setattr(utils, "clip_grad_norm_", print)
    with gradclip.torch.installed():
        assert utils.clip_grad_norm_ is gradclip.torch.clip_grad_norm_
    assert utils.clip_grad_norm_ is print
    assert utils.get_total_norm is gradclip.torch.get_total_norm


def test_what_stood_between_two_installs_is_not_put_back():
    gradclip.torch.install()
    utils.clip_grad_norm_ = print
    gradclip.torch.install()
    gradclip.torch.uninstall()
    assert in_place() == THEIRS


def test_threads_count_what_they_leave_to_torch():
    before = gradclip.torch.handed_over()

    def run(_):
        for _ in range(50):
            gradclip.torch.get_total_norm([torch.ones(2), torch.ones(1)], 0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    assert gradclip.torch.handed_over() - before == 8 * 50


def test_torch_is_imported_when_gradclip_torch_is_asked_for():
    code = """
    import sys
    import gradclip
    before = [name in sys.modules for name in ("torch", "gradclip.torch")]
    gradclip.torch.handed_over()
    print(before, "torch" in sys.modules, gradclip.torch is sys.modules["gradclip.torch"])
    """
    assert output_of(code) == "[False, False] True True"


def test_without_torch_only_gradclip_torch_fails():
    code = """
    import sys
    sys.modules["torch"] = None
    import gradclip
    import numpy as np
    print(gradclip.clip_by_global_norm_([np.ones(4)], 1.0))
    for _ in range(2):
        try:
            gradclip.torch
        except ImportError as error:
            print(error.name)
    print(gradclip.global_norm([np.ones(4)]))
    """
    assert output_of(code).split() == ["2.0", "torch", "torch", "2.0"]


def test_other_attributes_do_not_exist():
    with pytest.raises(AttributeError, match="no_such"):
        gradclip.no_such  # noqa: B018
