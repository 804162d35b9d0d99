"""inv_scale: gradients that came multiplied by a loss scale are unscaled in the same call."""

import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
from buffers import same_bits, unchanged
from dtypes import finfo, normals, reals, times
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import gradients, thresholds

import gradclip

pytestmark = pytest.mark.usefixtures("isa")


@pytest.fixture
def grads(dtype, rng):
    return [normals(rng, size, dtype) for size in (3, 700, 20_000)]


@pytest.fixture
def any_grads(any_dtype, rng):
    return [normals(rng, size, any_dtype) for size in (3, 700, 20_000)]


def test_one_is_the_plain_clip(grads):
    norm = gradclip.global_norm(grads)
    with unchanged(*grads):
        assert gradclip.clip_by_global_norm_(grads, norm, inv_scale=1) == norm


@pytest.mark.parametrize("inv_scale", [2.0**-16, 0.5, 8.0])
@pytest.mark.parametrize("order", [1, 2, 3, math.inf])
def test_unclipped_gradients_are_multiplied(inv_scale, order, any_grads):
    expected = [times(array, inv_scale) for array in any_grads]
    norm = gradclip.global_norm(any_grads, ord=order) * inv_scale
    assert gradclip.clip_by_global_norm_(any_grads, 1e9, ord=order, inv_scale=inv_scale) == norm
    assert all(map(same_bits, any_grads, expected))


@pytest.mark.parametrize("inv_scale", [1 / 3, 1e-5, math.pi])
def test_unclipped_products_are_within_two_roundings(inv_scale, any_grads, any_dtype):
    before = [reals(array) for array in any_grads]
    gradclip.clip_by_global_norm_(any_grads, math.inf, inv_scale=inv_scale)
    eps, subnormal = float(finfo(any_dtype).eps), float(finfo(any_dtype).smallest_subnormal)
    for new, old in zip(any_grads, before, strict=True):
        np.testing.assert_allclose(reals(new), old * inv_scale, 2 * eps, subnormal)


@pytest.mark.parametrize("inv_scale", [1e-40, 2.0**-149, 2.0**-160])
def test_a_scale_that_float32_holds_badly_or_not_multiplies_just_as_well(inv_scale):
    grads = np.array([2.0**100, -3e38, 0.0], np.float32)
    expected = grads * np.float64(inv_scale)
    gradclip.clip_by_global_norm_(grads, math.inf, inv_scale=inv_scale)
    np.testing.assert_allclose(grads, expected, rtol=2.0**-22)


@pytest.mark.parametrize("inv_scale", [1 / 3, 1e-5, math.pi, 1e30])
def test_the_norm_is_that_of_the_multiplied_gradients(inv_scale, grads, dtype):
    squares = oracle.square_sum(*grads) * Fraction(inv_scale) ** 2
    norm = gradclip.clip_by_global_norm_(grads, 0.5, inv_scale=inv_scale)
    one_ulp_and_a_rounding = Fraction(3, 2**53)
    error = oracle.NORM_ERROR if dtype == np.float32 else one_ulp_and_a_rounding
    assert oracle.is_within(Fraction(norm), squares, error)


@given(gradients(), st.floats(2.0**-100, 2.0**100), st.data())
def test_the_exact_norm_written_is_never_above_the_threshold(grads, inv_scale, data):
    norm = float(gradclip.global_norm(grads) * inv_scale)
    assume(1e-290 < norm < 1e300)
    max_norm = data.draw(thresholds(norm))
    returned = gradclip.clip_by_global_norm_(grads, max_norm, inv_scale=inv_scale)
    if returned > max_norm:
        oracle.assert_norm_is_bounded(grads, max_norm)


def test_clipped_gradients_have_the_threshold_as_norm(grads):
    for inv_scale in (1 / 3, 2.0**-10, 1e5):
        gradclip.scale_(grads, 1 / inv_scale)
        assert gradclip.clip_by_global_norm_(grads, 0.5, inv_scale=inv_scale) > 0.5
        oracle.assert_norm_is_bounded(grads, 0.5)
        oracle.assert_norm_is_tight(grads, 0.5)
        gradclip.scale_(grads, 3.0)


def test_the_decision_is_about_the_multiplied_norm():
    grads = np.full(4, 8.0)  # norm 16
    assert gradclip.clip_by_global_norm_(grads, 4.0, inv_scale=0.25) == 4.0
    assert (grads == 2.0).all()
    assert gradclip.clip_by_global_norm_(grads, 7.0, inv_scale=2.0) == 8.0
    oracle.assert_norm_is_bounded([grads], 7.0)
    oracle.assert_norm_is_tight([grads], 7.0)


def test_eps_is_added_to_the_multiplied_norm():
    grads = np.full(4, 8.0)
    gradclip.clip_by_global_norm_(grads, 1.0, inv_scale=0.25, eps=1.0)
    np.testing.assert_allclose(grads, 8 * 0.25 / 5, rtol=2.0**-50)


def test_multiplied_values_may_pass_the_range_of_float32():
    grads = np.full(4, 2.0**100, np.float32)
    assert gradclip.clip_by_global_norm_(grads, 1.0, inv_scale=2.0**100) == 2.0**201
    oracle.assert_norm_is_bounded([grads], 1.0)
    oracle.assert_norm_is_tight([grads], 1.0)


def test_a_scale_below_float32_can_still_clip():
    grads = np.full(4, 2.0**100, np.float32)
    assert gradclip.clip_by_global_norm_(grads, 2.0**-60, inv_scale=2.0**-160) == 2.0**-59
    oracle.assert_norm_is_bounded([grads], 2.0**-60)
    oracle.assert_norm_is_tight([grads], 2.0**-60)


def test_the_callable_gets_the_multiplied_norm():
    norms = []
    gradclip.clip_by_global_norm_(
        np.full(4, 8.0), lambda norm: norms.append(norm) or 1.0, inv_scale=0.25
    )
    assert norms == [4.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_skip_leaves_the_gradients_scaled_as_they_came(bad, any_dtype):
    grads = [np.ones(5, any_dtype), np.array([1.0, bad], any_dtype)]
    with unchanged(*grads):
        norm = gradclip.clip_by_global_norm_(grads, 1.0, inv_scale=0.5, nonfinite="skip")
    assert not math.isfinite(norm)


def test_non_finite_gradients_raise_and_stay(any_dtype):
    grads = [np.ones(5, any_dtype), np.array([1.0, math.inf], any_dtype)]
    with unchanged(*grads), pytest.raises(gradclip.NonFiniteNormError) as error:
        gradclip.clip_by_global_norm_(grads, 1.0, inv_scale=0.5)
    assert error.value.path == "grads[1]"


def test_zero_and_propagate(any_dtype):
    grads = np.array([1.0, math.inf], any_dtype)
    assert gradclip.clip_by_global_norm_(grads, 1.0, inv_scale=0.5, nonfinite="propagate") == (
        math.inf
    )
    assert grads[0] == 0
    assert np.isnan(grads[1])
    gradclip.clip_by_global_norm_(grads, 1.0, inv_scale=0.5, nonfinite="zero")
    assert grads.tobytes() == bytes(grads.nbytes)


def test_a_multiplied_norm_that_overflows_raises():
    grads = [np.full(3, 1e200)]
    with (
        unchanged(*grads),
        pytest.raises(gradclip.NonFiniteNormError, match="too large") as error,
    ):
        gradclip.clip_by_global_norm_(grads, 1.0, inv_scale=1e200)
    assert error.value.path is None


def test_a_zero_threshold_stores_positive_zeros(any_dtype):
    grads = np.array([-1.0, 2.0, -0.0], any_dtype)
    assert gradclip.clip_by_global_norm_(grads, 0.0, inv_scale=0.5) == pytest.approx(5**0.5 / 2)
    assert grads.tobytes() == bytes(grads.nbytes)


def test_functional_clip_unscales_the_copies(any_grads):
    with unchanged(*any_grads):
        clipped, norm = gradclip.clip_by_global_norm(any_grads, 0.5, inv_scale=1 / 3)
    assert gradclip.clip_by_global_norm_(any_grads, 0.5, inv_scale=1 / 3) == norm
    assert all(map(same_bits, clipped, any_grads))


@pytest.mark.parametrize("inv_scale", [1e39, 3.4028235677973366e38])
def test_a_scale_past_float32_is_refused_for_an_array_computed_in_float32(inv_scale, any_dtype):
    grads = {"wide": np.ones(3), "w": [np.full(3, 2.0**-20, any_dtype)]}
    arrays = [grads["wide"], grads["w"][0]]
    if finfo(any_dtype).bits == 64:
        gradclip.clip_by_global_norm_(grads, math.inf, inv_scale=inv_scale)
        assert (arrays[1] == 2.0**-20 * inv_scale).all()
        return
    for clip in (gradclip.clip_by_global_norm_, gradclip.clip_by_global_norm):
        with unchanged(*arrays), pytest.raises(ValueError, match=r"grads\['w'\]\[0\]"):
            clip(grads, math.inf, inv_scale=inv_scale)
