"""When a clip writes, what it writes and what it returns."""

import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
from buffers import same_bits, unchanged

import gradclip

pytestmark = pytest.mark.usefixtures("isa")


@pytest.fixture
def grads(dtype, rng):
    return [rng.standard_normal(shape).astype(dtype) for shape in [(3, 5), 700, (2, 1, 4), ()]]


def test_unclipped_gradients_are_not_written(grads):
    norm = gradclip.global_norm(grads)
    with unchanged(*grads):
        assert gradclip.clip_by_global_norm_(grads, 2 * norm) == norm


def test_a_norm_equal_to_the_threshold_is_not_clipped(grads):
    norm = gradclip.global_norm(grads)
    with unchanged(*grads):
        assert gradclip.clip_by_global_norm_(grads, norm) == norm


def test_a_threshold_one_ulp_below_the_norm_clips(grads):
    norm = gradclip.global_norm(grads)
    threshold = math.nextafter(norm, 0)
    before = [array.copy() for array in grads]
    assert gradclip.clip_by_global_norm_(grads, threshold) == norm
    assert not all(map(same_bits, grads, before))
    oracle.assert_norm_is_bounded(grads, threshold)


def test_eps_plays_no_part_in_the_decision(grads):
    norm = gradclip.global_norm(grads)
    with unchanged(*grads):
        gradclip.clip_by_global_norm_(grads, norm, eps=1e3)


def test_clipping_returns_the_norm_before_clipping_as_a_float(grads):
    expected = gradclip.global_norm(grads)
    norm = gradclip.clip_by_global_norm_(grads, 0.5)
    assert type(norm) is float
    assert norm == expected


def test_clipped_gradients_have_the_threshold_as_norm(grads):
    gradclip.clip_by_global_norm_(grads, 0.5)
    oracle.assert_norm_is_bounded(grads, 0.5)
    oracle.assert_norm_is_tight(grads, 0.5)


def test_directions_are_kept(grads, dtype):
    before = [array.copy() for array in grads]
    norm = gradclip.clip_by_global_norm_(grads, 0.5)
    for new, old in zip(grads, before, strict=True):
        np.testing.assert_allclose(new, old * (0.5 / norm), rtol=2 * np.finfo(dtype).eps)


def test_eps_is_added_to_the_norm(grads):
    norm = gradclip.clip_by_global_norm_(grads, 0.5, eps=0.25)
    target = Fraction(0.5) * Fraction(norm) / (Fraction(norm) + 1 / 4)
    oracle.assert_norm_is_bounded(grads, 0.5)
    squares = oracle.square_sum(*grads)
    assert squares <= (target * (1 + oracle.NORM_ERROR)) ** 2
    oracle.assert_norm_is_tight(grads, target)


def test_an_infinite_threshold_changes_nothing(grads):
    with unchanged(*grads):
        gradclip.clip_by_global_norm_(grads, math.inf)


def test_a_zero_threshold_stores_positive_zeros(grads):
    gradclip.clip_by_global_norm_(grads, 0.0)
    for array in grads:
        assert array.tobytes() == bytes(array.nbytes)


def test_zero_gradients_are_not_written_by_a_zero_threshold(dtype):
    array = np.array([-0.0, 0.0], dtype)
    with unchanged(array):
        assert gradclip.clip_by_global_norm_(array, 0.0) == 0.0


def test_unclipped_negative_zeros_and_subnormals_stay(dtype):
    array = np.array([-0.0, np.finfo(dtype).smallest_subnormal, 1.0], dtype)
    with unchanged(array):
        gradclip.clip_by_global_norm_(array, 1.0)


def test_clipped_zeros_stay_zero(dtype):
    array = np.array([0.0, 5.0, -0.0], dtype)
    gradclip.clip_by_global_norm_(array, 1.0)
    assert array[0] == 0
    assert array[2] == 0


@pytest.mark.parametrize("empty", [[], (), {}, [None, None], [[], {"a": None}]], ids=repr)
def test_nothing_to_clip_has_norm_zero(empty):
    assert gradclip.global_norm(empty) == 0.0
    for max_norm in (0.0, 1.0, math.inf):
        assert gradclip.clip_by_global_norm_(empty, max_norm) == 0.0
    assert gradclip.clip_with_norm_(empty, 1.0, 5.0) <= 1 / 5
    assert gradclip.scale_(empty, 2.0) is None


def test_zero_size_arrays_have_norm_zero(dtype):
    grads = [np.empty(0, dtype), np.empty((4, 0), dtype)]
    assert gradclip.global_norm(grads) == 0.0
    assert gradclip.clip_by_global_norm_(grads, 0.0) == 0.0
    assert gradclip.clip_by_global_norm_([*grads, np.ones(4, dtype)], 1.0) == 2.0


def test_zero_dimensional_arrays_are_clipped(dtype):
    array = np.array(-3.0, dtype)
    assert gradclip.clip_by_global_norm_(array, 1.5) == 3.0
    oracle.assert_norm_is_bounded([array], 1.5)
    oracle.assert_norm_is_tight([array], 1.5)
    assert array < 0


def test_one_norm_for_arrays_of_both_dtypes():
    grads = [np.array([3.0], "f4"), np.array([4.0], "f8")]
    assert gradclip.clip_by_global_norm_(grads, 2.5) == 5.0
    oracle.assert_norm_is_bounded(grads, 2.5)
    oracle.assert_norm_is_tight(grads, 2.5)
    np.testing.assert_allclose(np.concatenate(grads), [1.5, 2.0], rtol=2.0**-21)


def test_numbers_of_other_types_are_thresholds():
    for max_norm in (1, np.float32(1), np.float64(1), np.int64(1)):
        array = np.full(4, 2.0)
        assert gradclip.clip_by_global_norm_(array, max_norm) == 4.0
        np.testing.assert_allclose(array, 0.5, rtol=1e-15)
