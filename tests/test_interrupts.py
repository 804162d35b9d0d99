"""Ctrl-C: before anything is written, or after everything is."""

import signal
import sys
import threading

import numpy as np
import pytest
from buffers import unchanged

import gradclip

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="needs interval timers"),
    pytest.mark.skipif(
        threading.current_thread() is not threading.main_thread(),
        reason="signal handlers run in the main thread",
    ),
]


@pytest.fixture
def default_sigint():
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("default_sigint")
def test_ctrl_c_inside_a_callable_leaves_everything_unwritten():
    grads = [np.ones(1000), np.ones(1000, np.float32)]

    def threshold(norm):
        signal.raise_signal(signal.SIGINT)
        return 0.5

    with unchanged(*grads), pytest.raises(KeyboardInterrupt):
        gradclip.clip_by_global_norm_(grads, threshold)


class Alarm(Exception):
    pass


@pytest.fixture
def alarm():
    """Return a function that raises Alarm in the main thread some seconds later."""

    def ring(number, frame):
        raise Alarm

    previous = signal.signal(signal.SIGALRM, ring)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)


def scale_until_interrupted(array, alarm, seconds):
    alarm(seconds)
    for _ in range(1000):  # far above what fits into the time
        gradclip.scale_(array, 0.5)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_signal_during_a_call_finds_all_or_nothing_written(threads, alarm):
    array = np.ones(6_000_000)
    with gradclip.threads(threads):
        for microseconds in range(200, 12_000, 600):
            array[:] = 1.0
            with pytest.raises(Alarm):
                scale_until_interrupted(array, alarm, microseconds * 1e-6)
            assert (array == array[0]).all()
