"""Containers that another thread changes, and arrays whose last reference goes, during a call."""

import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from buffers import same_bits
from dlpack_producers import EXPORTS, Producer

import gradclip

SIZE = 4_000_000  # two of them take more than the 1 ms from which on the GIL is released


@pytest.fixture(autouse=True)
def prompt_switches():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def emptied(container):
    """Drop what a container holds, and fill other memory of that size with what would show."""
    container.clear()
    return [np.full(SIZE, np.nan, np.float32) for _ in range(2)]


CONTAINERS = {
    "list": list,
    "dict": lambda arrays: dict(enumerate(arrays)),
}


def large():
    """Return two arrays, whose only references these are, and their clipped copies and norm."""
    arrays = [np.full(SIZE, value, np.float32) for value in (2, -3)]
    expected = [np.full(10, value, np.float32) for value in (2, -3)]
    norm = (13 * SIZE) ** 0.5
    factor = gradclip.clip_with_norm_([], 1.0, gradclip.global_norm(arrays))
    gradclip.scale_(expected, factor)
    return arrays, expected, norm


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_a_container_emptied_without_the_gil(make):
    for _ in range(5):
        arrays, expected, norm = large()
        alive = [weakref.ref(array) for array in arrays]
        grads = make(arrays)
        del arrays
        start = threading.Barrier(2)

        def call(grads=grads, start=start):
            start.wait()
            return gradclip.clip_by_global_norm_(grads, 1.0)

        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(call)
            start.wait()
            junk = emptied(grads)
            found = future.result()
        del future
        assert found in (0.0, pytest.approx(norm, rel=1e-12), pytest.approx(2 * SIZE**0.5), 0.0)
        assert all(np.isnan(array).all() for array in junk)
        assert all(array() is None for array in alive)
        assert len(expected) == 2


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_a_container_emptied_by_another_thread_while_the_callable_runs(make):
    arrays = [np.full(50, value, dtype) for value in (2, -3) for dtype in ("f4", "f8", "f2")]
    expected = [array.copy() for array in arrays]
    norm = gradclip.clip_by_global_norm_(expected, 1.0)
    grads = make([array[:] for array in arrays])

    def change():
        grads.clear()
        if isinstance(grads, list):
            grads.extend(np.full(50, np.nan) for _ in range(99))
        else:
            grads.update((i, np.full(50, np.nan)) for i in range(99))

    def max_norm(_):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(change).result()
        return 1.0

    assert gradclip.clip_by_global_norm_(grads, max_norm) == norm
    assert all(map(same_bits, arrays, expected))
    assert len(grads) == 99


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_the_nesting_that_comes_back_is_the_one_that_was_read(make):
    grads = make([np.full(50, 2.0), np.full(50, -3.0)])
    expected, norm = gradclip.clip_by_global_norm(make([np.full(50, 2.0), np.full(50, -3.0)]), 1.0)

    def max_norm(_):
        grads.clear()
        return 1.0

    clipped, found = gradclip.clip_by_global_norm(grads, max_norm)
    assert found == norm
    assert len(clipped) == 2
    assert all(same_bits(clipped[i], expected[i]) for i in range(2))


def test_arrays_live_until_the_call_that_lost_them_has_written_them():
    class Watched(np.ndarray):
        pass

    grads = [np.full(SIZE, 2, np.float32).view(Watched), np.full(3, 2.0).view(Watched)]
    alive = [weakref.ref(array) for array in grads]
    seen = []

    def drop(norm):
        grads.clear()
        seen.extend(array() is not None for array in alive)
        return 1.0

    gradclip.clip_by_global_norm_(grads, drop)
    assert seen == [True, True]
    assert [array() for array in alive] == [None, None]


def test_an_export_that_drops_the_arrays_before_and_after_it():
    memory = [np.full(50, 2.0) for _ in range(3)]
    grads = []

    class Dropping(Producer):
        def __dlpack__(self, **arguments):
            capsule = super().__dlpack__(**arguments)
            grads.clear()
            return capsule

    grads += [memory[0][:], Dropping(memory[1]), memory[2][:]]
    assert gradclip.clip_by_global_norm_(grads, 1.0) == 20.0  # the third was gone by then
    assert gradclip.global_norm(memory[:2]) <= 1.0
    assert (memory[2] == 2).all()
    assert not EXPORTS.living
