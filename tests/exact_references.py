"""Counts what a call leaves behind: references to what it was given, objects, pages."""

import contextlib
import gc
import os
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")


def failing(error, call):
    """Return a call that expects this error, and this very class of it."""

    def run(grads):
        try:
            call(grads)
        except error as raised:
            assert type(raised) is error  # noqa: PT017
            return
        raise AssertionError(f"no {error.__name__}")

    return run


def contents(grads):
    """Return a nesting, its containers and all that they hold, a cycle's members once."""
    found, todo = {}, [grads]
    while todo:
        item = todo.pop()
        if id(item) in found:
            continue
        if item is None or isinstance(item, int) or type(item) is str:
            continue  # shared with all the process
        found[id(item)] = item
        if isinstance(item, dict):
            todo += [*item, *item.values()]
        elif isinstance(item, list | tuple):
            todo += item
    return list(found.values())


def with_dtypes(objects):
    return objects + [item.dtype for item in objects if hasattr(item, "dtype")]


def _counts(objects):
    return [sys.getrefcount(item) for item in objects]


def _own_bytes():
    """Memory that is there, but for pages of files, which come with whatever runs first."""
    if not _STATM.exists():
        return 0
    _, resident, shared, *_ = map(int, _STATM.read_text().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def flat_memory(spare):
    """Assert that the process grows by no more than some bytes, once what is there has run."""
    gc.collect()
    before = _own_bytes()
    yield
    gc.collect()
    assert _own_bytes() - before < spare


def assert_nothing_is_left(call, grads, *others, count):
    """Assert it of `count` calls. `others` are more objects whose references are counted."""
    objects = with_dtypes([*contents(grads), *others])
    for _ in range(50):
        call(grads)
    gc.collect()
    gc.disable()
    try:
        before = _counts(objects)
        # Caches, torch's for its errors too, grow until they are full. A leak grows every time.
        stays_flat = any(_new_blocks(call, grads, count) < count // 2 for _ in range(20))
        after = _counts(objects)
    finally:
        gc.enable()
    changed = [(o, b, a) for o, b, a in zip(objects, before, after, strict=True) if a != b]
    assert not changed, [(str(o)[:60], b, a) for o, b, a in changed]
    assert stays_flat


def _new_blocks(call, grads, count):
    before = sys.getallocatedblocks()
    for _ in range(count):
        call(grads)
    return sys.getallocatedblocks() - before
