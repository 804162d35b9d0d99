"""scale_: every element times a factor, to nearest."""

import math

import numpy as np
import pytest
from buffers import same_bits, unchanged
from hypothesis import given
from hypothesis import strategies as st
from strategies import gradients

import gradclip

pytestmark = pytest.mark.usefixtures("isa")


def scaled(array, factor):
    with np.errstate(all="ignore"):
        return array.dtype.type(factor) * array


@given(gradients(), st.floats(-(2.0**127), 2.0**127))
def test_products_are_rounded_to_nearest_in_the_dtype_of_the_array(grads, factor):
    expected = [scaled(array, factor) for array in grads]
    assert gradclip.scale_(grads, factor) is None
    assert all(map(same_bits, grads, expected))


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.0, -0.0, 0.1, 1 / 3, 2, np.float32(0.7), 1e-42])
def test_factors_of_every_kind(factor, dtype, rng):
    array = rng.standard_normal(40_000).astype(dtype)
    array[:4] = [0.0, -0.0, np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal]
    expected = scaled(array, factor)
    gradclip.scale_(array, factor)
    assert same_bits(array, expected)


def test_non_finite_elements_follow_ieee_arithmetic(dtype):
    array = np.array([np.inf, -np.inf, np.nan, 2.0], dtype)
    gradclip.scale_(array, -2.0)
    np.testing.assert_array_equal(array, np.array([-np.inf, np.inf, np.nan, -4.0], dtype))
    gradclip.scale_(array, 0.0)
    np.testing.assert_array_equal(array, np.array([np.nan, np.nan, np.nan, -0.0], dtype))


def test_products_may_overflow(dtype):
    array = np.array([np.finfo(dtype).max, -np.finfo(dtype).max, 1.0], dtype)
    gradclip.scale_(array, 4.0)
    assert array.tolist() == [math.inf, -math.inf, 4.0]


@pytest.mark.parametrize("factor", [math.nan, math.inf, -math.inf])
def test_non_finite_factor_is_refused(factor, dtype):
    array = np.ones(3, dtype)
    with unchanged(array), pytest.raises(ValueError, match="factor"):
        gradclip.scale_(array, factor)


@pytest.mark.parametrize("factor", ["2", None, 1j, [2.0], b"2", np.array([1.0, 2.0])], ids=repr)
def test_factor_that_is_no_number_is_refused(factor):
    array = np.ones(3)
    with unchanged(array), pytest.raises(TypeError, match="factor"):
        gradclip.scale_(array, factor)


@pytest.mark.parametrize("factor", [1e39, -1e300, 3.4028235677973366e38])
def test_factor_past_float32_is_refused_for_a_float32_array(factor):
    grads = {"wide": np.ones(3), "narrow": [np.ones(3, "f4")]}
    refusal = pytest.raises(ValueError, match=r"grads\['narrow'\]\[0\]")
    with unchanged(grads["wide"], grads["narrow"][0]), refusal:
        gradclip.scale_(grads, factor)


def test_factor_that_rounds_to_the_largest_float32_is_accepted():
    array = np.full(1, 0.5, np.float32)
    gradclip.scale_(array, 3.4028235677973362e38)
    assert array[0] == np.finfo(np.float32).max / 2


def test_factor_past_float32_is_fine_for_float64():
    array = np.ones(3)
    gradclip.scale_(array, 1e39)
    assert (array == 1e39).all()


def test_arrays_of_both_dtypes(rng):
    grads = [rng.standard_normal(1000).astype(("f4", "f8")[i % 2]) for i in range(6)]
    expected = [scaled(array, 0.3) for array in grads]
    gradclip.scale_(grads, 0.3)
    assert all(map(same_bits, grads, expected))
