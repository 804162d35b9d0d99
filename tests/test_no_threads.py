"""Threads that the system refuses, and processors that come and go: the same result with fewer."""

import os
import sys

import pytest
from subprocesses import TIMEOUT, output_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's limits")

PREPARE = f"""
import ctypes, os, resource, signal, sys, threading
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # its threads come and go around a fork
sys.path.insert(0, {os.path.dirname(__file__)!r})
import gradclip
from pool_work import EXPECTED, clips, digest, sample, works

signal.alarm({TIMEOUT // 2})

def workers():
    return len(os.listdir("/proc/self/task")) - others

def others_are(count):
    global others
    others = count

others_are(len(os.listdir("/proc/self/task")))
"""

# No memory has room for the stack of a new thread.
HUGE_STACKS = """
libc = ctypes.CDLL(None)
attributes = ctypes.create_string_buffer(256)

def set_stacks(size):
    libc.pthread_attr_init(attributes)
    assert libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(size)) == 0
    assert libc.pthread_setattr_default_np(attributes) == 0

def no_threads():
    set_stacks(1 << 46)

def threads_again():
    set_stacks(1 << 20)
"""

NO_PROCESSES = """
if os.getuid() == 0:  # who has no limit
    os.setresuid(54321, 54321, 54321)
hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]

def no_threads():
    resource.setrlimit(resource.RLIMIT_NPROC, (0, hard))

def threads_again():
    resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
"""

REFUSALS = {"stacks": HUGE_STACKS, "processes": NO_PROCESSES}


def has_default_attributes():
    import ctypes

    return hasattr(ctypes.CDLL(None), "pthread_setattr_default_np")


@pytest.fixture(params=REFUSALS)
def refusal(request):
    if request.param == "stacks" and not has_default_attributes():
        pytest.skip("needs the GNU C library")
    return REFUSALS[request.param]


def test_threads_that_can_not_be_started_are_started_later(refusal):
    code = """
no_threads()
try:
    threading.Thread(target=print).start()
    print("not refused")
except RuntimeError:
    pass
alone = [works(n) for n in (2, 8, 1024)], workers()
threads_again()
few = works(3), workers()
no_threads()
still_few = works(8), works(2), workers()
threads_again()
print(alone, few, still_few, works(6), workers())
"""
    expected = "([True, True, True], 0) (True, 2) (True, True, 2) True 5"
    assert output_of(PREPARE + refusal + code) == expected


def test_a_child_that_gets_no_threads(refusal):
    code = """
def in_child(work):
    pid = os.fork()
    if pid == 0:
        os._exit(bool(work()))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def without_threads():
    others_are(1)
    no_threads()
    alone = works(3) and workers() == 0
    threads_again()
    return alone and works(3) and workers() == 2

print(works(3), in_child(without_threads), works(3), workers())
"""
    assert output_of(PREPARE + refusal + code) == "True 1 True 2"


@pytest.mark.parametrize("stacks", [0, 1, 2, 5])
def test_memory_for_few_stacks_or_not_for_the_pool_itself(stacks):
    code = f"""
import threading
size = 64 << 20  # of a stack: nothing else is as large
resource.setrlimit(resource.RLIMIT_STACK, (size, resource.getrlimit(resource.RLIMIT_STACK)[1]))
if "again" not in sys.argv:
    os.execv(sys.executable, [*sys.orig_argv, "again"])  # the stack's limit is read at the start
grads, hard = sample(), resource.getrlimit(resource.RLIMIT_AS)[1]
pages = int(open("/proc/self/statm").read().split()[0])
spare = {stacks} * (size + (4 << 20)) + (10 << 20 if {stacks} else 0)
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + spare, hard))
with gradclip.threads(8):
    try:
        norm = gradclip.clip_by_global_norm_(grads, 0.5)
    except MemoryError:  # of the call's own lists
        norm = gradclip = None
started = workers()
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
unwritten = norm is None and all(map((lambda a, b: (a == b).all()), grads, sample()))
print(started <= {stacks}, unwritten or (norm, digest(*grads)) == EXPECTED, started)
import gradclip
print(works(8), workers())
"""
    lines = output_of(PREPARE + code).splitlines()
    assert lines[0].startswith("True True")
    assert lines[1] == "True 7"


ALL = "processors = os.sched_getaffinity(0)"
ONE = "os.sched_setaffinity(0, {min(processors)})"
BACK = "os.sched_setaffinity(0, processors)"


def test_one_processor_before_the_import():
    prepared = f"import os\n{ALL}\n{ONE}\n{PREPARE}"
    code = (
        f"print(gradclip.get_num_threads(), clips(), works(8), workers())\n{BACK}\nprint(works(8))"
    )
    assert output_of(prepared + code) == "1 True True 7\nTrue"


def test_processors_that_come_and_go():
    code = f"""
{ALL}
def narrow():
    for task in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(task), {{min(processors)}})

found = []
{ONE}
found.append(works())
{BACK}
found.append(works(8))
{ONE}
found.append(works(8))
narrow()
found += [works(8) for _ in range(20)]
{BACK}
found += [works(8) for _ in range(20)]
print(all(found), os.sched_getaffinity(0) == processors)
"""
    assert output_of(PREPARE + code) == "True True"


def test_an_affinity_that_changes_during_calls():
    code = f"""
import time
{ALL}
done = threading.Event()

def change():
    masks = [{{cpu}} for cpu in processors] + [processors]
    while not done.is_set():
        for mask in masks:
            for task in os.listdir("/proc/self/task"):
                os.sched_setaffinity(int(task), mask)
        time.sleep(1e-4)

thread = threading.Thread(target=change)
thread.start()
found = [works(1 + n % 8) for n in range(60)]
done.set()
thread.join()
print(all(found), works(8))
"""
    assert output_of(PREPARE + code) == "True True"
