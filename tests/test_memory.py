"""References and memory: what a call takes it gives back, after errors too."""

import ctypes
import gc
import sys
import weakref

import numpy as np
import pytest
from dtypes import ALL as DTYPES

import gradclip

COUNT = 10_000


def _good():
    return {"a": np.full(40, 2.0), "b": [np.full((5, 4), 3.0, np.float32).T, None]}


def _of_all_dtypes():
    return {str(dtype): [np.full(5, 2, dtype), np.full(9, 2, dtype)[::-2]] for dtype in DTYPES}


def _read_only():
    array = np.ones(3)
    array.flags.writeable = False
    return [np.ones(3), array]


def _overlapping():
    array = np.ones(8)
    return [array[:5], array[4:]]


def _raise(norm):
    raise ZeroDivisionError


def limit(n):
    with gradclip.threads(n):
        pass


def clip(grads, max_norm=1.0, **options):
    return gradclip.clip_by_global_norm_(grads, max_norm, **options)


def functional(grads):
    return gradclip.clip_by_global_norm(grads, 1.0)


_LIKE_GOOD, _SPEED = _good(), _good()

CALLS = {
    "global_norm": (gradclip.global_norm, _good()),
    "array_norms": (gradclip.array_norms, _good()),
    "all dtypes": (gradclip.global_norm, _of_all_dtypes()),
    "all dtypes, clipped": (lambda grads: clip(grads, 1e-3), _of_all_dtypes()),
    "all dtypes, functional": (functional, _of_all_dtypes()),
    "order 3": (lambda grads: gradclip.array_norms(grads, ord=3), _good()),
    "clip, written": (lambda grads: clip(grads, 1e-3, eps=1e-6), _good()),
    "clip, unwritten": (lambda grads: clip(grads, 1e9), _good()),
    "clip, unscaled": (lambda grads: clip(grads, 1e9, inv_scale=1.0000001), _good()),
    "clip, callable": (lambda grads: clip(grads, lambda norm: 1e9), _good()),
    "clip, skipped": (lambda grads: clip(grads, nonfinite="skip"), [np.array([np.nan])]),
    "functional": (functional, _good()),
    "functional, loose": (lambda grads: gradclip.clip_by_global_norm(grads, 1e9), _good()),
    "clip_with_norm_": (lambda grads: gradclip.clip_with_norm_(grads, 1.0, 2.0), _good()),
    "scale_": (lambda grads: gradclip.scale_(grads, 1.0), _good()),
    "clip_by_norm_": (lambda grads: gradclip.clip_by_norm_(grads, 1e-3), _good()),
    "clip_by_norm, axis": (lambda grads: gradclip.clip_by_norm(grads, 1e-3, axis=0), _good()),
    "clip_by_value": (lambda grads: gradclip.clip_by_value(grads, -1, 1), _good()),
    "adaptive_grad_clip_": (
        lambda grads: gradclip.adaptive_grad_clip_(grads, _LIKE_GOOD, 1e-3),
        _good(),
    ),
    "clip_per_example_sum": (
        lambda grads: gradclip.clip_per_example_sum(grads["b"], 1e-3),
        _good(),
    ),
    "sgd_step_": (
        lambda grads: gradclip.sgd_step_(_LIKE_GOOD, grads, 0.0, momentum=0.5, velocity=_SPEED),
        _good(),
    ),
    "grad_stats": (gradclip.grad_stats, _good()),
    "threads": (lambda grads: limit(2), None),
    "show_config": (lambda grads: gradclip.show_config("dicts"), None),
}

ERRORS = {
    "no array": (clip, [np.ones(3), {"x": 3.0}], TypeError),
    "dtype": (clip, [np.ones(3), np.ones(3, int)], TypeError),
    "container": (clip, [np.ones(3), {1, 2}], TypeError),
    "read-only": (clip, _read_only(), ValueError),
    "overlap": (clip, _overlapping(), ValueError),
    "non-finite": (clip, [np.ones(3), np.array([np.nan])], gradclip.NonFiniteNormError),
    "overflow": (clip, [np.full(4, 1e308)], gradclip.NonFiniteNormError),
    "argument": (lambda grads: clip(grads, -1.0), _good(), ValueError),
    "no number": (lambda grads: clip(grads, "1"), _good(), TypeError),
    "keyword": (lambda grads: clip(grads, no_such=1.0), _good(), TypeError),
    "order": (lambda grads: gradclip.global_norm(grads, ord=0), _good(), ValueError),
    "axis": (lambda grads: gradclip.clip_by_norm_(grads, 1.0, axis=1), _good(), ValueError),
    "complex": (lambda grads: gradclip.clip_by_value_(grads, 0, 1), [np.ones(2, "c8")], TypeError),
    "no partner": (
        lambda grads: gradclip.sgd_step_([_LIKE_GOOD["a"]], grads, 0.1),
        _good(),
        ValueError,
    ),
    "callable raises": (lambda grads: clip(grads, _raise), _good(), ZeroDivisionError),
    "callable is wrong": (lambda grads: clip(grads, lambda norm: "x"), _good(), TypeError),
    "functional": (functional, [_good(), np.array([np.inf])], gradclip.NonFiniteNormError),
    "functional, callable raises": (
        lambda grads: gradclip.clip_by_global_norm(grads, _raise),
        _good(),
        ZeroDivisionError,
    ),
}


def expecting(call, error):
    def run(grads):
        try:
            call(grads)
        except error:
            return
        raise AssertionError(f"no {error.__name__}")

    return run


ALL = CALLS | {
    f"error: {name}": (expecting(call, error), grads)
    for name, (call, grads, error) in ERRORS.items()
}


@pytest.fixture(autouse=True, scope="module")
def only_young_garbage():
    """Keep all that lives already, thousands of tests, out of the collector's way."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def objects_of(grads):
    """Return all containers, arrays and dtypes of a nesting."""
    if isinstance(grads, np.ndarray):
        return [grads, grads.dtype]
    items = grads.values() if isinstance(grads, dict) else grads
    return [grads] + [
        found
        for item in items
        if isinstance(item, np.ndarray | list | dict | tuple)
        for found in objects_of(item)
    ]


@pytest.mark.parametrize(("call", "grads"), ALL.values(), ids=ALL)
def test_reference_counts_are_restored(call, grads):
    objects = objects_of(grads or [])
    call(grads)
    gc.collect()
    before = [sys.getrefcount(item) for item in objects]
    for _ in range(50):
        call(grads)
    gc.collect()
    after = [sys.getrefcount(item) for item in objects]
    changes = [abs(new - old) for new, old in zip(after, before, strict=True)]
    assert max(changes, default=0) < 10, changes  # dtypes are shared with the rest of the process


class _MallInfo2(ctypes.Structure):
    _fields_ = [(f"field{i}", ctypes.c_size_t) for i in range(10)]


def malloc_bytes():
    """Return the bytes that malloc has handed out (Python's small objects not included)."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _MallInfo2
    return mallinfo2().field7


HAS_MALLINFO = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallinfo2")


@pytest.mark.parametrize(("call", "grads"), ALL.values(), ids=ALL)
def test_10_000_calls_leave_no_memory_behind(call, grads):
    for _ in range(100):
        call(grads)
    gc.collect()
    gc.disable()
    blocks, used = sys.getallocatedblocks(), malloc_bytes() if HAS_MALLINFO else 0
    for _ in range(COUNT):
        call(grads)
    new_blocks = sys.getallocatedblocks() - blocks
    new_bytes = malloc_bytes() - used if HAS_MALLINFO else 0
    gc.enable()
    assert new_blocks < COUNT // 20
    assert new_bytes < 16 * COUNT  # the smallest block of malloc takes 32 bytes


def test_a_result_keeps_no_argument_alive():
    array = np.full(4, 2.0)
    alive = weakref.ref(array)
    grads = {"w": array}
    clipped, _ = gradclip.clip_by_global_norm(grads, 1.0)
    norms = gradclip.array_norms(grads)
    del array, grads
    assert alive() is None
    assert clipped["w"].sum() > 0
    assert norms[0] == 4.0


def test_an_error_keeps_no_argument_alive_beyond_its_traceback():
    array = np.array([np.nan])
    alive = weakref.ref(array)
    with pytest.raises(gradclip.NonFiniteNormError) as error:
        gradclip.clip_by_global_norm_({"w": array}, 1.0)
    message = error.value.path
    del array, error
    gc.collect()
    assert alive() is None
    assert message == "grads['w']"
