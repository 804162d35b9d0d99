"""Signal handlers that call, and Ctrl-C in the middle of a long call."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pool_work import clips, sample, works

import gradclip

pytestmark = [
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers"),
    pytest.mark.skipif(
        threading.current_thread() is not threading.main_thread(),
        reason="signal handlers run in the main thread",
    ),
]

CLIPPED = sample()
with gradclip.threads(1):
    gradclip.clip_by_global_norm_(CLIPPED, 0.5)


@pytest.fixture
def handle():
    """Return a function that handles a signal until the test is over."""
    before = {}

    def install(number, handler):
        before.setdefault(number, signal.signal(number, handler))

    yield install
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_handler_that_calls_between_and_inside_calls(threads, handle):
    gradclip.set_num_threads(threads)
    found = []

    def ring_again():
        signal.setitimer(signal.ITIMER_REAL, 5e-3)  # once: handlers would pile up in each other

    def ring(number, frame):
        found.append(clips())
        ring_again()

    def threshold(norm):
        before = len(found)
        signal.raise_signal(signal.SIGALRM)
        return 0.5 if len(found) > before else None

    handle(signal.SIGALRM, ring)
    ring_again()
    right = []
    for _ in range(8):
        grads = sample()
        gradclip.clip_by_global_norm_(grads, threshold)
        right += [clips(), (grads[1] == CLIPPED[1]).all()]
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert all(right)
    assert len(found) > 8
    assert all(found)


def test_a_handler_that_calls_and_raises_inside_a_callable(handle):
    gradclip.set_num_threads(3)

    def ring(number, frame):
        assert clips()
        raise ZeroDivisionError

    def threshold(norm):
        signal.raise_signal(signal.SIGALRM)
        return 0.5

    handle(signal.SIGALRM, ring)
    grads = sample()
    with pytest.raises(ZeroDivisionError):
        gradclip.clip_by_global_norm_(grads, threshold)
    assert clips(grads)  # nothing had been written


@pytest.mark.parametrize("threads", [1, 3])
def test_ctrl_c_during_a_long_call_comes_when_all_is_written(threads, handle):
    handle(signal.SIGINT, signal.default_int_handler)
    array = np.ones(8_000_000)
    calling, stopped = threading.Event(), threading.Event()

    def interrupt(seconds):
        calling.wait(60)
        stopped.wait(seconds)
        os.kill(os.getpid(), signal.SIGINT)

    def scale_for_ever():
        calling.set()
        while True:
            gradclip.scale_(array, 0.5)

    with ThreadPoolExecutor(1) as other, gradclip.threads(threads):
        for milliseconds in range(1, 13, 3):
            array[:] = 1.0
            calling.clear()
            interrupted = other.submit(interrupt, milliseconds * 1e-3)
            with pytest.raises(KeyboardInterrupt):
                scale_for_ever()
            interrupted.result()
            assert (array == array[0]).all()
    assert works(threads)
