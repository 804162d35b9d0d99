"""No byte is written, not even with the value it has: shown on memory that can't be written."""

import sys

import pytest
from subprocesses import output_of, run_python

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")

PREPARE = f"""
import ctypes, mmap, sys
sys.path.insert(0, {__file__.rpartition("/")[0]!r})
import ml_dtypes
import numpy as np
import gradclip
from calls import like

SIZE = 1 << 20
libc = ctypes.CDLL(None, use_errno=True)
memories = []

def locked(values, dtype="f8"):
    '''Return a writeable array of these values in pages that the kernel keeps from writes.'''
    memory = mmap.mmap(-1, SIZE)
    memories.append(memory)
    array = np.frombuffer(memory, dtype)
    array[:] = np.resize(values, array.size)
    assert array.flags.writeable
    address, length = ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(SIZE)
    assert libc.mprotect(address, length, mmap.PROT_READ) == 0
    return array
"""

QUIET = {
    "a loose threshold": "gradclip.clip_by_global_norm_(grads, 1e9)",
    "a threshold equal to the norm": (
        "gradclip.clip_by_global_norm_(grads, gradclip.global_norm(grads))"
    ),
    "an infinite threshold": "gradclip.clip_by_global_norm_(grads, float('inf'))",
    "a loose callable": "gradclip.clip_by_global_norm_(grads, lambda norm: 2 * norm)",
    "a loose threshold with eps": "gradclip.clip_by_global_norm_(grads, 1e9, eps=1.0)",
    "a known norm within the threshold": "gradclip.clip_with_norm_(grads, 1.0, 0.5)",
    "a loose threshold in order 1": "gradclip.clip_by_global_norm_(grads, 1e9, ord=1)",
    "the largest magnitude as threshold": "gradclip.clip_by_global_norm_(grads, 5.0, ord=np.inf)",
    "a norm": "gradclip.global_norm(grads)",
    "a norm in order 1": "gradclip.global_norm(grads, ord=1)",
    "norms": "gradclip.array_norms(grads)",
    "the functional clip": "gradclip.clip_by_global_norm(grads, 1e-3)",
    "a loose threshold for each array": "gradclip.clip_by_norm_(grads, 1e9)",
    "loose thresholds along an axis": "gradclip.clip_by_norm_(grads, 1e9, axis=0, ord=1)",
    "loose bounds": "gradclip.clip_by_value_(grads[:4], -3, 3)",
    "loose thresholds by parameters and for examples": (
        "gradclip.adaptive_grad_clip_(grads, like(grads), 1e9, axis=0);"
        "gradclip.clip_per_example_(examples, 1e3)"
    ),
    "sums, statistics and steps of others": (
        "gradclip.clip_per_example_sum(examples, 1e-3); gradclip.grad_stats(grads);"
        "gradclip.sgd_step_(like(grads[:4]), grads[:4], 0.1, max_norm=1e-3)"
    ),
    "an empty clip": "gradclip.clip_by_global_norm_([], 0.0)",
}


@pytest.mark.parametrize("call", QUIET.values(), ids=QUIET)
def test_unclipped_gradients_are_not_written(call):
    code = f"""
grads = [locked([1.0, -0.0, 2.0]), {{"w": locked([3.0, -0.0], "f4")[::3]}}]
grads += [locked([1.0, -0.0], "f2"), locked([-0.0, 2.0], ml_dtypes.bfloat16)[::-2]]
grads += [locked([3 - 4j, 0.0], "c8"), locked([-0.0, 1j], "c16")[1::2]]
examples = [grad[:1000] for grad in (grads[0], grads[1]["w"][:, None], *grads[2:])]
for gradclip_threads in (1, 3):
    with gradclip.threads(gradclip_threads):
        {call}
print("alive")
"""
    assert output_of(PREPARE + code) == "alive"


@pytest.mark.parametrize("nonfinite", ["skip", "raise"])
@pytest.mark.parametrize("bad", ["nan", "inf"])
def test_non_finite_gradients_are_not_written(nonfinite, bad):
    code = f"""
grads = [locked([1.0]), locked([float("{bad}"), 1.0])]
try:
    gradclip.clip_by_global_norm_(grads, 1.0, inv_scale=0.5, nonfinite="{nonfinite}")
    print("returned")
except gradclip.NonFiniteNormError:
    print("raised")
"""
    assert output_of(PREPARE + code) == ("raised" if nonfinite == "raise" else "returned")


def test_gradients_are_not_written_before_an_error():
    code = """
grads = [locked([1.0])]
for bad in (3, np.ones(2, int), grads[0], np.broadcast_to(1.0, 3)):
    try:
        gradclip.clip_by_global_norm_([*grads, bad], 1e-3)
    except (TypeError, ValueError):
        print("raised")
"""
    assert output_of(PREPARE + code) == "raised\n" * 3 + "raised"


BESIDE = {
    "rows": "gradclip.clip_by_norm_(grad.reshape(8, -1), 1.0, axis=1)",
    "examples": "gradclip.clip_per_example_(grad.reshape(8, -1), 1.0)",
    "arrays": "gradclip.clip_by_norm_([*grad.reshape(8, -1)], 1.0)",
    "blocks": "gradclip.clip_by_value_(grad, -0.5, 0.5)",
    "units": "gradclip.adaptive_grad_clip_(grad.reshape(8, -1), like(grad.reshape(8, -1)), axis=1)",
}


@pytest.mark.parametrize("call", BESIDE.values(), ids=BESIDE)
def test_what_is_within_its_bound_is_not_written_beside_what_is_not(call):
    code = f"""
for dtype in ("f4", "f8"):
    grad = locked([0.0], dtype)
    part = slice(grad.size // 8, 3 * grad.size // 8)
    unlocked = ctypes.c_void_p(grad[part].ctypes.data), ctypes.c_size_t(SIZE // 4)
    assert libc.mprotect(*unlocked, mmap.PROT_READ | mmap.PROT_WRITE) == 0
    for threads in (1, 3):
        grad[part] = 5
        with gradclip.threads(threads):
            {call}
        assert (grad[part] < 5).all()
print("alive")
"""
    assert output_of(PREPARE + code) == "alive"


def test_the_memory_is_really_locked():
    done = run_python(PREPARE + "gradclip.clip_by_global_norm_(locked([1.0]), 1e-3)")
    assert done.returncode < 0  # killed by the write
