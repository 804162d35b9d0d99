"""The exact bound where factors, products or norms are subnormal or huge."""

import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_exact_bound import clip_checked

import gradclip

pytestmark = pytest.mark.usefixtures("isa")

LARGEST = {"f4": float(np.finfo("f4").max), "f8": float(np.finfo("f8").max)}
TINY = {"f4": 2.0**-126, "f8": 2.0**-1022}  # the smallest normal


@pytest.fixture(params=["f4", "f8"])
def kind(request):
    return request.param


def test_a_subnormal_factor_keeps_normal_results_accurate(kind, rng):
    for exponent in range(4, 24):
        values = (LARGEST[kind] / 8 * rng.uniform(0.5, 1, 4)).astype(kind)
        max_norm = LARGEST[kind] * TINY[kind] * 2.0**-exponent
        norm = gradclip.global_norm(values)
        assert 0 < Fraction(max_norm) / Fraction(norm) < TINY[kind]
        clip_checked([values], max_norm)
        assert oracle.is_normal(values)
        oracle.assert_norm_is_tight([values], max_norm)


def test_a_subnormal_factor_does_not_overflow_on_the_largest_gradients(kind, rng):
    for count in (1, 2, 40):
        for max_norm in (0.5, 1.0, 1.5, 2.0, 2.9, 3.0, 3.5, 3.99, 4.0, 8.0, 1e6):
            values = (LARGEST[kind] * rng.uniform(0.5, 1, count) / (count**0.5)).astype(kind)
            clip_checked([values], max_norm)
            oracle.assert_norm_is_tight([values], max_norm)


@given(st.integers(0, 40), st.integers(-20, 40), st.integers(1, 9), st.integers(0, 2**32))
def test_factors_around_the_largest_subnormal(below_top, beneath, count, seed):
    rng = np.random.default_rng(seed)
    for kind in ("f4", "f8"):
        values = np.ldexp(LARGEST[kind] * rng.uniform(0.5, 1, count), -below_top).astype(kind)
        norm = gradclip.global_norm(values)
        if math.isfinite(norm):
            clip_checked([values], norm * TINY[kind] * 2.0**-beneath)


def test_a_factor_below_every_subnormal_of_float32():
    values = np.full(4, 1e38, np.float32)
    clip_checked([values], 1e-37)
    assert (values > 0).all()  # factor 5e-76, results 5e-38
    oracle.assert_norm_is_tight([values], 1e-37)


def test_a_factor_below_every_subnormal_of_float64():
    values = np.full(3, 1e308)
    clip_checked([values], 1e-300)
    oracle.assert_norm_is_tight([values], 1e-300)


@given(st.integers(0, 60), st.integers(1, 100), st.integers(0, 2**32))
def test_subnormal_results_stay_below_the_threshold(shift, count, seed):
    rng = np.random.default_rng(seed)
    for kind in ("f4", "f8"):
        values = rng.uniform(-1, 1, count).astype(kind)
        clip_checked([values], TINY[kind] * 2.0**-shift)


@given(st.integers(0, 80), st.integers(2, 60), st.integers(0, 2**32))
def test_subnormal_gradients(shift, count, seed):
    rng = np.random.default_rng(seed)
    for kind in ("f4", "f8"):
        values = (rng.uniform(-1, 1, count) * TINY[kind] * 2.0**-10).astype(kind)
        norm = gradclip.global_norm(values)
        if norm > 0:
            clip_checked([values], math.ldexp(norm, -shift) * 0.9)


def test_the_smallest_threshold_of_all(kind):
    for value in (1.0, TINY[kind], LARGEST[kind] / 4):
        values = np.array([value, -value, 0.0], kind)
        clip_checked([values], 5e-324)


def test_norms_near_the_largest_float64():
    for values in ([LARGEST["f8"]], [LARGEST["f8"] / 2] * 3, [1e308, 1e-308, -1e308]):
        for max_norm in (1e308, 1.0, 1e-308, math.nextafter(LARGEST["f8"], 0) / 2):
            clip_checked([np.array(values)], max_norm)


def test_eps_whose_sum_with_the_norm_overflows():
    values = np.array([1.5e308])
    norm = clip_checked([values], 1e308, eps=1.5e308)
    expected = float(Fraction(1e308) * Fraction(norm) / (Fraction(norm) + Fraction(1.5e308)))
    np.testing.assert_allclose(values, expected, rtol=2.0**-50)


def test_eps_far_above_the_norm(kind):
    values = np.array([3.0, 4.0], kind)
    clip_checked([values], 1.0, eps=1e6)
    np.testing.assert_allclose(values, np.array([3.0, 4.0]) / (5 + 1e6), rtol=2.0**-21)


def test_eps_far_above_what_float32_holds():
    values = np.array([3.0, 4.0], np.float32)
    clip_checked([values], 1.0, eps=1e300)
    assert (values == 0).all()


def test_mixed_lists_where_only_float32_results_vanish():
    narrow, wide = np.full(3, 1e-30, np.float32), np.full(3, 1e10)
    clip_checked([narrow, wide], 1e-20)
    assert (narrow == 0).all()
    oracle.assert_norm_is_tight([narrow, wide], 1e-20)
