"""Long arrays: no digits lost, and nothing that counts elements in 32 bits."""

from fractions import Fraction

import numpy as np
import oracle
import pytest

import gradclip

HUGE = 2**31 + 37


@pytest.fixture
def both_cores():
    gradclip.set_num_threads(2)


@pytest.mark.large
@pytest.mark.usefixtures("isa")
def test_norm_of_1e8_float32_ones_is_exact():
    assert gradclip.global_norm(np.ones(10**8, np.float32)) == 10000.0


@pytest.mark.large
@pytest.mark.usefixtures("both_cores")
def test_norm_of_standard_normals(rng):
    part = rng.standard_normal(2**24, dtype=np.float32)
    norm = Fraction(gradclip.global_norm(np.tile(part, 8)))
    assert oracle.is_within(norm, 8 * oracle.square_sum(part), oracle.NORM_ERROR)


@pytest.mark.usefixtures("both_cores")
def test_norm_of_more_than_2_31_strided_elements():
    array = np.broadcast_to(np.float32(0.1), HUGE)
    norm = Fraction(gradclip.global_norm(array))
    assert oracle.is_within(norm, HUGE * Fraction(float(array[0])) ** 2, oracle.NORM_ERROR)


@pytest.mark.usefixtures("both_cores")
def test_norm_of_2_29_float64_values_is_within_one_ulp():
    array = np.broadcast_to(0.1, 2**29 + 3)
    squares = array.size * Fraction(0.1) ** 2
    assert oracle.is_within_one_ulp(Fraction(gradclip.global_norm(array)), squares)


@pytest.mark.usefixtures("both_cores")
def test_norm_of_more_than_2_31_contiguous_elements():
    array = np.zeros(HUGE, np.float32)  # pages that are only read share one page of zeros
    array[[0, 2**31 - 1, 2**31, -1]] = [1.0, 3.0, -5.0, 1.0]
    assert gradclip.global_norm(array) == 6.0
    assert gradclip.clip_by_global_norm_(array, 6.0) == 6.0


@pytest.mark.usefixtures("both_cores")
def test_a_nan_past_2_31_elements_is_found():
    array = np.zeros(HUGE, np.float32)
    array[-2] = np.nan
    with pytest.raises(gradclip.NonFiniteNormError) as error:
        gradclip.clip_by_global_norm_([np.ones(3), array], 1.0)
    assert error.value.path == "grads[1]"
