"""What is found first: arguments, leaves in order, overlap, non-finite values, the threshold."""

import math

import numpy as np
import pytest
from buffers import unchanged

import gradclip

IN_ORDER = {
    "argument": ("nonfinite", ValueError),
    "leaf": (r"grads\[0\]", TypeError),
    "later leaf": (r"grads\[1\].*read-only", ValueError),
    "overlap": (r"grads\[2\].*grads\[3\]", ValueError),
    "non-finite": (r"grads\[4\]", gradclip.NonFiniteNormError),
    "answer": ("max_norm", ValueError),
}


def clip_with_faults(faults):
    """Clip gradients that have these faults of IN_ORDER, and assert that none was written."""
    shared = np.ones(4)
    arrays = [np.ones(3), np.ones(3), shared, shared[:2].copy(), np.ones(3)]
    if "leaf" in faults:
        arrays[0] = np.ones(3, int)
    if "later leaf" in faults:
        arrays[1].flags.writeable = False
    if "overlap" in faults:
        arrays[3] = shared[1:]
    if "non-finite" in faults:
        arrays[4][1] = np.nan
    answer = -1.0 if "answer" in faults else 1.0
    policy = "no such" if "argument" in faults else "raise"
    with unchanged(*arrays):
        gradclip.clip_by_global_norm_(arrays, lambda norm: answer, nonfinite=policy)


@pytest.mark.parametrize("number", range(len(IN_ORDER)))
def test_the_first_of_all_faults_is_reported(number):
    faults = list(IN_ORDER)[number:]
    match, error = IN_ORDER[faults[0]]
    with pytest.raises(error, match=match):
        clip_with_faults(faults)


@pytest.mark.parametrize("fault", IN_ORDER)
def test_each_fault_alone_is_reported(fault):
    match, error = IN_ORDER[fault]
    with pytest.raises(error, match=match):
        clip_with_faults([fault])


def test_leaves_are_checked_in_traversal_order_whatever_their_fault():
    read_only = np.ones(3)
    read_only.flags.writeable = False
    self_overlapping = np.lib.stride_tricks.as_strided(np.ones(3), (2, 2), (8, 8))
    faults = [(read_only, ValueError), (np.ones(2, int), TypeError), (self_overlapping, ValueError)]
    for first, error in faults:
        for second, _ in faults:
            if first is not second:
                with pytest.raises(error, match=r"grads\['a'\]"):
                    gradclip.clip_by_global_norm_({"a": first, "b": [second]}, 1.0)


def test_in_one_leaf_dtype_comes_before_writeable_before_self_overlap():
    read_only_integers = np.broadcast_to(np.int64(1), 3)
    with pytest.raises(TypeError, match="int64"):
        gradclip.scale_(read_only_integers, 2.0)
    with pytest.raises(ValueError, match="read-only"):
        gradclip.scale_(np.broadcast_to(1.0, 3), 2.0)


def test_leaves_are_checked_even_if_nothing_will_be_written():
    grads = [np.ones(3), np.ones(3, int)]
    with pytest.raises(TypeError):
        gradclip.clip_by_global_norm_(grads, float("inf"))
    with pytest.raises(TypeError):
        gradclip.clip_with_norm_(grads, 2.0, 1.0)


OTHERS_IN_ORDER = {
    "argument": (r"^(ord|low) must be", ValueError),
    "leaf": (r"grads\[0\]", TypeError),
    "complex": (r"grads\[1\] is complex", TypeError),
    "overlap": (r"grads\[2\].*grads\[3\]", ValueError),
    "axis": (r"grads\[1\] has no axis", ValueError),
    "values": (r"grads\[4\]", (gradclip.NonFiniteNormError, ValueError)),
}
ONLY_OF = {"complex": gradclip.clip_by_value_, "axis": gradclip.clip_by_norm_}


@pytest.mark.parametrize("clip", [gradclip.clip_by_norm_, gradclip.clip_by_value_])
@pytest.mark.parametrize("number", range(len(OTHERS_IN_ORDER) - 1))
def test_clips_of_arrays_and_of_numbers_report_the_first_of_all_faults(clip, number):
    faults = [fault for fault in OTHERS_IN_ORDER if ONLY_OF.get(fault, clip) is clip][number:]
    by_norm = clip is gradclip.clip_by_norm_
    shared = np.full(4, 9.0)
    arrays = [np.full(3, 9.0), np.full(3, 9.0), shared, shared[1:].copy(), np.full(3, 9.0)]
    if "leaf" in faults:
        arrays[0] = np.ones(3, int)
    if "overlap" in faults:
        arrays[3] = shared[1:]
    if "axis" in faults:
        arrays[1] = np.array(9.0)
    if "complex" in faults:
        arrays[1] = np.full(3, 9j)
    arrays[4] = np.array([9, np.nan]) if by_norm else np.full(3, 9, "f4")
    bad = "argument" in faults
    bounds = (1.0,) if by_norm else (math.nan if bad else 1 + 1e-12, 1 + 2e-12)
    options = {"ord": 0 if bad else 2, "axis": 0} if by_norm else {}
    match, error = OTHERS_IN_ORDER[faults[0]]
    with unchanged(*arrays), pytest.raises(error, match=match):
        clip(arrays, *bounds, **options)
