"""Calls from many Python threads, while counts change, threads come and go, and others compute."""

import asyncio
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from pool_work import EXPECTED, clips, sample, works
from subprocesses import output_of

import gradclip


def together(*functions):
    """Run these at once, each in a thread of its own; return what they return."""
    start = threading.Barrier(len(functions))

    def run(function):
        start.wait()
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result() for future in [pool.submit(run, f) for f in functions]]


@pytest.mark.parametrize("counts", [[1, 64, 1024], [1024, 2, 64, 3, 1]], ids=str)
def test_clips_while_the_count_jumps(counts):
    done = threading.Event()

    def change():
        while not done.is_set():
            for n in counts:
                gradclip.set_num_threads(n)
                clips()

    def clip():
        return [clips() for _ in range(20)]

    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        found = together(clip, clip, clip)
        done.set()
        changing.result()
    assert found == [[True] * 20] * 3
    assert works(1024)


def test_sixteen_threads_read_one_array_and_clip_their_own():
    gradclip.set_num_threads(4)
    shared = sample()
    before = [array.copy() for array in shared]

    def read_and_clip():
        norms = {gradclip.global_norm(shared) for _ in range(10)}
        return norms == {EXPECTED[0]} and all(clips() for _ in range(3))

    assert all(together(*[read_and_clip] * 16))
    assert all(map(np.array_equal, shared, before))


def test_threads_that_live_for_one_call():
    gradclip.set_num_threads(3)
    found = []
    for _ in range(25):
        threads = [threading.Thread(target=lambda: found.append(clips())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [True] * 100


def test_overlapping_blocks_of_two_threads():
    gradclip.set_num_threads(5)
    step = threading.Barrier(2, timeout=60)

    def block(n, fails):
        seen = [gradclip.get_num_threads()]
        step.wait()
        try:
            with gradclip.threads(n):
                step.wait()
                seen.append(gradclip.get_num_threads())
                right = clips()
                step.wait()
                if fails:
                    raise ZeroDivisionError
                step.wait()  # the other one has left its block
                seen.append(gradclip.get_num_threads())
        except ZeroDivisionError:
            seen.append(gradclip.get_num_threads())
            step.wait()
        seen.append(gradclip.get_num_threads())
        return right, seen

    failed, other = together(lambda: block(2, True), lambda: block(7, False))
    assert failed == (True, [5, 2, 5, 5])
    assert other == (True, [5, 7, 7, 5])


def test_a_block_in_a_suspended_generator_is_for_its_thread_until_it_is_closed():
    gradclip.set_num_threads(5)

    def generate():
        with gradclip.threads(3):
            yield gradclip.get_num_threads()
            yield gradclip.get_num_threads()

    def counts_around():
        counts = [gradclip.get_num_threads()]
        generator = generate()
        counts.append(next(generator))
        counts += together(gradclip.get_num_threads)  # in another thread
        with gradclip.threads(2):
            counts += [gradclip.get_num_threads(), next(generator)]
        counts.append(gradclip.get_num_threads())
        generator.close()
        return [*counts, gradclip.get_num_threads()]

    expected = [5, 3, 5, 2, 2, 3, 5]
    assert together(counts_around, counts_around) == [expected] * 2
    assert counts_around() == expected


def test_asyncio():
    gradclip.set_num_threads(3)

    async def main():
        calls = [asyncio.to_thread(clips) for _ in range(10)]
        loop = asyncio.get_running_loop()
        calls += [loop.run_in_executor(None, works, n) for n in (1, 2, 8)]
        return await asyncio.gather(*calls)

    assert all(asyncio.run(main()))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_pool_beside_a_thread_pool():
    gradclip.set_num_threads(3)
    with ThreadPoolExecutor(2) as threads, ProcessPoolExecutor(2) as processes:
        here = [threads.submit(works, 3) for _ in range(10)]
        there = [processes.submit(works, 3) for _ in range(10)]
        assert all(future.result(60) for future in here + there)


def test_openblas_busy_in_other_threads():
    gradclip.set_num_threads(8)
    done = threading.Event()
    factor = np.full((300, 300), 0.5)

    def multiply():
        right = True
        while not done.is_set():
            right &= bool((factor @ factor == 75.0).all())
        return right

    def clip():
        found = [clips() for _ in range(30)]
        done.set()
        return all(found)

    assert together(multiply, multiply, clip) == [True] * 3


def test_far_more_threads_than_processors_from_the_environment():
    code = f"""
import sys
sys.path.insert(0, {__file__.rpartition("/")[0]!r})
import gradclip
from pool_work import clips
print(gradclip.get_num_threads(), all(clips() for _ in range(20)))
"""
    assert output_of(code, GRADCLIP_NUM_THREADS="64") == "64 True"
