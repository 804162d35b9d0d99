"""Clipping from a norm that is already known."""

import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
from buffers import same_bits, unchanged
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import gradients, thresholds

import gradclip

pytestmark = pytest.mark.usefixtures("isa")


@pytest.fixture
def grads(dtype, rng):
    return [rng.standard_normal(size).astype(dtype) for size in (3, 700, 20_000)]


def test_writes_the_bits_of_the_fused_clip(grads):
    fused = [array.copy() for array in grads]
    norm = gradclip.clip_by_global_norm_(fused, 0.5, eps=1e-3)
    gradclip.clip_with_norm_(grads, 0.5, norm, eps=1e-3)
    assert all(map(same_bits, grads, fused))


def assert_factor_is_close_below(factor, exact):
    """Assert that the factor allows for the error of a norm, on both sides, and no more."""
    assert exact * (1 - 3 * oracle.NORM_ERROR) <= Fraction(factor) <= exact


def test_returns_the_factor_as_a_float(grads):
    norm = gradclip.global_norm(grads)
    factor = gradclip.clip_with_norm_(grads, 0.5, norm)
    assert type(factor) is float
    assert_factor_is_close_below(factor, Fraction(0.5) / Fraction(norm))


def test_eps_is_added_to_the_norm():
    array = np.full(4, 2.0)
    factor = gradclip.clip_with_norm_(array, 1.0, 4.0, eps=0.5)
    assert_factor_is_close_below(factor, Fraction(2, 9))


def test_a_norm_within_the_threshold_writes_nothing_and_gives_one(grads):
    with unchanged(*grads):
        for total_norm in (0.0, 0.25, 0.5):
            factor = gradclip.clip_with_norm_(grads, 0.5, total_norm, eps=10.0)
            assert type(factor) is float
            assert factor == 1.0
        assert gradclip.clip_with_norm_(grads, math.inf, 1e300) == 1.0


def test_a_zero_threshold_stores_positive_zeros(grads):
    assert gradclip.clip_with_norm_(grads, 0.0, 1.0) == 0.0
    for array in grads:
        assert array.tobytes() == bytes(array.nbytes)


def test_the_norm_given_is_trusted(dtype):
    array = np.ones(5, dtype)
    gradclip.clip_with_norm_(array, 1.0, 4.0)
    np.testing.assert_allclose(array, 0.25, rtol=2 * np.finfo(dtype).eps)


def test_a_norm_of_more_arrays_than_are_clipped(grads):
    total = gradclip.global_norm([grads, np.full(100, 7.0)])
    before = grads[1].copy()
    gradclip.clip_with_norm_(grads[:1], 1.0, total)
    factor = gradclip.clip_with_norm_(grads[1], 1.0, total)
    np.testing.assert_allclose(grads[1], before * factor, rtol=2 * np.finfo(before.dtype).eps)


@pytest.mark.parametrize("total_norm", [math.nan, -1.0, -math.inf])
def test_nan_or_negative_norm_is_refused(total_norm, grads):
    with unchanged(*grads), pytest.raises(ValueError, match="total_norm"):
        gradclip.clip_with_norm_(grads, 1.0, total_norm)


def test_infinite_norm_is_refused_as_non_finite(grads):
    with unchanged(*grads), pytest.raises(gradclip.NonFiniteNormError) as error:
        gradclip.clip_with_norm_(grads, 1.0, math.inf)
    assert error.value.norm == math.inf
    assert error.value.path is None


def test_negative_zero_is_a_norm_and_a_threshold():
    array = np.zeros(3)
    assert gradclip.clip_with_norm_(array, -0.0, -0.0) == 1.0


@given(gradients(), st.data())
def test_the_exact_norm_written_is_never_above_the_threshold(grads, data):
    norm = gradclip.global_norm(grads)
    assume(0 < norm < math.inf)
    max_norm = data.draw(thresholds(norm))
    factor = gradclip.clip_with_norm_(grads, max_norm, norm)
    assert Fraction(factor) * Fraction(norm) <= Fraction(max_norm)
    oracle.assert_norm_is_bounded(grads, max_norm)
