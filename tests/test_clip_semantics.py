"""When a clip writes, what it writes and what it returns."""

import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
from buffers import same_bits, unchanged
from dtypes import ALL, finfo, normals, reals

import gradclip

pytestmark = pytest.mark.usefixtures("isa")

SHAPES = [(3, 5), 700, (2, 1, 4), ()]
ORDERS = [0.5, 1, 2, 3, math.inf]


@pytest.fixture
def grads(dtype, rng):
    return [normals(rng, shape, dtype) for shape in SHAPES]


@pytest.fixture
def any_grads(any_dtype, rng):
    return [normals(rng, shape, any_dtype) for shape in SHAPES]


@pytest.mark.parametrize("order", ORDERS)
def test_unclipped_gradients_are_not_written(any_grads, order):
    norm = gradclip.global_norm(any_grads, ord=order)
    with unchanged(*any_grads):
        assert gradclip.clip_by_global_norm_(any_grads, 2 * norm, ord=order) == norm


@pytest.mark.parametrize("order", ORDERS)
def test_a_norm_equal_to_the_threshold_is_not_clipped(any_grads, order):
    norm = gradclip.global_norm(any_grads, ord=order)
    with unchanged(*any_grads):
        assert gradclip.clip_by_global_norm_(any_grads, norm, ord=order) == norm


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


@pytest.mark.parametrize("order", ORDERS)
def test_clipping_returns_the_norm_before_clipping_as_a_float(any_grads, order):
    expected = gradclip.global_norm(any_grads, ord=order)
    norm = gradclip.clip_by_global_norm_(any_grads, 0.5, ord=order)
    assert type(norm) is float
    assert norm == expected


def test_clipped_gradients_have_the_threshold_as_norm(any_grads):
    gradclip.clip_by_global_norm_(any_grads, 0.5)
    oracle.assert_norm_is_bounded(any_grads, 0.5)
    oracle.assert_norm_is_tight(any_grads, 0.5)


@pytest.mark.parametrize("order", ORDERS)
def test_directions_are_kept(any_grads, any_dtype, order):
    before = [reals(array) for array in any_grads]
    threshold = gradclip.global_norm(any_grads, ord=order) / 20
    norm = gradclip.clip_by_global_norm_(any_grads, threshold, ord=order)
    eps, subnormal = float(finfo(any_dtype).eps), float(finfo(any_dtype).smallest_subnormal)
    error = 4 * eps if order == 2 else 4 * eps + 2.0**-41  # of norms
    for new, old in zip(any_grads, before, strict=True):
        np.testing.assert_allclose(reals(new), old * (threshold / norm), error, subnormal)


def test_eps_is_added_to_the_norm(grads):
    norm = gradclip.clip_by_global_norm_(grads, 0.5, eps=0.25)
    target = Fraction(0.5) * Fraction(norm) / (Fraction(norm) + 1 / 4)
    oracle.assert_norm_is_bounded(grads, 0.5)
    squares = oracle.square_sum(*grads)
    assert squares <= (target * (1 + oracle.NORM_ERROR)) ** 2
    oracle.assert_norm_is_tight(grads, target)


def test_an_infinite_threshold_changes_nothing(any_grads):
    with unchanged(*any_grads):
        gradclip.clip_by_global_norm_(any_grads, math.inf)


@pytest.mark.parametrize("order", ORDERS)
def test_a_zero_threshold_stores_positive_zeros(any_grads, order):
    gradclip.clip_by_global_norm_(any_grads, 0.0, ord=order)
    for array in any_grads:
        assert array.tobytes() == bytes(array.nbytes)


@pytest.mark.parametrize("order", ORDERS)
def test_zero_gradients_are_not_written_by_a_zero_threshold(any_dtype, order):
    array = np.array([-0.0, 0.0], any_dtype)
    with unchanged(array):
        assert gradclip.clip_by_global_norm_(array, 0.0, ord=order) == 0.0


def test_unclipped_negative_zeros_and_subnormals_stay(any_dtype):
    array = np.array([-0.0, finfo(any_dtype).smallest_subnormal, 1.0], any_dtype)
    with unchanged(array):
        gradclip.clip_by_global_norm_(array, 1.1)


def test_clipped_zeros_stay_zero(any_dtype):
    array = np.array([0.0, 5.0, -0.0], any_dtype)
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


@pytest.mark.parametrize("order", ORDERS)
def test_zero_size_arrays_have_norm_zero(any_dtype, order):
    grads = [np.empty(0, any_dtype), np.empty((4, 0), any_dtype)]
    assert gradclip.global_norm(grads, ord=order) == 0.0
    assert gradclip.clip_by_global_norm_(grads, 0.0, ord=order) == 0.0
    one_more = [*grads, np.full(1, 2, any_dtype)]
    assert gradclip.clip_by_global_norm_(one_more, 1.0, ord=order) == 2.0


def test_zero_dimensional_arrays_are_clipped(any_dtype):
    array = np.array(-3.0, any_dtype)
    assert gradclip.clip_by_global_norm_(array, 1.5) == 3.0
    oracle.assert_norm_is_bounded([array], 1.5)
    oracle.assert_norm_is_tight([array], 1.5)
    assert array < 0


@pytest.mark.parametrize("others", ALL, ids=str)
def test_one_norm_for_arrays_of_several_dtypes(any_dtype, others):
    grads = [np.array([3.0], any_dtype), np.array([4.0], others)]
    assert gradclip.clip_by_global_norm_(grads, 2.5) == 5.0
    oracle.assert_norm_is_bounded(grads, 2.5)
    oracle.assert_norm_is_tight(grads, 2.5)
    parts = [array.item().real for array in grads]
    np.testing.assert_allclose(parts, [1.5, 2.0], rtol=4 * float(oracle.epsilon(grads)))


def test_numbers_of_other_types_are_thresholds():
    for max_norm in (1, np.float32(1), np.float64(1), np.int64(1)):
        array = np.full(4, 2.0)
        assert gradclip.clip_by_global_norm_(array, max_norm) == 4.0
        np.testing.assert_allclose(array, 0.5, rtol=1e-15)
