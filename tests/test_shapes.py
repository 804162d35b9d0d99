"""Norm, clip and scale at every length around lanes and blocks, misalignment and thread count."""

import functools
import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
from buffers import digest, guarded, same_bits
from dtypes import normals, times

import gradclip

LANES, BLOCK = 32, 16384
SIZES = [0, 1, LANES - 1, LANES, LANES + 1, BLOCK - 1, BLOCK, BLOCK + 1, 8 * BLOCK + 2]
OFFSETS = [0, 1, 4, 8, 63]  # bytes past a cache line; 1 and 63 misalign every element

pytestmark = [
    pytest.mark.usefixtures("isa", "num_threads"),
    pytest.mark.parametrize("size", SIZES),
]


@functools.cache
def sample(size, dtype):
    values = normals(np.random.default_rng(size), size, dtype)
    values.flags.writeable = False
    return values


@functools.cache
def exact_squares(size, dtype):
    return oracle.square_sum(sample(size, dtype))


@functools.cache
def toward_zero(size, dtype, factor):
    return oracle.times_toward_zero(sample(size, dtype), factor)


@functools.cache
def pi_times(size, dtype):
    return times(sample(size, dtype), math.pi)


def copies(size, dtype):
    """Yield a copy of the sample at each offset, and the buffer around it."""
    for offset in OFFSETS:
        yield guarded(sample(size, dtype), offset)


def assert_guards_are_intact(array, buffer):
    start = array.ctypes.data - buffer.ctypes.data
    assert (buffer[:start] == 0xA5).all()
    assert (buffer[start + array.nbytes :] == 0xA5).all()


def test_norm(size, any_dtype):
    norms = {gradclip.global_norm(array) for array, _ in copies(size, any_dtype)}
    norm = Fraction(norms.pop())
    assert not norms
    if oracle.is_narrow(sample(size, any_dtype)):
        assert oracle.is_within(norm, exact_squares(size, any_dtype), oracle.NORM_ERROR)
    else:
        assert oracle.is_within_one_ulp(norm, exact_squares(size, any_dtype))


def test_clip_multiplies_every_element_toward_zero_and_no_other_byte(size, dtype):
    for array, buffer in copies(size, dtype):
        norm = gradclip.clip_by_global_norm_(array, 0.25)
        assert_guards_are_intact(array, buffer)
        if size == 0:
            assert norm == 0.0
            continue
        factor = dtype.type(0.25 / norm)
        candidates = [factor]
        for _ in range(4):
            candidates.append(np.nextafter(candidates[-1], dtype.type(0)))
        products = (toward_zero(size, dtype, candidate) for candidate in candidates)
        assert any(same_bits(array, product) for product in products)


def test_scale_multiplies_every_element_and_no_other_byte(size, any_dtype):
    for array, buffer in copies(size, any_dtype):
        gradclip.scale_(array, math.pi)
        assert_guards_are_intact(array, buffer)
        assert same_bits(array, pi_times(size, any_dtype))


def test_loose_clip_changes_nothing(size, any_dtype):
    for array, buffer in copies(size, any_dtype):
        before = digest(buffer)
        gradclip.clip_by_global_norm_(array, 1e6)
        assert digest(buffer) == before
