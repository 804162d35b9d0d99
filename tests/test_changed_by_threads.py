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
CALLS = 4


@pytest.fixture(autouse=True)
def prompt_switches():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


CONTAINERS = {
    "list": list,
    "dict": lambda arrays: dict(enumerate(arrays)),
}


def sample():
    return [np.full(SIZE, value, np.float32) for value in (2, -3)]


def norm_while_emptied(make, arrays):
    """Clip arrays whose container another thread empties once the last leaf has been reached."""
    reached = threading.Event()

    class Last(Producer):
        def __dlpack__(self, **arguments):
            reached.set()
            return super().__dlpack__(**arguments)

    grads = make([*arrays, Last(np.zeros(3))])
    arrays.clear()

    def empty():
        reached.wait()
        grads.clear()
        return [np.full(SIZE, np.nan, np.float32) for _ in range(2)]  # in the memory given back

    with ThreadPoolExecutor(1) as pool:
        junk = pool.submit(empty)
        norm = gradclip.clip_by_global_norm_(grads, 1.0)
        assert all(np.isnan(array).all() for array in junk.result())
    assert not grads
    return norm


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_container_emptied_without_the_gil(make, threads, record_property):
    expected = sample()
    norm = gradclip.clip_by_global_norm_(expected, 1.0)
    for _ in range(CALLS):
        memory = sample()
        with gradclip.threads(threads):
            assert norm_while_emptied(make, [array[:] for array in memory]) == norm
            assert norm_while_emptied(make, sample()) == norm  # the last references go
        assert all(np.array_equal(*pair) for pair in zip(memory, expected, strict=True))
    record_property("cases", 2 * CALLS)


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
