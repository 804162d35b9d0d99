"""Norms whose squares leave the range of float64, though the norm itself does not."""

import math

import numpy as np
import oracle
import pytest
from dtypes import finfo
from hypothesis import assume, given
from hypothesis import strategies as st

import gradclip

pytestmark = pytest.mark.usefixtures("isa")

LARGEST = np.finfo(np.float64).max
SMALLEST = np.nextafter(0.0, 1.0)


@pytest.mark.parametrize(
    "values",
    [
        [1e200, 1e200],
        [1e-300, 1e-300],
        [1e200, 1e-200],
        [1e160, -1e150, 1e140],
        [1e-160, 1e-170, -1e-150],
        [LARGEST / 2, LARGEST / 2],
        [LARGEST / 2, LARGEST / 2, LARGEST / 2],
        [SMALLEST, SMALLEST],
        [SMALLEST] * 100,
        [3 * SMALLEST, 4 * SMALLEST],
        [2.0**-1022, 2.0**-1030, 2.0**-1074],
        [1.0, 2.0**-538, 2.0**-600],
        [2.0**-480, math.nextafter(2.0**-480, 0.0), 2.0**-500],
    ],
    ids=repr,
)
def test_squares_over_or_under_the_range(values):
    array = np.array(values)
    oracle.assert_norm_is_right(gradclip.global_norm(array), array)


@pytest.mark.parametrize("value", [LARGEST, -LARGEST, SMALLEST, 2.0**-1022, 1e200, 1e-200])
def test_norm_of_one_value_is_its_magnitude(value):
    assert gradclip.global_norm(np.array([value])) == abs(value)
    assert gradclip.global_norm(np.array([0.0, value, 0.0, 0.0])) == abs(value)


def test_norm_that_rounds_to_the_largest_float_is_finite():
    assert gradclip.global_norm(np.array([LARGEST, LARGEST * 2.0**-40])) == LARGEST


def test_norm_past_the_largest_float_is_inf():
    assert gradclip.global_norm(np.array([LARGEST, LARGEST])) == math.inf


def test_extremes_of_narrower_dtypes(any_dtype):
    limits = finfo(any_dtype)
    for value in (limits.max, limits.smallest_subnormal, limits.smallest_normal):
        if limits.bits == 64:
            value = value / 64  # so that the norm is in range
        array = np.full(1000, value, any_dtype)
        oracle.assert_norm_is_right(gradclip.global_norm(array), array)


@pytest.mark.parametrize("count", [1, 33, 20_000])
@pytest.mark.parametrize("exponent", [-1074, -1040, -1022, -910, -900, -890, -601, -540, -500])
def test_small_magnitudes_of_every_kind(exponent, count, rng):
    array = np.ldexp(1 + rng.integers(0, 4, count).astype(float), exponent)
    oracle.assert_norm_is_right(gradclip.global_norm(array), array)


@pytest.mark.parametrize("count", [1, 33, 20_000])
@pytest.mark.parametrize("exponent", [440, 485, 492, 500, 512, 600, 900, 1000, 1010])
def test_large_magnitudes_of_every_kind(exponent, count, rng):
    array = np.ldexp(rng.uniform(1, 2, count), exponent)
    oracle.assert_norm_is_right(gradclip.global_norm(array), array)


@pytest.mark.parametrize("power", [-1030, -900, 1000])
def test_block_sums_around_the_limits_of_the_unscaled_range(power, rng):
    for exponent in range(power // 2 - 12, power // 2 + 4):
        array = np.ldexp(rng.uniform(1, 2, 16384), exponent)
        oracle.assert_norm_is_right(gradclip.global_norm(array), array)


def test_blocks_that_are_far_larger_than_they_begin():
    array = np.array([2.0**502] * 32 + [0.0] * 223 + [2.0**511])
    oracle.assert_norm_is_right(gradclip.global_norm([array] * 4), *[array] * 4)


def test_blocks_of_very_different_magnitude(rng):
    exponents = [0, 700, -700, -1050, 300, -300, 900, 0]
    for order in (exponents, exponents[::-1], sorted(exponents), [-700, -1050, -600, -460]):
        array = np.concatenate([np.ldexp(rng.uniform(1, 2, 16384), e) for e in order])
        oracle.assert_norm_is_right(gradclip.global_norm(array), array)


def test_many_elements_below_the_unscaled_range_beside_a_few_in_it(rng):
    array = np.ldexp(rng.uniform(1, 2, 10**6), -481)
    array[12345] = 2.0**-449  # its block sums to just above 2^-900, the others are below
    oracle.assert_norm_is_right(gradclip.global_norm(array), array)


def test_zero_blocks_between_scaled_ones():
    array = np.zeros(5 * 16384)
    array[2 * 16384] = 3e-310
    array[4 * 16384] = 4e-310
    oracle.assert_norm_is_right(gradclip.global_norm(array), array)


@given(
    st.lists(st.integers(-1074, 1010), min_size=1, max_size=8),
    st.sampled_from([1, 31, 33, 16384]),
    st.integers(0, 2**32),
)
def test_any_mix_of_magnitudes(exponents, size, seed):
    rng = np.random.default_rng(seed)
    arrays = [np.ldexp(rng.uniform(1, 2, size), exponent) for exponent in exponents]
    assume(oracle.is_root_in_range(oracle.square_sum(*arrays)))
    oracle.assert_norm_is_right(gradclip.global_norm(arrays), *arrays)
    joined = np.concatenate(arrays)
    oracle.assert_norm_is_right(gradclip.global_norm(joined), joined)
