"""The oracle itself, against element-by-element fractions."""

import math
from fractions import Fraction

import numpy as np
import oracle
import powers
import pytest
from dtypes import ALL, reals
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import arrays, gradients


@given(gradients(ALL))
def test_sums_are_the_sums_of_fractions(grads):
    values = [Fraction(value) for array in grads for value in reals(array).tolist()]
    assert oracle.square_sum(*grads) == sum(value**2 for value in values)
    assert oracle.magnitude_sum(*grads) == sum(map(abs, values))


def test_square_sum_of_many_chunks():
    array = np.full(3 * 2**20 + 5, 0.1)
    assert oracle.square_sum(array) == array.size * Fraction(0.1) ** 2
    assert oracle.magnitude_sum(-array) == array.size * Fraction(0.1)


@given(st.floats(min_value=0.0, allow_infinity=False))
def test_floor_sqrt_of_a_square_is_exact(value):
    assert oracle.floor_sqrt(Fraction(value) ** 2) == value


@given(st.fractions(min_value=0, max_value=10**30))
def test_floor_sqrt_is_the_largest_float_below(value):
    root = oracle.floor_sqrt(value)
    assert Fraction(root) ** 2 <= value < Fraction(math.nextafter(root, math.inf)) ** 2


@pytest.mark.parametrize("norm", [5e-324, 3.0, 1.5e154, np.finfo("f8").max])
def test_an_error_of_two_ulps_is_noticed(norm):
    squares = Fraction(norm) ** 2
    ulp = math.ulp(norm)
    assert oracle.is_within_one_ulp(Fraction(norm) - Fraction(ulp), squares)
    assert not oracle.is_within_one_ulp(Fraction(norm) + 2 * Fraction(ulp), squares)
    assert not oracle.is_within_one_ulp(Fraction(norm) - 2 * Fraction(ulp), squares)


def test_a_relative_error_above_the_bound_is_noticed():
    just_above = Fraction(1) + oracle.NORM_ERROR * Fraction(101, 100)
    assert oracle.is_within(1 + oracle.NORM_ERROR, Fraction(1), oracle.NORM_ERROR)
    assert not oracle.is_within(just_above, Fraction(1), oracle.NORM_ERROR)
    assert not oracle.is_within(2 - just_above, Fraction(1), oracle.NORM_ERROR)


@given(arrays([np.dtype("f4"), np.dtype("f8")]), st.floats(2.0**-10, 1.0, width=32))
def test_products_toward_zero_are_the_largest_below(array, factor):
    magnitudes = np.abs(array[array != 0])
    assume((magnitudes >= 2**11 * np.finfo(array.dtype).smallest_normal).all())
    products = oracle.times_toward_zero(array, array.dtype.type(factor))
    assert products.dtype == array.dtype
    for value, product in zip(array.tolist(), products, strict=True):
        exact = abs(Fraction(value) * Fraction(factor))
        assert abs(Fraction(float(product))) <= exact
        with np.errstate(over="ignore"):
            above = np.nextafter(np.abs(product), array.dtype.type(np.inf))
        assert np.isinf(above) or exact < Fraction(float(above))


@pytest.mark.parametrize("p", [0.5, 1, 2, 3, 100, math.inf])
def test_norms_in_other_orders_of_values_that_are_known(p):
    assert abs(powers.norm([np.array([-7.0]), np.zeros(3)], p) - 7) < 1e-30
    assert abs(powers.norm([np.array([3 - 4j])], p) - 5) < 1e-30
    assert abs(powers.norm([np.full(2**10, 3.0)], p) / (3 * 2 ** (10 / powers.mpf(p))) - 1) < 1e-30


@pytest.mark.parametrize("p", [0.5, 1, 3, math.inf])
def test_an_error_in_another_order_is_noticed(p, any_dtype):
    array = np.array([1.0, -2.0, 0.5], any_dtype)
    norm = powers.norm([array], p)
    error = powers.error(p, array)
    powers.assert_norm_is_right(float(norm * (1 + error / 2)), p, array)
    for wrong in (norm * (1 + error * 3), norm * (1 - error * 3), norm * (1 + 2.0**-40)):
        with pytest.raises(AssertionError):
            powers.assert_norm_is_right(float(wrong) if p != math.inf else 2.1, p, array)
