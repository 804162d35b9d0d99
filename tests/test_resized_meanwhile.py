"""Code of others that shrinks an array after it was looked at: an error, nothing is written."""

import pytest
from subprocesses import output_of

# Pages of an array this large go back to the system when it shrinks: reading them is a crash.
PREPARE = f"""
import sys
sys.path.insert(0, {__file__.rpartition("/")[0]!r})
import numpy as np
import gradclip
from dlpack_producers import Exchanging, Producer, exchanging, table

first, last = np.full(500_000, 2.0), np.full(3, 2.0)

def shrink():
    first.resize((1,), refcheck=False)

def clip(*more):
    return lambda: gradclip.clip_by_global_norm([first, *more, last], 1.0)

def clip_in_place(*more, max_norm=1.0):
    return lambda: gradclip.clip_by_global_norm_([first, *more, last], max_norm)

def norm(*more):
    return lambda: gradclip.global_norm([first, *more, last])

def run(call):
    try:
        call()
    except RuntimeError as error:
        assert "changed the memory" in str(error) and "grads[0]" in str(error), error
        print("refused", first[0], *last)
"""

SNIPPETS = {
    "__array_finalize__ of a fresh array": """
class Hooked(np.ndarray):
    def __array_finalize__(self, parent):
        if isinstance(parent, Hooked):
            shrink()

run(clip(np.ones(3).view(Hooked)))
""",
    "__array_function__": """
class Odd(np.ndarray):
    def __array_function__(self, function, types, args, kwargs):
        shrink()
        return np.empty(3)

run(clip(np.ones(3).view(Odd)))
""",
    "__copy__ of a list": """
class Copied(list):
    def __copy__(self):
        shrink()
        return [None]

run(clip(Copied([np.ones(3)])))
""",
    "__new__ of a tuple": """
class Made(tuple):
    def __new__(cls, items):
        if first.size > 1 and all(item is not ones for item in items):
            shrink()
        return super().__new__(cls, items)

ones = np.ones(3)
run(clip(Made([ones])))
""",
    "items of a dict": """
class Items(dict):
    def items(self):
        shrink()
        return super().items()

run(clip(Items(a=np.ones(3))))
""",
    "an attribute of a class, found by its metaclass": """
class Meta(type):
    def __getattribute__(cls, name):
        if name == "__dlpack_c_exchange_api__":
            shrink()
        return super().__getattribute__(name)

class Shown(Exchanging, metaclass=Meta):
    pass

run(norm(Shown(np.ones(3))))
""",
    "__dlpack__": """
class Rude(Producer):
    def __dlpack__(self, **arguments):
        shrink()
        return super().__dlpack__(**arguments)

run(norm(Rude(np.ones(3))))
""",
    "__dlpack__ after the callable": """
class Rude(Producer):
    def __dlpack__(self, **arguments):
        if len(self.calls) == 1:
            shrink()
        return super().__dlpack__(**arguments)

run(clip_in_place(Rude(np.ones(3)), max_norm=lambda norm: 1.0))
""",
    "__dlpack_device__ after the callable": """
class Rude(Producer):
    def __dlpack_device__(self):
        if self.calls:
            shrink()
        return super().__dlpack_device__()

run(clip_in_place(Rude(np.ones(3)), max_norm=lambda norm: 1.0))
""",
    "a deleter after the callable": """
class Owned(np.ndarray):
    def __del__(self):
        if armed:
            shrink()

class Rude(Producer):
    def capsule(self):
        owned = Producer(self.array.view(Owned))
        owned.options = self.options
        return Producer.capsule(owned)

armed = False

def max_norm(norm):
    global armed
    armed = True
    return 1.0

run(clip_in_place(Rude(np.ones(3)), max_norm=max_norm))
""",
    "the conversion of what the callable gives": """
class Number:
    def __float__(self):
        shrink()
        return 1.0

run(clip_in_place(max_norm=lambda norm: Number()))
""",
}


@pytest.mark.parametrize("snippet", SNIPPETS.values(), ids=SNIPPETS)
def test_an_array_that_shrinks_is_refused(snippet):
    lines = output_of(PREPARE + snippet).splitlines()
    assert set(lines) == {"refused 2.0 2.0 2.0 2.0"}
