"""The oracle itself, against element-by-element fractions."""

import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import arrays, gradients


@given(gradients())
def test_square_sum_is_the_sum_of_fractions(grads):
    values = [Fraction(value) for array in grads for value in array.tolist()]
    assert oracle.square_sum(*grads) == sum(value**2 for value in values)


def test_square_sum_of_many_chunks():
    assert oracle.square_sum(np.full(3 * 2**20 + 5, 0.1)) == (3 * 2**20 + 5) * Fraction(0.1) ** 2


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


@given(arrays(), st.floats(2.0**-10, 1.0, width=32))
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
