"""Infinities and NaNs in long lists: at every edge of a block, on any number of threads."""

import math

import numpy as np
import pytest
from buffers import digest
from dtypes import reals

import gradclip

pytestmark = pytest.mark.usefixtures("isa")

BLOCK = 16384  # real numbers; chunks and what a worker has of them are whole blocks
MEGABYTES = 3.1  # worth 8 threads, which have ranges of their own
THREADS = [1, 2, 3, 8]
SHARES = [0.4, 0.001, 0.599]  # of the arrays of a list


@pytest.fixture
def grads(any_dtype):
    count = MEGABYTES * 2**20 / any_dtype.itemsize
    return [np.ones(int(share * count), any_dtype) for share in SHARES]


def edges(array):
    """Return the positions of the first and the last element of every block."""
    block = BLOCK // (2 if array.dtype.kind == "c" else 1)
    firsts = np.arange(0, array.size, block)
    return sorted({*firsts, *(firsts[1:] - 1), array.size - 1})


def places(grads, threads):
    """Return the positions of edges in all arrays: a quarter of them for each thread count."""
    every = [(i, position) for i, array in enumerate(grads) for position in edges(array)]
    return every[THREADS.index(threads) :: len(THREADS)]


def test_global_norm_finds_one_at_every_edge_of_a_block(grads, num_threads, record_property):
    bits = digest(*grads)
    at = places(grads, num_threads)
    missed = []
    for (i, position), (j, other) in zip(at, at[::-1], strict=True):
        grads[i][position] = math.inf
        if (found := gradclip.global_norm(grads)) != math.inf:
            missed.append((i, position, found))
        grads[j][other] = math.nan  # also where the infinity was
        if not math.isnan(found := gradclip.global_norm(grads)):
            missed.append((i, position, j, other, found))
        grads[i][position] = grads[j][other] = 1
    record_property("cases", 2 * len(at))
    assert missed == []
    assert digest(*grads) == bits


def test_a_clip_finds_the_array_at_every_edge_of_a_block(grads, num_threads, record_property):
    bits, modes, wrong = digest(*grads), ("raise", "skip"), []
    at = places(grads, num_threads)
    for k, (i, position) in enumerate(at):
        bad, mode = (math.nan, -math.inf)[k // 2 % 2], modes[k % 2]
        grads[i][position] = bad
        try:
            norm = gradclip.clip_by_global_norm_(grads, 0.5, nonfinite=mode)
            found = mode == "skip"
        except gradclip.NonFiniteNormError as error:
            norm = error.norm
            found = error.path == f"grads[{i}]"
        if not found or math.isnan(norm) != math.isnan(bad) or math.isfinite(norm):
            wrong.append((i, position, mode, norm))
        grads[i][position] = 1
    record_property("cases", len(at))
    assert wrong == []
    assert digest(*grads) == bits


def test_array_norms_tell_which_array_it_is(grads, num_threads, record_property):
    orders = (1, 2, math.inf)
    clean = {order: gradclip.array_norms(grads, ord=order) for order in orders}
    at = places(grads, num_threads)[::5]
    for k, (i, position) in enumerate(at):
        bad, order = (math.nan, math.inf)[k % 2], orders[k % 3]
        grads[i][position] = bad
        norms = gradclip.array_norms(grads, ord=order)
        assert math.isnan(norms[i]) if math.isnan(bad) else norms[i] == math.inf
        assert np.array_equal(np.delete(norms, i), np.delete(clean[order], i))
        grads[i][position] = 1
    record_property("cases", len(at))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_zero_and_propagate_reach_every_array(bad, grads, num_threads):
    i, position = places(grads, num_threads)[-1]
    grads[i][position] = bad
    cleared = [array.copy() for array in grads]
    gradclip.clip_by_global_norm_(cleared, 0.5, nonfinite="zero")
    assert all(array.tobytes() == bytes(array.nbytes) for array in cleared)
    gradclip.clip_by_global_norm_(grads, 0.5, nonfinite="propagate")
    if math.isnan(bad):
        assert all(np.isnan(reals(array)).all() for array in grads)
    else:
        assert np.isnan(grads[i][position])
        grads[i][position] = 0
        assert not any(reals(array).any() for array in grads)
