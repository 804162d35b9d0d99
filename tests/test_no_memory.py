"""A process that gets no more memory or threads: an error or the right result, never a crash."""

import sys

import pytest
from subprocesses import output_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and RLIMIT_AS")

PREPARE = """
import resource
import numpy as np
import gradclip

grads = [np.full(3_000_000, 2.0), np.full((2_000_000, 2), 3.0, "f4")[:, 1]]
expected = [array.copy() for array in grads]
with gradclip.threads(1):
    norm = gradclip.clip_by_global_norm_(expected, 0.5)
before = [array.copy() for array in grads]

def stop_growth(spare):
    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize() + spare
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right))
"""


def test_a_functional_clip_that_gets_no_memory_is_a_memory_error():
    code = """
stop_growth(8 << 20)
try:
    gradclip.clip_by_global_norm(grads, 0.5)
except MemoryError:
    print("MemoryError", same(grads, before))
"""
    assert output_of(PREPARE + code) == "MemoryError True"


@pytest.mark.parametrize("spare", [0, 1 << 20, 12 << 20])
def test_a_clip_that_gets_no_threads_is_right_or_has_written_nothing(spare):
    code = f"""
stop_growth({spare})
try:
    with gradclip.threads(8):
        found = gradclip.clip_by_global_norm_(grads, 0.5)
except MemoryError:
    found, expected = norm, before
print(found == norm and all((a[:9999] == b[:9999]).all() for a, b in zip(grads, expected)))
"""
    assert output_of(PREPARE + code) == "True"
