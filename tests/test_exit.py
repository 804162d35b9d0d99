"""The end of the interpreter, with threads anywhere: the exit status and what is printed stay."""

import os

import pytest
from subprocesses import TIMEOUT, output_of

PREPARE = f"""
import atexit, os, random, signal, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads
sys.path.insert(0, {os.path.dirname(__file__)!r})
import numpy as np
import gradclip
from pool_work import EXPECTED, clips, sample, works

signal.alarm({TIMEOUT // 2})
gradclip.set_num_threads(3)
"""

# Daemon threads wait for the interpreter's lock while the interpreter exits.
IN_PYTHON = """
inside = threading.Barrier(5)
mine = threading.local()

def stay(*_, **__):
    mine.grads.clear()  # nobody but the call keeps the arrays and keys
    inside.wait()
    while True:
        time.sleep(1e-4)

class Copied(list):
    __copy__ = stay

class Items(dict):
    items = stay

class Tensor:
    __dlpack__ = stay

    def __dlpack_device__(self):
        return 1, 0

class Elsewhere:
    __dlpack__ = None
    __dlpack_device__ = stay

def call():
    grads = mine.grads = {(i,): np.full(100, 2.0) for i in range(1000)}
    CALL

for _ in range(4):
    threading.Thread(target=call, daemon=True).start()
inside.wait()
print("bye")
"""

CALLS = {
    "max_norm": "gradclip.clip_by_global_norm_(grads, stay)",
    "max_norm, functional": "gradclip.clip_by_global_norm(grads, stay)",
    "copy of a list": "gradclip.clip_by_global_norm((grads, Copied()), 1.0)",
    "items of a dict": "gradclip.global_norm([grads, Items(a=1)])",
    "tensor": "gradclip.global_norm([grads, Tensor()])",
    "device of a tensor": "gradclip.global_norm([grads, Elsewhere()])",
}

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_exit_while_a_daemon_thread_is_in_python_code_that_a_call_runs(call):
    assert output_of(PREPARE + IN_PYTHON.replace("CALL", call)) == "bye"


# Children are cheaper than interpreters: each falls through to the end of the script, all the way
# through the interpreter's own exit.
@needs_fork
@pytest.mark.parametrize("daemons", [0, 1, 3])
def test_exit_at_any_moment(daemons, record_property):
    record_property("cases", 20)
    code = f"""
def for_ever():
    grads = sample()
    while True:
        gradclip.clip_by_global_norm_(grads, lambda norm: norm / 2)

def child(moment):
    for _ in range({daemons}):
        threading.Thread(target=for_ever, daemon=True).start()
    if not clips():
        os._exit(9)
    time.sleep(moment)

random.seed({daemons})
statuses = []
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        signal.alarm({TIMEOUT // 2})
        child(random.choice([0, random.uniform(0, 3e-3)]))
        sys.exit(7)
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(statuses == [7] * 20 or statuses, clips())
"""
    assert output_of(PREPARE + code) == "True True"


def test_exit_handlers_may_call_while_daemon_threads_do():
    code = """
def for_ever():
    grads = sample()
    while True:
        gradclip.global_norm(grads)

atexit.register(lambda: print([works(n) for n in (3, 1, 8)], clips()))
threading.Thread(target=for_ever, daemon=True).start()
works()
"""
    assert output_of(PREPARE + code) == "[True, True, True] True"


def test_finalizers_may_call_when_modules_are_gone():
    code = """
class Late:
    def __init__(self, name):
        self.needs = name, sample(), gradclip.clip_by_global_norm_, EXPECTED[0], print

    def __del__(self):
        name, grads, clip, norm, show = self.needs
        show(name, clip(grads, 0.5) == norm, flush=True)

in_module = Late("module")
in_cycle = Late("cycle")
in_cycle.itself = in_cycle
works()
"""
    assert sorted(output_of(PREPARE + code).splitlines()) == ["cycle True", "module True"]


def test_a_callable_that_exits_its_thread_ends_that_thread_alone():
    code = """
grads = sample()
before = [array.tobytes() for array in grads]
for _ in range(5):
    thread = threading.Thread(target=gradclip.clip_by_global_norm_, args=(grads, sys.exit))
    thread.start()
    thread.join()
print([array.tobytes() for array in grads] == before, works())
"""
    assert output_of(PREPARE + code) == "True True"
