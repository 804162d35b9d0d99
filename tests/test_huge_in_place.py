"""Arrays of over 2³¹ elements are written to their last element, and nothing else changes."""

import ctypes
import mmap
import os
import sys

import numpy as np
import pytest

import gradclip

HUGE = 2**31 + 37
PIECE = 2 << 20  # bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs memfd_create")


def map_at(address, length, flags, file):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (
        *(ctypes.c_void_p, ctypes.c_size_t),
        *(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long),
    )
    found = libc.mmap(address, length, mmap.PROT_READ | mmap.PROT_WRITE, flags, file, 0)
    assert found not in (None, ctypes.c_void_p(-1).value), os.strerror(ctypes.get_errno())
    return found


@pytest.fixture
def huge():
    """Return HUGE float16 zeros, all but whose ends are the same few pages again and again: what
    would take seconds to get from the system is only 2 MB."""
    pieces = 2 * HUGE // PIECE + 2
    shared = os.memfd_create("zeros")
    os.ftruncate(shared, PIECE)
    reserve = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE
    start = map_at(None, pieces * PIECE, reserve, -1)
    ends = {0, 2**32 // PIECE - 1, 2**32 // PIECE}  # the first piece, and those around 2**31
    for piece in set(range(pieces)) - ends:
        map_at(start + piece * PIECE, PIECE, mmap.MAP_SHARED | 0x10, shared)  # MAP_FIXED
    os.close(shared)
    memory = (ctypes.c_uint8 * (pieces * PIECE)).from_address(start)
    yield np.frombuffer(memory, np.float16, HUGE)
    ctypes.CDLL(None).munmap(ctypes.c_void_p(start), ctypes.c_size_t(pieces * PIECE))


def test_a_clip_of_more_than_2_31_elements(huge):
    places = [0, 2**31 - 1, 2**31, HUGE - 1]
    huge[places] = [1.0, 3.0, -5.0, 1.0]
    assert gradclip.clip_by_global_norm_([np.zeros(3), huge], 1.5) == 6.0
    assert huge[places].tolist() == [0.25, 0.75, -1.25, 0.25]
    assert [np.count_nonzero(huge[i : i + PIECE // 2]) for i in (0, 2**31 - 1)] == [1, 3]
    assert gradclip.global_norm(huge) == 1.5


def test_columns_that_reach_over_more_than_2_31_elements(huge):
    rows = huge[: 2**31].reshape(-1, 2**20)
    column = rows[:, -1]
    column[[0, -1]] = [3.0, 4.0]
    assert gradclip.global_norm(column) == 5.0
    gradclip.scale_([column, rows[-1, :-1]], 0.5)
    assert column[[0, -1]].tolist() == [1.5, 2.0]
    with pytest.raises(ValueError, match=r"grads\[0\] and grads\[1\] share memory"):
        gradclip.scale_([column, rows[-1]], 0.5)
    assert column[-1] == 2.0
