"""After a call or an error all objects have the references they had, and no memory is left."""

import collections

import numpy as np
import pytest
from dlpack_producers import EXPORTS, READ_ONLY, Exchanging, OldProducer, Producer
from dtypes import BFLOAT16
from exact_references import assert_nothing_is_left, failing, flat_memory

import gradclip

COUNT = 500
BAD = gradclip.NonFiniteNormError


class MyList(list):
    pass


class MyDict(dict):
    pass


class Key(str):
    """A string of its own, where literals are shared."""


Pair = collections.namedtuple("Pair", "w b")


class Failure(Exception):
    pass


def a(value=2.0, dtype="f8", size=5):
    return np.full(size, value, dtype)


def everything():
    """Return a nesting of every kind of container, array and tensor."""
    return {
        Key("key"): [a(), a(dtype="f4")[::-2], None],
        (Key("key"), 1): MyList([Pair(a(dtype="f2"), (a(dtype=BFLOAT16),))]),
        "subclass": MyDict(x=a(dtype="c8"), y=collections.OrderedDict(z=a(dtype="c16"))),
    }


def with_tensors():
    return [everything(), Producer(a()), {"t": Exchanging(a())}]


def cyclic():
    grads = [a()]
    grads.append({"x": (grads,)})
    return grads


def locked(array):
    array.flags.writeable = False
    return array


def overlapping():
    array = a()
    return [array[:3], {Key("key"): array[2:]}]


def clip(grads, max_norm=1e-3, **options):
    return gradclip.clip_by_global_norm_(grads, max_norm, **options)


def fresh(grads, max_norm=1e-3, **options):
    return gradclip.clip_by_global_norm(grads, max_norm, **options)


def threshold(norm):
    return 1e-3


def fail(norm):
    raise Failure


def answer_text(norm):
    return "text"


def answer_nan(norm):
    return float("nan")


ANY = {
    "global_norm": gradclip.global_norm,
    "array_norms": gradclip.array_norms,
    "order 3": lambda grads: gradclip.global_norm(grads, ord=3),
    "clip": clip,
    "clip, loose": lambda grads: clip(grads, 1e9),
    "clip, callable": lambda grads: clip(grads, threshold),
    "clip, scaled": lambda grads: clip(grads, 1e9, inv_scale=1.0000001),
    "clip, callable fails": failing(Failure, lambda grads: clip(grads, fail)),
    "clip, callable answers text": failing(TypeError, lambda grads: clip(grads, answer_text)),
    "clip, callable answers nan": failing(ValueError, lambda grads: clip(grads, answer_nan)),
    "clip, bad argument": failing(ValueError, lambda grads: clip(grads, nonfinite="no such")),
    "clip, bad keyword": failing(TypeError, lambda grads: clip(grads, no_such=1)),
    "clip_with_norm_": lambda grads: gradclip.clip_with_norm_(grads, 1.0, 1.5),
    "clip_with_norm_, inf": failing(
        BAD, lambda grads: gradclip.clip_with_norm_(grads, 1.0, float("inf"))
    ),
    "scale_": lambda grads: gradclip.scale_(grads, 1.0),
    "clip_by_norm_": lambda grads: gradclip.clip_by_norm_(grads, 1e-3),
    "clip_by_norm_, axis": lambda grads: gradclip.clip_by_norm_(grads, 1e-3, axis=(0,)),
    "clip_by_norm_, no axis": failing(
        ValueError, lambda grads: gradclip.clip_by_norm_(grads, 1.0, axis=1)
    ),
    "clip_by_value_, complex": failing(
        TypeError, lambda grads: gradclip.clip_by_value_([grads, a(dtype="c8")], -1, 1)
    ),
    "grad_stats": gradclip.grad_stats,
    "adaptive_grad_clip_, no partner": failing(
        ValueError, lambda grads: gradclip.adaptive_grad_clip_(grads, [a()])
    ),
    "scale_, too large": failing(ValueError, lambda grads: gradclip.scale_(grads, 1e300)),
}
FRESH = {
    "fresh": fresh,
    "fresh, loose": lambda grads: fresh(grads, 1e9),
    "clip_by_norm": lambda grads: gradclip.clip_by_norm(grads, 1e-3, axis=-1),
    "fresh, callable": lambda grads: fresh(grads, threshold),
    "fresh, callable fails": failing(Failure, lambda grads: fresh(grads, fail)),
}
FAULTS = {
    "integers": (TypeError, lambda: [a(), {Key("key"): a(dtype="i4")}]),
    "byte order": (TypeError, lambda: [a(), (a(dtype=">f8"),)]),
    "records": (TypeError, lambda: [a(), np.zeros(3, [("x", "f4")])]),
    "masked": (TypeError, lambda: [a(), np.ma.array(a())]),
    "no array": (TypeError, lambda: [a(), {"x": object()}]),
    "a set": (TypeError, lambda: [a(), {"x": frozenset([1])}]),
    "a cycle": (ValueError, cyclic),
    "read-only": (ValueError, lambda: [a(), locked(a())]),
    "overlap": (ValueError, overlapping),
    "self-overlap": (ValueError, lambda: [a(), np.lib.stride_tricks.as_strided(a(), (9,), (4,))]),
    "nan": (BAD, lambda: [a(), {"x": a(np.nan)}]),
    "overflow": (BAD, lambda: [a(1e308), a(1e308)]),
    "device": (ValueError, lambda: [a(), Producer(a(), says=(2, 0))]),
    "tensor of integers": (TypeError, lambda: [a(), Exchanging(a(), dtype=(0, 64, 1))]),
    "read-only tensor": (ValueError, lambda: [Exchanging(a()), Producer(a(), flags=READ_ONLY)]),
    "no version": (ValueError, lambda: [Producer(a()), OldProducer(a())]),
    "tensors that overlap": (ValueError, lambda: [(array := a()), Producer(array)]),
}

CASES = (
    {name: (call, everything) for name, call in (ANY | FRESH).items()}
    | {f"{name}, tensors": (call, with_tensors) for name, call in ANY.items()}
    | {name: (failing(error, clip), make) for name, (error, make) in FAULTS.items()}
    | {
        f"fresh, {name}": (failing(error, fresh), make)
        for name, (error, make) in FAULTS.items()
        if error is BAD or name in ("integers", "masked", "no array", "a cycle")
    }
    | {"fresh, tensors": (failing(TypeError, fresh), with_tensors)}
)
OTHERS = (threshold, fail, answer_text, answer_nan, Failure, BAD, TypeError, ValueError, MyList)
OTHERS += (MyDict, Pair, Producer, Exchanging)


@pytest.fixture(autouse=True, scope="module")
def no_pages_are_taken():
    for call, make in CASES.values():
        call(make())
    with flat_memory(spare=16 * COUNT * len(CASES)):
        yield


@pytest.mark.parametrize(("call", "make"), CASES.values(), ids=CASES)
def test_nothing_is_left(call, make, record_property):
    grads = make()
    recorded = [t.calls for t in tensors_in(grads)]

    def run(grads):
        call(grads)
        for calls in recorded:
            calls.clear()

    assert_nothing_is_left(run, grads, *OTHERS, count=COUNT)
    assert not EXPORTS.living
    assert not EXPORTS.mistakes
    record_property("cases", COUNT)


def tensors_in(grads):
    items = grads.values() if isinstance(grads, dict) else grads
    return [item for item in items if hasattr(item, "calls")] + [
        tensor
        for item in items
        if isinstance(item, list | dict) and item is not grads
        for tensor in tensors_in(item)
    ]
