"""A callable max_norm: called once with the finite norm, between the passes."""

import math
import threading

import numpy as np
import oracle
import pytest
from buffers import same_bits, unchanged

import gradclip


class Recorder:
    def __init__(self, answer):
        self.answer = answer
        self.norms = []

    def __call__(self, norm):
        self.norms.append(norm)
        return self.answer(norm) if callable(self.answer) else self.answer


@pytest.fixture
def grads(dtype, rng):
    return [rng.standard_normal(size).astype(dtype) for size in (3, 700, 20_000)]


def test_called_once_with_the_norm_as_a_float(grads):
    threshold = Recorder(0.5)
    norm = gradclip.clip_by_global_norm_(grads, threshold)
    assert threshold.norms == [norm]
    assert type(threshold.norms[0]) is float


def test_its_answer_is_the_threshold(grads):
    fixed = [array.copy() for array in grads]
    gradclip.clip_by_global_norm_(fixed, 0.5)
    gradclip.clip_by_global_norm_(grads, Recorder(0.5))
    assert all(map(same_bits, grads, fixed))


@pytest.mark.parametrize("answer", [lambda norm: norm, lambda norm: 2 * norm, math.inf])
def test_a_loose_answer_leaves_every_byte(answer, grads):
    threshold = Recorder(answer)
    with unchanged(*grads):
        gradclip.clip_by_global_norm_(grads, threshold)
    assert len(threshold.norms) == 1


def test_an_answer_of_zero_stores_positive_zeros(grads):
    gradclip.clip_by_global_norm_(grads, lambda norm: 0)
    assert all(array.tobytes() == bytes(array.nbytes) for array in grads)


def test_called_for_no_gradients_too():
    for empty in ([], [None], np.empty(0)):
        threshold = Recorder(1.0)
        assert gradclip.clip_by_global_norm_(empty, threshold) == 0.0
        assert threshold.norms == [0.0]


@pytest.mark.parametrize("nonfinite", ["skip", "zero", "propagate"])
@pytest.mark.parametrize("values", [[1.0, math.nan], [math.inf], [1e308] * 4])
def test_not_called_for_a_non_finite_norm(nonfinite, values):
    threshold = Recorder(1.0)
    gradclip.clip_by_global_norm_(np.array(values), threshold, nonfinite=nonfinite)
    assert threshold.norms == []


def test_not_called_when_a_non_finite_norm_raises():
    threshold = Recorder(1.0)
    with pytest.raises(gradclip.NonFiniteNormError):
        gradclip.clip_by_global_norm_(np.array([math.nan]), threshold)
    assert threshold.norms == []


def test_not_called_for_bad_gradients():
    threshold = Recorder(1.0)
    with pytest.raises(TypeError):
        gradclip.clip_by_global_norm_([np.ones(2), np.ones(2, int)], threshold)
    array = np.ones(4)
    with pytest.raises(ValueError, match="share memory"):
        gradclip.clip_by_global_norm_([array, array], threshold)
    assert threshold.norms == []


@pytest.mark.parametrize("answer", [-1.0, math.nan, -math.inf])
def test_an_answer_out_of_range_is_a_value_error(answer, grads):
    with unchanged(*grads), pytest.raises(ValueError, match="max_norm"):
        gradclip.clip_by_global_norm_(grads, lambda norm: answer)


@pytest.mark.parametrize("answer", ["1", None, 1j, [1.0], abs], ids=repr)
def test_an_answer_that_is_no_number_is_a_type_error(answer, grads):
    with unchanged(*grads), pytest.raises(TypeError, match="max_norm"):
        gradclip.clip_by_global_norm_(grads, lambda norm: answer)


@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt, SystemExit, StopIteration])
def test_its_exceptions_pass_through_and_nothing_is_written(exception, grads):
    raised = exception("from the callable")

    def fail(norm):
        raise raised

    with unchanged(*grads), pytest.raises(exception) as caught:
        gradclip.clip_by_global_norm_(grads, fail)
    assert caught.value is raised


def test_it_runs_in_the_calling_thread(grads):
    threads = []
    gradclip.clip_by_global_norm_(grads, lambda norm: threads.append(threading.get_ident()) or 1.0)
    assert threads == [threading.get_ident()]


@pytest.mark.usefixtures("num_threads", "isa")
def test_it_may_call_gradclip(rng):
    grads = [rng.standard_normal(600_000), rng.standard_normal(20)]
    inner = rng.standard_normal(700_000).astype("f4")
    expected_inner, expected = inner.copy(), [array.copy() for array in grads]
    gradclip.clip_by_global_norm_(expected_inner, 0.25)
    gradclip.clip_by_global_norm_(expected, 0.5)

    def threshold(norm):
        assert gradclip.global_norm(grads) == norm
        gradclip.clip_by_global_norm_(inner, lambda inner_norm: 0.25)
        return 0.5

    gradclip.clip_by_global_norm_(grads, threshold)
    assert same_bits(inner, expected_inner)
    assert all(map(same_bits, grads, expected))


def test_it_may_change_the_containers(rng):
    arrays = [rng.standard_normal(1000) for _ in range(3)]
    grads = {"a": arrays[0], "b": [arrays[1], arrays[2]]}

    def threshold(norm):
        grads["b"].clear()
        grads.clear()
        return 0.5

    gradclip.clip_by_global_norm_(grads, threshold)
    oracle.assert_norm_is_bounded(arrays, 0.5)
    oracle.assert_norm_is_tight(arrays, 0.5)


def test_it_may_drop_the_last_reference_to_an_array(rng):
    grads = [rng.standard_normal(200_000)]
    assert gradclip.clip_by_global_norm_(grads, lambda norm: grads.clear() or 0.5) > 0.5
    assert grads == []


def test_functional_clip_calls_it_once(grads):
    threshold = Recorder(0.5)
    with unchanged(*grads):
        clipped, norm = gradclip.clip_by_global_norm(grads, threshold)
    assert threshold.norms == [norm]
    oracle.assert_norm_is_bounded(clipped, 0.5)
