"""Thread counts: process-wide, for one thread, and calls from many threads at once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from buffers import same_bits
from dtypes import ALL as DTYPES
from dtypes import normals

import gradclip


def limit(n):
    with gradclip.threads(n):
        pass


SETTERS = [gradclip.set_num_threads, limit]


def in_another_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@pytest.mark.parametrize("n", [1, 2, 3, 64, 1024])
def test_what_is_set_is_what_one_gets(n):
    assert gradclip.set_num_threads(n) is None
    assert gradclip.get_num_threads() == n
    assert type(gradclip.get_num_threads()) is int
    assert in_another_thread(gradclip.get_num_threads) == n


@pytest.mark.parametrize("setter", SETTERS)
@pytest.mark.parametrize("n", [0, -1, 1025, 2**31, 2**63, 10**30, -(2**64) + 1])
def test_counts_out_of_range_are_refused(setter, n):
    before = gradclip.get_num_threads()
    with pytest.raises(ValueError, match="1024"):
        setter(n)
    assert gradclip.get_num_threads() == before


@pytest.mark.parametrize("setter", SETTERS)
@pytest.mark.parametrize("n", [2.0, "2", None, [2], np.float64(2), 2j], ids=repr)
def test_counts_that_are_no_integers_are_refused(setter, n):
    before = gradclip.get_num_threads()
    with pytest.raises(TypeError):
        setter(n)
    assert gradclip.get_num_threads() == before


@pytest.mark.parametrize("n", [1, 3, 1024])
def test_a_block_has_its_own_count(n):
    gradclip.set_num_threads(5)
    with gradclip.threads(n):
        assert gradclip.get_num_threads() == n
    assert gradclip.get_num_threads() == 5


def test_blocks_nest():
    gradclip.set_num_threads(5)
    with gradclip.threads(3):
        with gradclip.threads(7), gradclip.threads(2):
            assert gradclip.get_num_threads() == 2
        assert gradclip.get_num_threads() == 3
    assert gradclip.get_num_threads() == 5


def test_a_block_left_by_an_exception_restores_the_count():
    gradclip.set_num_threads(5)
    with pytest.raises(ZeroDivisionError), gradclip.threads(3):
        raise ZeroDivisionError
    assert gradclip.get_num_threads() == 5


def test_a_block_refused_inside_a_block_keeps_the_outer_count():
    with gradclip.threads(3):
        with pytest.raises(ValueError, match="1024"):
            limit(0)
        assert gradclip.get_num_threads() == 3


def test_a_block_is_for_its_own_thread():
    gradclip.set_num_threads(5)
    with gradclip.threads(3):
        assert in_another_thread(gradclip.get_num_threads) == 5


def test_a_process_wide_count_outlives_a_block():
    with gradclip.threads(3):
        gradclip.set_num_threads(6)
        assert in_another_thread(gradclip.get_num_threads) == 6
    assert gradclip.get_num_threads() == 6


def test_counts_may_change_between_calls(rng):
    array = rng.standard_normal(700_000)
    norms = set()
    for n in (1, 8, 2, 64, 1, 3):
        gradclip.set_num_threads(n)
        norms.add(gradclip.global_norm(array))
    assert len(norms) == 1


def test_counts_may_change_during_calls(rng):
    array = rng.standard_normal(700_000)
    expected = gradclip.global_norm(array)
    done = threading.Event()

    def change():
        while not done.is_set():
            for n in (1, 7, 2, 16):
                gradclip.set_num_threads(n)

    with ThreadPoolExecutor(3) as pool:
        pool.submit(change)
        norms = pool.map(gradclip.global_norm, [array] * 400)
        assert set(norms) == {expected}
        done.set()


@pytest.mark.usefixtures("isa", "num_threads")
def test_eight_python_threads_at_once_get_right_results(rng):
    def make():
        sizes = rng.integers(1, 400_000, 4)
        return [normals(rng, size, DTYPES[size % len(DTYPES)]) for size in sizes]

    work = [make() for _ in range(8)]
    expected = [[array.copy() for array in grads] for grads in work]
    with gradclip.threads(1):
        norms = [gradclip.clip_by_global_norm_(grads, 0.5) for grads in expected]
    start = threading.Barrier(len(work))

    def clip(grads):
        start.wait()
        copies = [[array.copy() for array in grads] for _ in range(5)]
        return copies, [gradclip.clip_by_global_norm_(copy, 0.5) for copy in copies]

    with ThreadPoolExecutor(len(work)) as pool:
        results = list(pool.map(clip, work))
    for (copies, found), clipped, norm in zip(results, expected, norms, strict=True):
        assert found == [norm] * 5
        for copy in copies:
            assert all(map(same_bits, copy, clipped))


def test_other_python_threads_run_during_a_long_call():
    ticks, done = [], threading.Event()

    def tick():
        while not done.wait(0.001):
            ticks.append(None)

    array = np.broadcast_to(np.float32(1.0), 2**28)
    with ThreadPoolExecutor(1) as pool, gradclip.threads(1):
        pool.submit(tick)
        while not ticks:
            time.sleep(0.001)
        before = len(ticks)
        norm = gradclip.global_norm(array)
        during = len(ticks) - before
        done.set()
    assert norm == 2.0**14
    assert during > 5  # it would be 0 or 1 if the call held the interpreter lock


def test_threads_without_work_sleep():
    with gradclip.threads(3):
        gradclip.global_norm(np.ones(4_000_000, np.float32))
    time.sleep(0.1)  # they look out for more at first
    before = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - before < 0.1
