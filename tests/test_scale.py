"""scale_: every element times a factor, to nearest."""

import math

import numpy as np
import pytest
from buffers import same_bits, unchanged
from dtypes import ALL, finfo, normals, real_dtype, reals, times
from hypothesis import given
from hypothesis import strategies as st
from strategies import gradients

import gradclip

pytestmark = pytest.mark.usefixtures("isa")


@given(gradients(ALL), st.floats(-(2.0**127), 2.0**127))
def test_products_are_rounded_to_nearest_in_the_dtype_of_the_array(grads, factor):
    expected = [times(array, factor) for array in grads]
    assert gradclip.scale_(grads, factor) is None
    assert all(map(same_bits, grads, expected))


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.0, -0.0, 0.1, 1 / 3, 2, np.float32(0.7), 1e-42])
def test_factors_of_every_kind(factor, any_dtype, rng):
    array = normals(rng, 40_000, any_dtype)
    limits = finfo(any_dtype)
    array[:4] = [0.0, -0.0, limits.max, limits.smallest_subnormal]
    expected = times(array, factor)
    gradclip.scale_(array, factor)
    assert same_bits(array, expected)


def test_non_finite_numbers_follow_ieee_arithmetic(any_dtype):
    numbers = np.array([np.inf, -np.inf, np.nan, 2.0], real_dtype(any_dtype))
    array = numbers.view(any_dtype)
    gradclip.scale_(array, -2.0)
    np.testing.assert_array_equal(reals(array), [-np.inf, np.inf, np.nan, -4.0])
    gradclip.scale_(array, 0.0)
    np.testing.assert_array_equal(reals(array), [np.nan, np.nan, np.nan, -0.0])


def test_products_may_overflow(any_dtype):
    largest = float(finfo(any_dtype).max)
    array = np.array([largest, -largest, 1.0], any_dtype)
    gradclip.scale_(array, 4.0)
    assert [x.real for x in array.tolist()] == [math.inf, -math.inf, 4.0]


@pytest.mark.parametrize("factor", [math.nan, math.inf, -math.inf])
def test_non_finite_factor_is_refused(factor, any_dtype):
    array = np.ones(3, any_dtype)
    with unchanged(array), pytest.raises(ValueError, match="factor"):
        gradclip.scale_(array, factor)


@pytest.mark.parametrize("factor", ["2", None, 1j, [2.0], b"2", np.array([1.0, 2.0])], ids=repr)
def test_factor_that_is_no_number_is_refused(factor):
    array = np.ones(3)
    with unchanged(array), pytest.raises(TypeError, match="factor"):
        gradclip.scale_(array, factor)


@pytest.mark.parametrize("factor", [1e39, -1e300, 3.4028235677973366e38])
@pytest.mark.parametrize("narrow", [dtype for dtype in ALL if finfo(dtype).bits < 64], ids=str)
def test_factor_past_float32_is_refused_for_an_array_computed_in_float32(factor, narrow):
    grads = {"wide": np.ones(3), "narrow": [np.ones(3, narrow)]}
    refusal = pytest.raises(ValueError, match=r"grads\['narrow'\]\[0\]")
    with unchanged(grads["wide"], grads["narrow"][0]), refusal:
        gradclip.scale_(grads, factor)


def test_factor_that_rounds_to_the_largest_float32_is_accepted():
    array = np.full(1, 0.5, np.float32)
    gradclip.scale_(array, 3.4028235677973362e38)
    assert array[0] == np.finfo(np.float32).max / 2


def test_factor_past_float32_is_fine_for_float64():
    grads = [np.ones(3), np.full(3, 1j)]
    gradclip.scale_(grads, 1e39)
    assert (grads[0] == 1e39).all()
    assert (grads[1] == 1e39j).all()


def test_arrays_of_all_dtypes(rng):
    grads = [normals(rng, 1000, ALL[i % len(ALL)]) for i in range(12)]
    expected = [times(array, 0.3) for array in grads]
    gradclip.scale_(grads, 0.3)
    assert all(map(same_bits, grads, expected))
