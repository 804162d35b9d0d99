"""No byte outside an array is touched: pages that can be neither read nor written lie around it."""

import sys

import pytest
from subprocesses import output_of, run_python

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")

PREPARE = f"""
import ctypes, mmap, sys
sys.path.insert(0, {__file__.rpartition("/")[0]!r})
import numpy as np
import gradclip
from calls import taking
from dtypes import ALL, normals, times

PAGE = mmap.PAGESIZE
PROT_NONE = 0
libc = ctypes.CDLL(None, use_errno=True)

def island(pages=1):
    '''Return pages as bytes, between as many that are out of bounds.'''
    size = pages * PAGE
    memory = np.frombuffer(mmap.mmap(-1, 3 * size), np.uint8)
    for start in (0, 2 * size):
        address = ctypes.c_void_p(memory.ctypes.data + start)
        assert libc.mprotect(address, ctypes.c_size_t(size), PROT_NONE) == 0
    return memory[size : 2 * size]

page = island()
rng = np.random.default_rng(5)
"""

EVERY_LENGTH = """
gradclip._gradclip._set_isa(ISA)
cases = 0
for dtype in ALL:
    calls = taking(dtype).values()
    for length in range(131):
        values, size = normals(rng, length, dtype), length * dtype.itemsize
        scaled = times(values, 0.5)
        for shift in {0, 1, dtype.itemsize // 2, dtype.itemsize, 3 * dtype.itemsize}:
            for start in (shift, PAGE - size - shift):  # up to 3 elements beside what is forbidden
                page[:] = 0xA5
                grad = np.ndarray(length, dtype, page, start)
                for call in calls:
                    grad[:] = values
                    call([grad])
                    cases += 1
                grad[:] = values
                gradclip.scale_(grad, 0.5)
                assert grad.tobytes() == scaled.tobytes(), (dtype, length, start)
                assert (page[:start] == 0xA5).all(), (dtype, length, start)
                assert (page[start + size :] == 0xA5).all(), (dtype, length, start)
print(cases)
"""

# From 2,048 numbers of float64 on, what a sum starts from is guessed from rows here and there.
LONG = """
gradclip._gradclip._set_isa(ISA)
pages = island(1 + 16_391 * 16 // PAGE)
cases = 0
for dtype in ALL:
    for length in (2048, 16_391):
        values, size = normals(rng, length, dtype), length * dtype.itemsize
        for start in (0, pages.size - size):
            pages[:] = 0xA5
            grad = np.ndarray(length, dtype, pages, start)
            for call in taking(dtype).values():
                grad[:] = values
                call([grad])
                cases += 1
            assert (pages[:start] == 0xA5).all(), (dtype, length, start)
            assert (pages[start + size :] == 0xA5).all(), (dtype, length, start)
print(cases)
"""

STRIDED = """
gradclip._gradclip._set_isa(ISA)
cases = 0
for dtype in ALL:
    calls, size = taking(dtype).values(), dtype.itemsize
    for length in range(1, 70):
        for step in (-3 * size, -2 * size, -size, 2 * size, 3 * size - 1, size + 1):
            reach = (length - 1) * step
            for start in (max(0, -reach), PAGE - size - max(0, reach)):  # the first, the last byte
                page[:] = 0xA5
                grad = np.ndarray(length, dtype, page, start, step)
                for call in calls:
                    grad[:] = dtype.type(2)
                    call([grad])
                    cases += 1
                grad.view((np.void, size))[:] = np.void(b"\\xa5" * size)
                assert (page == 0xA5).all(), (dtype, length, step)
print(cases)
"""


CODES = {"contiguous": EVERY_LENGTH, "strided": STRIDED, "long": LONG}


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_nothing_beside_an_array_is_touched(code, isa, record_property):
    cases = int(output_of(PREPARE + f"ISA = {isa!r}\n" + code))
    assert cases > (300 if code == LONG else 10_000)
    record_property("cases", cases)


@pytest.mark.parametrize("index", [-1, "PAGE"], ids=["before", "after"])
@pytest.mark.parametrize("access", ["memory[PAGE + {0}]", "memory.__setitem__(PAGE + {0}, 1)"])
def test_the_pages_around_are_really_out_of_bounds(access, index):
    done = run_python(PREPARE + "memory = page.base\n" + access.format(index))
    assert done.returncode < 0
