"""fork, spawn and exit, with the pool started and in the middle of work."""

import multiprocessing
import os

import pytest
from subprocesses import TIMEOUT, output_of
from worker import norm_and_digest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

PREPARE = f"""
import os, signal, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads
sys.path.insert(0, {os.path.dirname(__file__)!r})
import gradclip
from worker import norm_and_digest, sample

signal.alarm({TIMEOUT // 2})  # ends a hung child too

def forked(work):
    '''Run work in a forked child; return whether it succeeded.'''
    child = os.fork()
    if child == 0:
        try:
            signal.alarm({TIMEOUT // 2})
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0

expected = norm_and_digest(1)

def works(threads=3):
    return norm_and_digest(threads) == expected
"""


def assert_true(expression):
    assert output_of(PREPARE + f"print({expression})") == "True"


@needs_fork
def test_a_child_of_a_process_without_a_pool():
    assert_true("forked(works)")


@needs_fork
def test_a_child_of_a_process_with_a_pool():
    assert_true("works() and forked(works)")


@needs_fork
def test_a_child_uses_one_thread_too():
    assert_true("works() and forked(lambda: works(1))")


@needs_fork
def test_the_parent_goes_on():
    assert_true("works() and forked(works) and works() and works(8)")


@needs_fork
def test_children_one_after_another_and_in_each_other():
    assert_true(
        "works() and all(forked(lambda: works() and forked(works) and works()) for _ in range(5))"
    )


@needs_fork
def test_a_child_forked_inside_a_callable():
    code = """
answers = []
def threshold(norm):
    answers.append(forked(works))
    return 0.5

with gradclip.threads(3):
    gradclip.clip_by_global_norm_(sample(), threshold)
print(answers == [True] and works())
"""
    assert output_of(PREPARE + code) == "True"


@needs_fork
def test_a_child_forked_while_other_threads_are_in_calls():
    code = """
stop = threading.Event()

def keep_busy():
    grads = sample()
    while not stop.is_set():
        with gradclip.threads(3):
            gradclip.global_norm(grads)

busy = [threading.Thread(target=keep_busy) for _ in range(3)]
for thread in busy:
    thread.start()
print(all([forked(works) for _ in range(8)]))
stop.set()
for thread in busy:
    thread.join()
print(works())
"""
    assert output_of(PREPARE + code) == "True\nTrue"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_multiprocessing(method):
    expected = norm_and_digest(3)
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        results = pool.map_async(norm_and_digest, [1, 3, 3]).get(TIMEOUT)
    assert results == [expected] * 3


def test_exit_with_a_pool():
    assert output_of(PREPARE + "print(works())") == "True"


def test_exit_while_a_daemon_thread_is_in_a_call():
    code = """
started = threading.Event()

def for_ever():
    grads = sample()
    with gradclip.threads(3):
        while True:
            gradclip.global_norm(grads)
            gradclip.scale_(grads, 1.0)
            started.set()

for _ in range(3):
    threading.Thread(target=for_ever, daemon=True).start()
started.wait()
print("bye")
"""
    for _ in range(3):
        assert output_of(PREPARE + code) == "bye"


def test_exit_in_the_middle_of_a_callable():
    code = """
def threshold(norm):
    print("bye", flush=True)
    sys.exit(0)

with gradclip.threads(3):
    gradclip.clip_by_global_norm_(sample(), threshold)
"""
    assert output_of(PREPARE + code) == "bye"


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs /proc")
def test_workers_take_no_signals():
    code = """
def tasks():
    return set(os.listdir("/proc/self/task"))

with gradclip.threads(1):
    works(1)
before = tasks()
works(4)
workers = tasks() - before
for task in workers:
    status = dict(line.split(":", 1) for line in open(f"/proc/self/task/{task}/status"))
    blocked = int(status["SigBlk"], 16)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1, signal.SIGCHLD):
        assert blocked >> (number - 1) & 1, number
print(len(workers))
"""
    assert int(output_of(PREPARE + code)) == 3
