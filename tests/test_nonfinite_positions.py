"""Infinities and NaNs are found at every single position of short arrays."""

import math

import numpy as np
import pytest
from buffers import digest
from dtypes import reals

import gradclip

pytestmark = pytest.mark.usefixtures("isa")

ORDERS = [1, 2, 3, math.inf]
BAD = [math.nan, math.inf, -math.inf]
LONGEST = 200
SOME_SIZES = [*range(1, 13), 31, 32, 33, 34, 63, 64, 65, 100, 129]
OFFSETS = [0, 1]  # in bytes: rows then begin at all addresses that the dtype has, or odd ones


def one_each(size, dtype, bad, offset=0):
    """Return a square of ones with the bad value at another position in each row."""
    memory = np.empty(size * size * dtype.itemsize + offset, np.uint8)
    square = memory[offset:].view(dtype).reshape(size, size)
    square[...] = 1
    np.fill_diagonal(square, bad)
    return square


def is_as_bad(norms, bad):
    """Tell whether norms are all NaN, or all inf."""
    return np.isnan(norms) if math.isnan(bad) else np.isposinf(norms)


@pytest.mark.parametrize("bad", BAD)
def test_at_every_position_of_short_arrays(bad, any_dtype, record_property):
    cases = 0
    for size in range(1, LONGEST + 1):
        for offset in OFFSETS:
            rows = list(one_each(size, any_dtype, bad, offset))
            for order in ORDERS:
                norms = gradclip.array_norms(rows, ord=order)
                assert is_as_bad(norms, bad).all(), (size, offset, order, norms)
                cases += size
    record_property("cases", cases)


def test_a_nan_beats_an_infinity_at_every_position(any_dtype, record_property):
    cases = 0
    for size in range(2, LONGEST + 1):
        square = one_each(size, any_dtype, math.nan, offset=1)
        places = np.arange(size)
        for distance in {1, size // 2, size - 1}:
            apart = (places + distance) % size
            square[places, apart] = math.inf if size % 2 else -math.inf
            for order in ORDERS:
                norms = gradclip.array_norms(list(square), ord=order)
                assert np.isnan(norms).all(), (size, distance, order, norms)
                cases += size
            square[places, apart] = 1
    record_property("cases", cases)


@pytest.mark.parametrize("bad", BAD[:2])
def test_global_norm_and_skip_at_every_position(bad, any_dtype, record_property):
    cases, before, after = 0, np.full(5, -2, any_dtype), np.full(33, 3, any_dtype)
    for size in [*range(1, 70), 100, 129, LONGEST]:
        square = one_each(size, any_dtype, bad)
        bits = digest(square)
        found = [gradclip.global_norm([before, row, after]) for row in square]
        found += [gradclip.global_norm(row) for row in square]
        found += [gradclip.clip_by_global_norm_(row, 0.5, nonfinite="skip") for row in square]
        assert is_as_bad(found, bad).all(), (size, found)
        assert digest(square) == bits, size
        cases += len(found)
    record_property("cases", cases)


@pytest.mark.parametrize("bad", BAD)
def test_raise_writes_nothing_and_names_the_array_at_every_position(
    bad, any_dtype, record_property
):
    cases, good, later = 0, np.full(5, -2, any_dtype), np.full(3, math.nan, any_dtype)
    for size in SOME_SIZES:
        square = one_each(size, any_dtype, bad)
        bits = digest(square, good, later)
        for row in square:
            with pytest.raises(gradclip.NonFiniteNormError) as error:
                gradclip.clip_by_global_norm_([good, row, later], 0.5)
            assert error.value.path == "grads[1]", size
            cases += 1
        assert digest(square, good, later) == bits, size
    record_property("cases", cases)


@pytest.mark.parametrize("bad", BAD)
def test_zero_clears_an_array_at_every_position(bad, any_dtype, record_property):
    cases = 0
    for size in SOME_SIZES:
        square = one_each(size, any_dtype, bad)
        norms = [gradclip.clip_by_global_norm_(row, 0.5, nonfinite="zero") for row in square]
        assert is_as_bad(norms, bad).all(), (size, norms)
        assert square.tobytes() == bytes(square.nbytes), size
        cases += size
    record_property("cases", cases)


@pytest.mark.parametrize("bad", BAD)
def test_propagate_keeps_the_position(bad, any_dtype, record_property):
    cases = 0
    for size in SOME_SIZES:
        square = one_each(size, any_dtype, bad)
        norms = [gradclip.clip_by_global_norm_(row, 0.5, nonfinite="propagate") for row in square]
        assert is_as_bad(norms, bad).all(), (size, norms)
        on_diagonal = np.eye(size, dtype=bool)
        if math.isnan(bad):
            assert np.isnan(reals(square)).all(), size
        else:  # inf · 0; the imaginary part beside it is 0
            assert np.isnan(reals(square.real[on_diagonal])).all(), size
            assert not reals(square[~on_diagonal]).any(), size
        cases += size
    record_property("cases", cases)
