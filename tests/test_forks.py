"""fork at awkward moments, and children that end in every way: the parent's calls stay right."""

import os

import pytest
from subprocesses import TIMEOUT, output_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

PREPARE = f"""
import os, random, signal, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads
sys.path.insert(0, {os.path.dirname(__file__)!r})
import gradclip
from pool_work import clips, sample, works

signal.alarm({TIMEOUT // 2})
gradclip.set_num_threads(3)

def start(work):
    '''Run work in a child, whose status it returns.'''
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm({TIMEOUT // 2})
            os._exit(int(work()))
        finally:
            os._exit(99)
    return pid

def status(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def for_ever():
    grads = sample()
    while not stop.is_set():
        gradclip.clip_by_global_norm_(grads, lambda norm: norm / 2)

stop = threading.Event()

def keep_busy(count):
    threads = [threading.Thread(target=for_ever) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads

def rest(threads):
    stop.set()
    for thread in threads:
        thread.join()
"""


def assert_true(code):
    assert output_of(PREPARE + code) == "True"


def test_children_that_live_at_once_while_the_pool_grows():
    assert_true("""
busy = keep_busy(2)
found = []
for n in (2, 64, 3, 1024, 1, 128, 7, 2):
    gradclip.set_num_threads(n)
    found += map(status, [start(clips) for _ in range(4)])
rest(busy)
print(found == [1] * 32 and works())
""")


def test_great_grandchildren_of_a_busy_process():
    assert_true("""
def line(depth):
    right = works() and (depth == 0 or status(start(lambda: line(depth - 1))) == 1)
    return right and works()

busy = keep_busy(1)
found = [status(start(lambda: line(3))) for _ in range(5)]
rest(busy)
print(found == [1] * 5 and works())
""")


def test_a_fork_by_another_thread_than_the_main_one():
    assert_true("""
found = []

def fork_and_wait():
    with gradclip.threads(2):
        found.append(status(start(lambda: gradclip.get_num_threads() == 2 and clips())))

for _ in range(4):
    threads = [threading.Thread(target=fork_and_wait) for _ in range(3)] + keep_busy(1)
    for thread in threads[:3]:
        thread.start()
    for thread in threads[:3]:
        thread.join()
    rest(threads[3:])
    stop.clear()
print(found == [1] * 12 and works())
""")


def test_hooks_around_a_fork_may_call():
    assert_true("""
found = []
os.register_at_fork(
    before=lambda: found.append(works()),
    after_in_parent=lambda: found.append(works()),
    after_in_child=lambda: found.append(works()),
)
busy = keep_busy(1)
children = [status(start(lambda: sum(found[-2:]))) for _ in range(5)]
rest(busy)
print(children == [2] * 5 and found == [True] * 10 and works())
""")


def test_a_fork_inside_a_callable_of_a_child_and_then_the_clip_goes_on_in_both():
    assert_true("""
def in_callable(depth):
    found = []

    def threshold(norm):
        if depth:
            found.append(status(start(lambda: in_callable(depth - 1))))
        return 0.5

    grads = sample()
    gradclip.clip_by_global_norm_(grads, threshold)
    return found == [1] * bool(depth) and clips(sample())

def both():
    '''The child returns from the callable too: either has a clip to finish.'''
    pids = []
    def threshold(norm):
        pids.append(os.fork())
        return 0.5
    grads = sample()
    norm = gradclip.clip_by_global_norm_(grads, threshold)
    right = (norm, digest(*grads)) == EXPECTED
    if pids == [0]:
        os._exit(right)
    return right and status(pids[0]) == 1

from buffers import digest
from pool_work import EXPECTED
print(in_callable(3) and all([both() for _ in range(5)]) and works())
""")


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("os._exit(5)", 5),
        ("sys.exit(5)", 5),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("os.kill(os.getpid(), signal.SIGTERM)", -15),
        ("os.abort()", -6),
    ],
)
def test_the_end_of_a_child_in_the_middle_of_a_call(end, expected, record_property):
    record_property("cases", 10)
    assert_true(f"""
import resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
found = []
works()
for _ in range(10):
    pid = os.fork()
    if pid == 0:
        signal.alarm({TIMEOUT // 2})
        threading.Thread(target=for_ever, daemon=True).start()
        time.sleep(random.uniform(0, 2e-3))
        {end}
    found.append(works())
    found.append(status(pid))
print(found == [True, {expected}] * 10 and works())
""")
