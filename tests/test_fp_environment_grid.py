"""The grid of magnitudes again in every floating-point environment: the same bits."""

import math

import fp_environment
import numpy as np
import pytest
from buffers import digest
from norm_grid import grid_array, pairs
from test_fp_environment import MODES, needs_control

import gradclip

pytestmark = [needs_control, pytest.mark.usefixtures("isa")]

SIZES = [1, 2, 33, 257, 2049]
CLIPPED = [3, 70]
ORDERS = [1, 2, math.inf]


def norms_of(arrays, lists):
    """Return norms with no other arithmetic."""
    norms = [gradclip.array_norms(arrays, ord=order) for order in ORDERS]
    return norms, [gradclip.global_norm(grads) for grads in lists]


def assert_same_in_every_mode(call, make_arguments, record_property):
    """Assert that a call has the same result in every mode, and leaves each as it is."""
    expected = bits(call(*make_arguments()))
    for mode in MODES:
        arguments = make_arguments()
        with fp_environment.changed(**mode):
            before = fp_environment.control_word()
            results = call(*arguments)
            after = fp_environment.control_word()
        assert bits(results) == expected, mode
        assert hex(after) == hex(before), mode
    record_property("cases", len(expected[1]) * len(MODES))


def bits(results):
    """Return the bits of arrays and of floats: NaN is not equal to itself."""
    arrays, floats = results
    return digest(*arrays), np.array(floats).tobytes()


def test_norms_of_the_grid(any_dtype, record_property):
    arrays = [grid_array(any_dtype, *pair, size) for pair in pairs(any_dtype) for size in SIZES]
    lists = [[array[:1], array[1:]] for array in arrays]

    assert_same_in_every_mode(norms_of, lambda: (arrays, lists), record_property)


def test_clips_of_the_grid(any_dtype, record_property):
    def make():
        return [
            [grid_array(any_dtype, *pair, size) for pair in pairs(any_dtype) for size in CLIPPED]
            for _ in range(3)
        ]

    def clip(tight, loose, scaled):
        """Return what is written, and the norms, with no other arithmetic."""
        norms = [gradclip.clip_by_global_norm_(g, 1e-9, nonfinite="propagate") for g in tight]
        norms += [gradclip.clip_by_global_norm_(g, 1e30, nonfinite="skip") for g in loose]
        gradclip.scale_(scaled, 0.3)
        return [*tight, *loose, *scaled], norms

    assert_same_in_every_mode(clip, make, record_property)


def test_long_arrays_on_several_threads(any_dtype, record_property):
    size = 700_000 // any_dtype.itemsize
    some = [("one", "subnormal"), ("tiny", "tiny"), ("max", "huge")]
    arrays = [grid_array(any_dtype, *pair, size) for pair in some]

    def norms():
        with gradclip.threads(3):
            return [gradclip.array_norms(arrays)], [gradclip.global_norm(arrays[:2])]

    assert_same_in_every_mode(norms, tuple, record_property)
