"""Norms of a first number and many times another one, of every magnitude, at every length."""

import itertools
import math

import numpy as np
import pytest
from dtypes import ALL
from norm_grid import fill, is_right, pairs, set_first, values_of

import gradclip

# Real numbers: around a row of 32 lanes, several rows, the 64 rows from which a block is sampled
# in four places, and a block.
SHORT = [*range(1, 10), 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 95, 96, 97, 127, 128, 129]
SHORT += [255, 256, 257, 1000, 1023, 1024, 1025, 2047, 2048, 2049]
BLOCKS = [16382, 16383, 16384, 16385, 16386, 16417, 5 * 16384 + 1]
LONG = 10**6
STRIDES = [1, 2, -1, -3]
THREADS = [1, 2, 3, 8]
REALS = [dtype for dtype in ALL if dtype.kind != "c"]


def elements(count, dtype):
    """Return how many elements hold at least so many real numbers."""
    return -(-count // (2 if dtype.kind == "c" else 1))


def spaced(array, stride, rest):
    """Fill every |stride|-th element and leave NaN between; return that view."""
    if abs(stride) > 1:
        fill(array, "nan")
    view = array[::stride]
    fill(view, rest)
    return view


def grid(dtype, counts):
    """Yield every pair and stride, and a view of every size, which begins with the first number."""
    sizes = sorted({elements(count, dtype) for count in counts})
    array = np.empty(3 * sizes[-1], dtype)
    for stride, rest in itertools.product(STRIDES, values_of(dtype)):
        view = spaced(array, stride, rest)
        for first in values_of(dtype):
            set_first(view, first, rest)
            for size in sizes:
                yield first, rest, stride, view[:size]


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("counts", [SHORT, BLOCKS], ids=["rows", "blocks"])
def test_norm_of_one_number_and_many_of_another(counts, any_dtype, record_property):
    wrong, cases = [], 0
    for first, rest, stride, view in grid(any_dtype, counts):
        norm = gradclip.global_norm(view)
        if not is_right(norm, any_dtype, first, rest, view.size):
            wrong.append((first, rest, view.size, stride, norm))
        cases += 1
    record_property("cases", cases)
    assert wrong == []


@pytest.mark.usefixtures("isa")
def test_norm_of_a_million_numbers_on_any_number_of_threads(any_dtype, record_property):
    size = elements(LONG, any_dtype)
    array = np.empty(3 * size, any_dtype)
    ways = itertools.cycle(itertools.product(STRIDES, THREADS))
    wrong, cases, filled = [], 0, None
    some = list(pairs(any_dtype))[::3]  # each number comes first, and each is the rest
    for (rest, first), (stride, threads) in zip(some, ways, strict=False):
        if filled != rest:
            fill(array, filled := rest)
        view = array[::stride][:size]
        set_first(view, first, rest)
        with gradclip.threads(threads):
            norm = gradclip.global_norm(view)
        fill(view[:1], rest)
        if not is_right(norm, any_dtype, first, rest, size):
            wrong.append((first, rest, stride, threads, norm))
        cases += 1
    record_property("cases", cases)
    assert wrong == []


@pytest.mark.usefixtures("isa")
def test_norm_of_both_in_arrays_of_their_own(any_dtype, record_property):
    sizes = [elements(count, any_dtype) for count in (3, 33, 1000, 16385, 40_000)]
    array = np.empty(sizes[-1], any_dtype)
    wrong, cases = [], 0
    for rest, first in pairs(any_dtype):
        fill(array, rest)
        set_first(array, first, rest)
        for size in sizes:
            apart = [array[:1], array[1:size]]
            halves = [array[size // 2 : size], array[: size // 2]]
            for grads in (apart, apart[::-1], halves):
                norm = gradclip.global_norm(grads)
                if not is_right(norm, any_dtype, first, rest, size):
                    wrong.append((first, rest, size, [len(part) for part in grads], norm))
                cases += 1
    record_property("cases", cases)
    assert wrong == []


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("order", [1, math.inf])
@pytest.mark.parametrize("dtype", REALS, ids=str)  # moduli of complex numbers are irrational
def test_orders_one_and_inf_of_one_number_and_many_of_another(order, dtype, record_property):
    wrong, cases = [], 0
    for first, rest, stride, view in grid(dtype, [1, 2, 31, 33, 257, 2049, 16383, 16385, 16417]):
        norm = gradclip.global_norm(view, ord=order)
        if not is_right(norm, dtype, first, rest, view.size, order):
            wrong.append((first, rest, view.size, stride, norm))
        cases += 1
    record_property("cases", cases)
    assert wrong == []
