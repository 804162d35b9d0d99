"""Objects whose own code runs during a call and changes things: an answer or an error, no crash."""

import pytest
from subprocesses import output_of

PREPARE = """
import collections
import gc
import numpy as np
import gradclip

junk = []

def empty(container):
    '''Drop what a container holds, and put other data where it was.'''
    container.clear()
    gc.collect()
    junk.extend(np.full(50_000, np.nan) for _ in range(20))

class Hooked(np.ndarray):
    hook = None

    def __array_finalize__(self, parent):
        hook, Hooked.hook = Hooked.hook, None
        if hook is not None:
            hook()

class Key:
    def __init__(self, hook):
        self.hook = hook

    def __repr__(self):
        self.hook()
        return "key"

class Items(dict):
    answer = ()

    def items(self):
        return self.answer

def run(call):
    try:
        call()
    except Exception:
        pass
    print("alive")
"""

SNIPPETS = {
    "copy of an array empties its list": """
grads = [np.full(50_000, 2.0).view(Hooked) for _ in range(3)]
Hooked.hook = lambda: empty(grads)
run(lambda: gradclip.clip_by_global_norm(grads, 1.0))
""",
    "copy of an array empties its dict": """
grads = {f"{i}" * 1000: np.full(50_000, 2.0).view(Hooked) for i in range(3)}
Hooked.hook = lambda: empty(grads)
run(lambda: gradclip.clip_by_global_norm(grads, 1.0))
""",
    "copy of an array empties the list around its tuple": """
grads = [[(np.full(50_000, 2.0).view(Hooked), np.ones(3)), np.ones(50_000)], np.ones(50_000)]
Hooked.hook = lambda: (grads[0].clear(), empty(grads))
run(lambda: gradclip.clip_by_global_norm(grads, 1.0))
""",
    "copy of an array grows its dict": """
grads = {i: np.full(50_000, 2.0).view(Hooked) for i in range(3)}
Hooked.hook = lambda: grads.update((i, np.ones(3)) for i in range(1000))
run(lambda: gradclip.clip_by_global_norm(grads, 1.0))
""",
    "empty_like of an array is not an array": """
class Odd(np.ndarray):
    def __array_function__(self, function, types, args, kwargs):
        return 3

run(lambda: gradclip.clip_by_global_norm([np.full(50_000, 2.0).view(Odd)], 1.0))
""",
    "empty_like of an array is a small array": """
class Odd(np.ndarray):
    def __array_function__(self, function, types, args, kwargs):
        return np.empty(1)

grads = [np.full(5_000_000, 2.0).view(Odd), np.full((3000, 2), 2.0)[:, 1].view(Odd)]
run(lambda: gradclip.clip_by_global_norm(grads, 1.0))
""",
    "copy of a list empties the list around it": """
class Copied(list):
    def __copy__(self):
        empty(grads)
        return [None] * 3

grads = [Copied([np.full(50_000, 2.0), np.ones(3)]), np.ones(50_000)]
run(lambda: gradclip.clip_by_global_norm(grads, 1.0))
""",
    "copy of a list puts the list into itself": """
class Copied(list):
    def __copy__(self):
        self[:] = [self]
        return [None]

run(lambda: gradclip.clip_by_global_norm([Copied([np.ones(3)])], 1.0))
""",
    "copy of a list puts it into itself, in a tuple": """
class Copied(list):
    def __copy__(self):
        self[:] = [(self,)]
        return [None]

run(lambda: gradclip.clip_by_global_norm([Copied([np.ones(3)])], 1.0))
""",
    "copy of a dict puts it into itself": """
class Copied(dict):
    def __copy__(self):
        self["a"] = self
        return {}

run(lambda: gradclip.clip_by_global_norm([Copied(a=np.ones(3))], 1.0))
""",
    "copy of a list is no list": """
class Copied(list):
    def __copy__(self):
        return 3

run(lambda: gradclip.clip_by_global_norm([Copied([np.ones(3)])], 1.0))
""",
    "a tuple subclass can't be made from items": """
class Odd(tuple):
    def __new__(cls, a, b):
        return super().__new__(cls, (a, b))

run(lambda: gradclip.clip_by_global_norm(Odd(np.ones(3), np.ones(3)), 1.0))
""",
    "repr of a key empties the containers": """
grads = {}
grads[Key(lambda: empty(grads))] = [np.array([np.nan])]
run(lambda: gradclip.clip_by_global_norm_(grads, 1.0))
""",
    "repr of a key empties the containers of a leaf that is no array": """
grads = {}
grads[Key(lambda: empty(grads))] = ["text" * 1000]
run(lambda: gradclip.clip_by_global_norm_(grads, 1.0))
""",
    "max_norm empties the list": """
class Number(float):
    def __float__(self):
        empty(grads)
        return 1.0

grads = [np.full(50_000, 2.0)]
run(lambda: gradclip.clip_by_global_norm_(grads, Number()))
""",
    "callable reshapes the array": """
def reshape(norm):
    grads[0].shape = (500, 100)
    grads[0].strides = (8, 4000)
    return 1.0

grads = [np.full(50_000, 2.0)]
run(lambda: gradclip.clip_by_global_norm_(grads, reshape))
assert np.allclose(grads[0], 50_000**-0.5)
""",
}

ITEMS = [
    "[1, 2, 3]",
    "[(1,)]",
    "[()]",
    "[[1, np.ones(50_000)]]",
    "[(1, np.ones(50_000), 3)]",
    "((i, np.ones(50_000)) for i in range(3))",
    "iter([(1, 2)])",
    "None",
    "3",
]


@pytest.mark.parametrize("snippet", SNIPPETS.values(), ids=SNIPPETS)
def test_code_that_runs_during_a_call_can_not_crash_it(snippet):
    assert output_of(PREPARE + snippet) == "alive"


@pytest.mark.parametrize("items", ITEMS)
def test_odd_items_of_a_dict_subclass_can_not_crash_a_call(items):
    code = f"""
for call in (gradclip.clip_by_global_norm, gradclip.clip_by_global_norm_):
    grads = Items(w=np.full(50_000, 2.0))
    grads.answer = {items}
    run(lambda: call(grads, 1.0))
"""
    assert output_of(PREPARE + code) == "alive\nalive"
