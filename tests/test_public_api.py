"""The public surface is frozen: names, signatures and types."""

import importlib.metadata
import inspect
import pathlib

import numpy as np
import pytest

import gradclip

SIGNATURES = {
    "global_norm": "(grads, *, ord=2.0)",
    "array_norms": "(grads, *, ord=2.0)",
    "clip_by_global_norm_": (
        "(grads, max_norm, *, ord=2.0, eps=0.0, inv_scale=1.0, nonfinite='raise')"
    ),
    "clip_by_global_norm": (
        "(grads, max_norm, *, ord=2.0, eps=0.0, inv_scale=1.0, nonfinite='raise')"
    ),
    "clip_with_norm_": "(grads, max_norm, total_norm, *, eps=0.0)",
    "scale_": "(grads, factor)",
    "clip_by_norm_": "(grads, max_norm, *, ord=2.0, axis=None, eps=0.0, nonfinite='raise')",
    "clip_by_norm": "(grads, max_norm, *, ord=2.0, axis=None, eps=0.0, nonfinite='raise')",
    "clip_by_value_": "(grads, low, high)",
    "clip_by_value": "(grads, low, high)",
    "adaptive_grad_clip_": "(grads, params, clipping=0.01, *, eps=0.001, axis=None)",
    "clip_per_example_": "(grads, max_norm, *, nonfinite='raise')",
    "clip_per_example_sum": "(grads, max_norm, *, nonfinite='raise')",
    "sgd_step_": (
        "(params, grads, lr, *, max_norm=None, momentum=0.0, nesterov=False, velocity=None, "
        "weight_decay=0.0, inv_scale=1.0, nonfinite='raise')"
    ),
    "grad_stats": "(grads)",
    "set_num_threads": "(n)",
    "get_num_threads": "()",
    "threads": "(n)",
    "show_config": "(mode='stdout')",
}

MODULES = {
    "monitor": {
        "NormHistory": "(path=None)",
        "NormPercentile": "(percentile, norm, clip_rate)",
        "NormSummary": "(steps, clip_rate, nonfinite, percentiles)",
    },
    "thresholds": {
        "AutoClip": "(percentile=10.0, window=None)",
        "ZClip": "(alpha=0.97, z_thresh=2.5, warmup_steps=25)",
    },
}

PUBLIC = {*SIGNATURES, *MODULES, "GradStats", "NonFiniteNormError", "__version__"}

ARGUMENTS = {
    "global_norm": {},
    "array_norms": {},
    "clip_by_global_norm_": {"max_norm": 1.0},
    "clip_by_global_norm": {"max_norm": 1.0},
    "clip_with_norm_": {"max_norm": 1.0, "total_norm": 2.0},
    "scale_": {"factor": 2.0},
    "clip_by_norm_": {"max_norm": 1.0},
    "clip_by_norm": {"max_norm": 1.0},
    "clip_by_value_": {"low": -1.0, "high": 0.5},
    "clip_by_value": {"low": -1.0, "high": 0.5},
    "clip_per_example_": {"max_norm": 1.0},
    "clip_per_example_sum": {"max_norm": 1.0},
    "grad_stats": {},
}


def test_public_names_are_these():
    assert set(gradclip.__all__) == PUBLIC
    assert len(gradclip.__all__) == len(PUBLIC)
    assert set(dir(gradclip)) == PUBLIC


def test_a_star_import_gives_the_public_names():
    namespace = {}
    exec("from gradclip import *", namespace)
    assert set(namespace) - {"__builtins__"} == PUBLIC


def signature_of(item):
    signature = inspect.signature(item)
    without_types = signature.replace(
        parameters=[p.replace(annotation=p.empty) for p in signature.parameters.values()],
        return_annotation=signature.empty,
    )
    return str(without_types)


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name):
    assert signature_of(getattr(gradclip, name)) == SIGNATURES[name]


@pytest.mark.parametrize("name", MODULES)
def test_modules_have_these_classes(name):
    module = getattr(gradclip, name)
    assert module.__all__ == sorted(MODULES[name])
    for class_name, signature in MODULES[name].items():
        item = getattr(module, class_name)
        assert item.__module__ == f"gradclip.{name}"
        assert signature_of(item) == signature
        assert all(getattr(item, name).__doc__ for name in vars(item) if name[0] != "_")


@pytest.mark.parametrize("name", sorted(PUBLIC - MODULES.keys() - {"__version__"}))
def test_module_and_name(name):
    item = getattr(gradclip, name)
    assert item.__module__ == "gradclip"
    assert item.__name__ == item.__qualname__ == name


@pytest.mark.parametrize("name", SIGNATURES)
def test_docstrings(name):
    doc = inspect.getdoc(getattr(gradclip, name))
    summary = doc.splitlines()[0]
    assert summary.endswith(".")
    assert "Examples\n--------\n" in doc
    if inspect.isroutine(getattr(gradclip, name)) and SIGNATURES[name] != "()":
        assert "Parameters\n----------\n" in doc
        assert "Raises\n------\n" in doc
        for parameter in inspect.signature(getattr(gradclip, name)).parameters:
            assert f"\n{parameter} : " in doc or f", {parameter}" in doc or f"{parameter}, " in doc
    if name in ARGUMENTS and name != "scale_":
        assert "Returns\n-------\n" in doc


def test_the_version_is_that_of_the_distribution():
    assert gradclip.__version__ == importlib.metadata.version("gradclip")


def test_types_are_shipped():
    package = pathlib.Path(gradclip.__file__).parent
    assert (package / "py.typed").is_file()
    assert (package / "_gradclip.pyi").is_file()


def test_the_error_class():
    assert issubclass(gradclip.NonFiniteNormError, ArithmeticError)
    assert not issubclass(gradclip.NonFiniteNormError, ValueError)
    assert gradclip.NonFiniteNormError.__bases__ == (ArithmeticError,)


class TestCalls:
    @pytest.mark.parametrize("name", ARGUMENTS)
    def test_arguments_by_name(self, name):
        function = getattr(gradclip, name)
        positional = function([np.ones(4)], *ARGUMENTS[name].values())
        assert str(function(grads=[np.ones(4)], **ARGUMENTS[name])) == str(positional)

    @pytest.mark.parametrize("name", ARGUMENTS)
    def test_options_by_position_are_refused(self, name):
        with pytest.raises(TypeError, match=name):
            getattr(gradclip, name)([np.ones(4)], *ARGUMENTS[name].values(), 2.0)

    @pytest.mark.parametrize("name", ARGUMENTS)
    def test_missing_arguments_are_refused(self, name):
        with pytest.raises(TypeError, match="grads"):
            getattr(gradclip, name)()
        for missing in ARGUMENTS[name]:
            given = {key: value for key, value in ARGUMENTS[name].items() if key != missing}
            with pytest.raises(TypeError, match=missing):
                getattr(gradclip, name)([np.ones(4)], **given)

    def test_errors_count_arguments(self):
        missing = r"^scale_\(\) missing required argument "
        with pytest.raises(TypeError, match=missing + r"'grads' \(pos 1\)$"):
            gradclip.scale_(factor=1.0)
        with pytest.raises(TypeError, match=missing + r"'factor' \(pos 2\)$"):
            gradclip.scale_([])
        with pytest.raises(TypeError, match=r"takes 2 positional arguments but 3 were given$"):
            gradclip.scale_([], 1.0, 2.0)

    @pytest.mark.parametrize("name", ["sgd_step_", "adaptive_grad_clip_"])
    def test_updates_take_three_arguments_by_position(self, name):
        with pytest.raises(TypeError, match=rf"^{name}\(\) takes 3 positional arguments but 4 "):
            getattr(gradclip, name)([], [], 0.1, 1.0)
        with pytest.raises(TypeError, match=r"missing required argument '\w+' \(pos 2\)$"):
            getattr(gradclip, name)([])

    @pytest.mark.parametrize("name", ARGUMENTS)
    def test_unknown_arguments_are_refused(self, name):
        with pytest.raises(TypeError, match="no_such"):
            getattr(gradclip, name)([np.ones(4)], **ARGUMENTS[name], no_such=1)

    @pytest.mark.parametrize("name", ARGUMENTS)
    def test_an_argument_given_twice_is_refused(self, name):
        with pytest.raises(TypeError, match="grads"):
            getattr(gradclip, name)([np.ones(4)], **ARGUMENTS[name], grads=[np.ones(4)])

    @pytest.mark.parametrize("arguments", [(), (1, 2), (None,)], ids=repr)
    def test_arguments_of_set_num_threads(self, arguments):
        with pytest.raises(TypeError):
            gradclip.set_num_threads(*arguments)

    def test_get_num_threads_takes_none(self):
        with pytest.raises(TypeError, match="get_num_threads"):
            gradclip.get_num_threads(1)

    def test_names_that_are_not_interned(self):
        options = {"".join(["e", "ps"]): 0.5, "".join(["non", "finite"]): "".join(["sk", "ip"])}
        options["".join(["gr", "ads"])] = np.array([np.nan])
        gradclip.clip_by_global_norm_(max_norm=1.0, **options)


class TestShowConfig:
    def test_the_dicts(self):
        config = gradclip.show_config("dicts")
        assert set(config) == {"version", "isa", "threads", "compiler"}
        assert config["version"] == gradclip.__version__
        assert set(config["isa"]) == {"in_use", "available", "not_built"}
        assert config["isa"]["in_use"] in config["isa"]["available"]
        assert config["isa"]["available"][-1] == "scalar"
        assert not set(config["isa"]["available"]) & set(config["isa"]["not_built"])
        assert config["compiler"]

    def test_printing_is_the_default(self, capsys):
        assert gradclip.show_config() is None
        printed = capsys.readouterr().out
        assert gradclip.__version__ in printed
        assert gradclip.show_config("dicts")["isa"]["in_use"] in printed
        assert gradclip.show_config(mode="stdout") is None
        assert capsys.readouterr().out == printed

    @pytest.mark.parametrize("mode", ["", "json", "DICTS"])
    def test_other_modes_are_refused(self, mode):
        with pytest.raises(ValueError, match="dicts"):
            gradclip.show_config(mode)

    def test_the_result_belongs_to_the_caller(self):
        gradclip.show_config("dicts")["isa"]["available"].clear()
        assert gradclip.show_config("dicts")["isa"]["available"]


def test_unknown_instruction_sets_are_refused_by_the_hook():
    before = gradclip.show_config("dicts")["isa"]["in_use"]
    with pytest.raises(ValueError, match="mmx"):
        gradclip._gradclip._set_isa("mmx")
    assert gradclip.show_config("dicts")["isa"]["in_use"] == before
