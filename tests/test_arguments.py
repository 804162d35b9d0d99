"""Options out of range or of the wrong type: an error that names them, and nothing written."""

import math

import numpy as np
import pytest
from buffers import unchanged

import gradclip

CLIPS = [gradclip.clip_by_global_norm_, gradclip.clip_by_global_norm]
WITH_ORD = [gradclip.global_norm, gradclip.array_norms]
ORDERS = [1, 3, 0.5, math.inf, np.float32(1.5), 2.0000000000000004, 1e308, 5e-324]
NO_NUMBERS = ["1", None, 1j, [1.0], (), b"1", {}, object(), np.array([1.0, 2.0])]


def type_name(value):
    return type(value).__name__


@pytest.fixture
def grads(dtype):
    return [np.full(4, 2.0, dtype), {"w": np.full((3, 5), -1.0, dtype)}]


@pytest.fixture(autouse=True)
def nothing_is_written(grads):
    with unchanged(grads[0], grads[1]["w"]):
        yield


@pytest.mark.parametrize("clip", CLIPS)
class TestClips:
    @pytest.mark.parametrize("max_norm", [-1.0, -1, np.float32(-1), -5e-324, math.nan, -math.inf])
    def test_max_norm_out_of_range(self, clip, max_norm, grads):
        with pytest.raises(ValueError, match="max_norm"):
            clip(grads, max_norm)

    @pytest.mark.parametrize("max_norm", NO_NUMBERS, ids=type_name)
    def test_max_norm_that_is_no_number(self, clip, max_norm, grads):
        with pytest.raises(TypeError, match="max_norm"):
            clip(grads, max_norm)

    @pytest.mark.parametrize("eps", [-1.0, -5e-324, math.nan, math.inf, -math.inf])
    def test_eps_out_of_range(self, clip, eps, grads):
        with pytest.raises(ValueError, match="eps"):
            clip(grads, 1.0, eps=eps)

    @pytest.mark.parametrize("inv_scale", [0.0, -0.0, -1.0, math.nan, math.inf, -math.inf])
    def test_inv_scale_out_of_range(self, clip, inv_scale, grads):
        with pytest.raises(ValueError, match="inv_scale"):
            clip(grads, 1.0, inv_scale=inv_scale)

    @pytest.mark.parametrize("name", ["ord", "eps", "inv_scale"])
    @pytest.mark.parametrize("value", NO_NUMBERS, ids=type_name)
    def test_number_that_is_none(self, clip, name, value, grads):
        with pytest.raises(TypeError, match=name):
            clip(grads, 1.0, **{name: value})

    @pytest.mark.parametrize("nonfinite", ["", "ignore", "RAISE", "raise ", "Zero", "\0"])
    def test_unknown_policy(self, clip, nonfinite, grads):
        with pytest.raises(ValueError, match="nonfinite") as error:
            clip(grads, 1.0, nonfinite=nonfinite)
        assert all(word in str(error.value) for word in ("raise", "skip", "zero", "propagate"))

    @pytest.mark.parametrize("nonfinite", [None, True, 0, b"raise", ["raise"]], ids=repr)
    def test_policy_that_is_no_string(self, clip, nonfinite, grads):
        with pytest.raises(TypeError, match="nonfinite"):
            clip(grads, 1.0, nonfinite=nonfinite)

    @pytest.mark.parametrize("order", [0, 0.0, -0.0, -1, -2.0, -math.inf, math.nan])
    def test_ord_out_of_range(self, clip, order, grads):
        with pytest.raises(ValueError, match="ord"):
            clip(grads, 1.0, ord=order)

    @pytest.mark.parametrize("order", ORDERS)
    def test_any_positive_number_is_an_order(self, clip, order, grads):
        norm = gradclip.global_norm(grads, ord=order)
        assert norm >= 2
        returned = clip(grads, math.inf, ord=order, nonfinite="skip")
        assert (returned[1] if isinstance(returned, tuple) else returned) == norm


@pytest.mark.parametrize("function", WITH_ORD)
class TestNorms:
    @pytest.mark.parametrize("order", [0, -0.0, -1, -math.inf, math.nan])
    def test_ord_out_of_range(self, function, order, grads):
        with pytest.raises(ValueError, match="ord"):
            function(grads, ord=order)

    @pytest.mark.parametrize("order", ORDERS)
    def test_any_positive_number_is_an_order(self, function, order, grads):
        assert np.all(np.asarray(function(grads, ord=order)) >= 1)

    @pytest.mark.parametrize("order", [3, 3.0, np.float32(3), np.int8(3), np.array(3.0)], ids=repr)
    def test_three_of_any_type(self, function, order, grads):
        assert np.array_equal(function(grads, ord=order), function(grads, ord=3.0))

    def test_true_is_one(self, function, grads):
        assert np.array_equal(function(grads, ord=True), function(grads, ord=1))

    @pytest.mark.parametrize("order", ["2", "inf", None, 2j, [2]], ids=repr)
    def test_ord_that_is_no_number(self, function, order, grads):
        with pytest.raises(TypeError, match="ord"):
            function(grads, ord=order)

    @pytest.mark.parametrize("order", [2, 2.0, np.float32(2), np.int64(2)], ids=repr)
    def test_two_of_any_type(self, function, order, grads):
        assert np.array_equal(function(grads, ord=order), function(grads))


class TestClipWithNorm:
    @pytest.mark.parametrize("max_norm", [-1.0, math.nan, -math.inf])
    def test_max_norm_out_of_range(self, max_norm, grads):
        with pytest.raises(ValueError, match="max_norm"):
            gradclip.clip_with_norm_(grads, max_norm, 1.0)

    @pytest.mark.parametrize("eps", [-1.0, math.nan, math.inf])
    def test_eps_out_of_range(self, eps, grads):
        with pytest.raises(ValueError, match="eps"):
            gradclip.clip_with_norm_(grads, 1.0, 2.0, eps=eps)

    @pytest.mark.parametrize("value", NO_NUMBERS, ids=type_name)
    def test_number_that_is_none(self, value, grads):
        with pytest.raises(TypeError, match="max_norm"):
            gradclip.clip_with_norm_(grads, value, 2.0)
        with pytest.raises(TypeError, match="total_norm"):
            gradclip.clip_with_norm_(grads, 1.0, value)
        with pytest.raises(TypeError, match="eps"):
            gradclip.clip_with_norm_(grads, 1.0, 2.0, eps=value)

    def test_a_callable_is_no_threshold_here(self, grads):
        with pytest.raises(TypeError, match="max_norm"):
            gradclip.clip_with_norm_(grads, lambda norm: 1.0, 2.0)


def test_an_error_in_the_conversion_of_a_number_passes_through(grads):
    class Broken:
        def __float__(self):
            raise ZeroDivisionError("from __float__")

    with pytest.raises(ZeroDivisionError, match="from __float__"):
        gradclip.clip_by_global_norm_(grads, Broken())


NO_RATES = [-1.0, -5e-324, math.nan, math.inf]
OUT_OF_RANGE = {
    "max_norm": [-1.0, math.nan, -math.inf],
    "ord": [0, -0.0, -1, math.nan],
    "inv_scale": [0.0, -1.0, math.nan, math.inf],
    "nonfinite": ["", "RAISE", "zero "],
    "eps": NO_RATES,
    "clipping": NO_RATES,
    "lr": NO_RATES,
    "momentum": NO_RATES,
    "weight_decay": NO_RATES,
}

# Calls of gradients, their necessary arguments, and what others they take.
WITH_OPTIONS = {
    "clip_by_norm_": ({"max_norm": 1.0}, "ord eps nonfinite"),
    "clip_by_norm": ({"max_norm": 1.0}, "ord eps nonfinite"),
    "clip_per_example_": ({"max_norm": 1.0}, "nonfinite"),
    "clip_per_example_sum": ({"max_norm": 1.0}, "nonfinite"),
    "adaptive_grad_clip_": ({"params": None}, "clipping eps"),
    "sgd_step_": (
        {"params": None, "lr": 0.5},
        "max_norm momentum weight_decay inv_scale nonfinite",
    ),
}


@pytest.mark.parametrize("name", WITH_OPTIONS)
class TestEveryOption:
    def given(self, name, grads):
        """Return valid arguments, and the names of all numbers and policies."""
        necessary, others = WITH_OPTIONS[name]
        if "params" in necessary:
            params = [np.full(4, 2.0, grads[0].dtype), {"w": np.full((3, 5), 2.0, grads[0].dtype)}]
            necessary = necessary | {"params": params, "grads": grads}
        numbers = [key for key in necessary if key in OUT_OF_RANGE]
        return {"grads": grads} | necessary, [*numbers, *others.split()]

    def test_what_is_out_of_range_is_named(self, name, grads):
        given, options = self.given(name, grads)
        for option in options:
            for value in OUT_OF_RANGE[option]:
                with pytest.raises(ValueError, match=option):
                    getattr(gradclip, name)(**given | {option: value})

    def test_what_is_no_number_is_named(self, name, grads):
        given, options = self.given(name, grads)
        for option in options:
            for value in NO_NUMBERS:
                if name == "sgd_step_" and option == "max_norm" and value is None:
                    continue  # no threshold
                error = (ValueError, TypeError) if option == "nonfinite" else TypeError
                with pytest.raises(error, match=option):
                    getattr(gradclip, name)(**given | {option: value})
