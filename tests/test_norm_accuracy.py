"""The norm against exact arithmetic, on inputs made to lose digits."""

import functools
import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
from dtypes import ALL, finfo, normals
from hypothesis import assume, given
from strategies import gradients

import gradclip

pytestmark = pytest.mark.usefixtures("isa")

COUNT = 10**6


def one_large_then_many_tiny(rng):
    return np.concatenate([[1e6], rng.uniform(1e-4, 2e-4, COUNT)])


def many_tiny_then_one_large(rng):
    return one_large_then_many_tiny(rng)[::-1]


def a_large_value_in_every_block(rng):
    values = rng.uniform(1e-5, 1e-4, COUNT)
    values[::16384] = 1e5
    return values


def mixed_magnitudes(rng):
    return 10.0 ** rng.uniform(-18, 18, COUNT)


def ascending_magnitudes(rng):
    return np.sort(mixed_magnitudes(rng))


def descending_magnitudes(rng):
    return np.sort(mixed_magnitudes(rng))[::-1]


def alternating_magnitudes(rng):
    return np.tile([1e9, 1e-9, -3.0], COUNT // 3)


def one_loud_lane(rng):
    values = rng.standard_normal(COUNT)
    values[5::32] *= 1e7
    return values


def zeros_then_values(rng):
    return np.concatenate([np.zeros(COUNT - 50_000), rng.standard_normal(50_000)])


def standard_normals(rng):
    return rng.standard_normal(COUNT)


def long_mantissas(rng):
    return 1.0 + np.arange(COUNT) * 2.0**-22 + 2.0**-23


ADVERSARIES = [
    one_large_then_many_tiny,
    many_tiny_then_one_large,
    a_large_value_in_every_block,
    mixed_magnitudes,
    ascending_magnitudes,
    descending_magnitudes,
    alternating_magnitudes,
    one_loud_lane,
    zeros_then_values,
    standard_normals,
    long_mantissas,
]


@functools.cache
def values_of(adversary, dtype):
    """Return an adversary's values, those out of range as the largest."""
    largest = float(finfo(dtype).max)
    values = np.clip(adversary(np.random.default_rng(17)), -largest, largest).astype(dtype)
    values.flags.writeable = False
    return values


@functools.cache
def exact_squares(adversary, dtype):
    return oracle.square_sum(values_of(adversary, dtype))


@pytest.mark.parametrize("dtype", [dtype for dtype in ALL if dtype.kind != "c"], ids=str)
@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_norm_of_adversarial_values(adversary, dtype):
    values, squares = values_of(adversary, dtype), exact_squares(adversary, dtype)
    norm = Fraction(gradclip.global_norm(values))
    if dtype == np.float64:
        assert oracle.is_within_one_ulp(norm, squares)
    else:
        assert oracle.is_within(norm, squares, oracle.NORM_ERROR)


def test_norm_of_one_value_many_times(dtype, rng):
    wrong = []
    for value in rng.uniform(0.5, 2.0, 100).astype(dtype):
        norm = Fraction(gradclip.global_norm(np.full(COUNT, value)))
        squares = COUNT * Fraction(float(value)) ** 2
        if dtype == np.float32:
            right = oracle.is_within(norm, squares, oracle.NORM_ERROR)
        else:
            right = oracle.is_within_one_ulp(norm, squares)
        if not right:
            wrong.append(float(value))
    assert wrong == []


def test_norm_of_many_arrays(any_dtype, rng):
    arrays = list(normals(rng, (1000, 256), any_dtype))
    oracle.assert_norm_is_right(gradclip.global_norm(arrays), *arrays)


def test_norm_of_arrays_of_very_different_magnitude(dtype, rng):
    scales = 10.0 ** rng.uniform(-15, 15, 300)
    arrays = [(rng.standard_normal(700) * scale).astype(dtype) for scale in scales]
    oracle.assert_norm_is_right(gradclip.global_norm(arrays), *arrays)


def test_norm_of_mixed_dtypes(rng):
    arrays = [normals(rng, 5000, ALL[i % len(ALL)]) for i in range(20)]
    oracle.assert_norm_is_right(gradclip.global_norm(arrays), *arrays)


@given(gradients(ALL))
def test_norm_of_anything_finite(grads):
    assume(oracle.is_root_in_range(oracle.square_sum(*grads)))
    oracle.assert_norm_is_right(gradclip.global_norm(grads), *grads)


@pytest.mark.parametrize("root", [1, 3, 128, 255, 256, 1000])
def test_norm_of_ones_is_exact(root, any_dtype):
    assert gradclip.global_norm(np.ones(root * root, any_dtype)) == root


def test_pythagorean_triples_are_exact(any_dtype):
    for legs, norm in [((3, 4), 5.0), ((5, -12), 13.0), ((8, 15), 17.0), ((-20, -21), 29.0)]:
        assert gradclip.global_norm([np.array([leg], any_dtype) for leg in legs]) == norm


def test_norms_of_short_arrays_are_all_but_rounded_correctly(rng):
    for _ in range(200):
        array = rng.uniform(1.7, 2, 31)
        norm = gradclip.global_norm(array)
        error = Fraction(53, 100) * Fraction(math.ulp(norm))
        square = oracle.square_sum(array)
        assert (Fraction(norm) - error) ** 2 <= square <= (Fraction(norm) + error) ** 2
