"""The fuzzer itself: it passes on cases that are always the same, and sees what is wrong."""

import ctypes
import math
from collections import Counter
from pathlib import Path

import fuzz
import numpy as np
import pytest
from fuzz_calls import leaves
from numpy.lib.array_utils import byte_bounds
from subprocesses import run_python

import gradclip


def checked(cases):
    return Counter(fuzz.check(seed) for seed in range(cases))


def test_fixed_cases_have_the_bits_of_the_scalar_code(record_property):
    kinds = checked(400)
    record_property("cases", kinds.total())
    assert min(kinds["numpy"], kinds["dlpack"]) > 80


def test_a_bit_that_depends_on_the_number_of_threads_is_noticed(monkeypatch):
    global_norm = gradclip.global_norm

    def norm(grads, ord):
        found = global_norm(grads, ord=ord)
        return math.nextafter(found, 0) if gradclip.get_num_threads() == 7 else found

    monkeypatch.setattr(gradclip, "global_norm", norm)
    with pytest.raises(AssertionError, match="gave 0x"):
        checked(200)


def test_a_byte_beside_an_array_is_noticed(monkeypatch):
    scale = gradclip.scale_

    def scale_and_more(grads, factor):
        scale(grads, factor)
        arrays = [leaf for leaf in leaves(grads) if isinstance(leaf, np.ndarray)]
        if len(arrays) > 1:
            ctypes.c_uint8.from_address(byte_bounds(arrays[0])[0] - 1).value ^= 1

    monkeypatch.setattr(gradclip, "scale_", scale_and_more)
    with pytest.raises(AssertionError, match="memory: 1 bytes differ"):
        checked(200)


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("os.abort()", "ended by SIGABRT"),
        ("time.sleep(99)", "ended by SIGKILL"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_case_that_crashes_hangs_or_raises_has_its_seed_named(does, says):
    done = run_python(f"""
        import os, sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        sys.modules["torch"] = None
        import fuzz
        def check(seed):
            if seed == 7:
                {does}
            return "fine"
        fuzz.check, fuzz.HANG = check, 0.3 if "sleep" in {does!r} else 60
        sys.exit(fuzz.watched(range(5, 9), 60))
    """)
    assert done.returncode == 1, done.stderr
    assert "--seed 7: " in done.stdout
    assert says in done.stdout
