"""Exports live as long as the call that asked for them, and are freed once."""

import gc
import sys
import weakref

import dlpack_calls
import numpy as np
import pytest
from dlpack_calls import Giving, raising
from dlpack_producers import EXPORTS, READ_ONLY, Exchanging, OldProducer, Producer

import gradclip

every_export_is_freed_once = dlpack_calls.every_export_is_freed_once


def test_exports_live_as_long_as_the_call():
    living = []

    def look(norm):
        living.append(len(EXPORTS.living))
        return 1.0

    gradclip.clip_by_global_norm_([Producer(np.full(5, 2.0)) for _ in range(3)], look)
    assert living == [3]
    assert not EXPORTS.living


def test_tensors_live_as_long_as_the_call():
    arrays = [np.full(50_000, 2.0) for _ in range(3)]
    grads = [Producer(arrays[0]), Exchanging(arrays[1]), Producer(arrays[2])]
    alive = [weakref.ref(tensor) for tensor in grads]

    def drop(norm):
        grads.clear()
        gc.collect()
        assert all(tensor() is not None for tensor in alive)
        return 1.0

    gradclip.clip_by_global_norm_(grads, drop)
    assert [tensor() for tensor in alive] == [None] * 3
    assert all((array < 0.1).all() for array in arrays)


def test_a_tensor_lives_while_its_class_is_asked_how_it_shows_memory():
    alive = []

    class Meta(type):
        def __getattribute__(cls, name):
            grads.clear()
            alive.append(tensor() is not None)
            return super().__getattribute__(name)

    class Shown(Producer, metaclass=Meta):
        pass

    grads = [Shown(np.array([3.0, 4.0]))]
    tensor = weakref.ref(grads[0])
    assert gradclip.global_norm(grads) == 5.0
    assert alive
    assert all(alive)


def test_containers_and_keys_live_while_what_is_in_them_is_read():
    class Container(list):
        pass

    class Key:
        pass

    class Emptying(Producer):
        def __dlpack__(self, **arguments):
            grads.clear()
            assert all(held() is not None for held in alive)
            return super().__dlpack__(**arguments)

    grads = {Key(): Container([Emptying(np.array([3.0, 4.0]))])}
    alive = [weakref.ref(held) for pair in grads.items() for held in pair]
    assert gradclip.global_norm(grads) == 5.0
    assert [held() for held in alive] == [None] * 2


def _fails(error, call):
    def expect(grads):
        try:
            call(grads)
        except error:
            return
        raise AssertionError(f"no {error.__name__}")

    return expect


def _clip(grads):
    return gradclip.clip_by_global_norm_(grads, 1e-3)


MANY = {
    "norm": (gradclip.global_norm, Producer),
    "norm, exchange API": (gradclip.global_norm, Exchanging),
    "clip": (_clip, Producer),
    "clip, exchange API": (_clip, Exchanging),
    "read-only": (_fails(ValueError, _clip), lambda a: Producer(a, flags=READ_ONLY)),
    "read-only, exchange API": (
        _fails(ValueError, _clip),
        lambda a: Exchanging(a, flags=READ_ONLY),
    ),
    "unversioned": (_fails(ValueError, _clip), OldProducer),
    "version 2": (_fails(TypeError, _clip), lambda a: Producer(a, version=(2, 0))),
    "no capsule": (_fails(TypeError, _clip), lambda a: Giving(lambda: None)),
    "error": (_fails(TypeError, _clip), lambda a: Giving(raising(BufferError))),
    "device": (_fails(ValueError, _clip), lambda a: Producer(a, says=(2, 0))),
    "dtype": (_fails(TypeError, _clip), lambda a: Producer(a, dtype=(0, 64, 1))),
}


@pytest.mark.parametrize(("call", "make"), MANY.values(), ids=MANY)
def test_10_000_calls_leave_nothing_behind(call, make):
    tensor = make(np.full(4, 2.0))
    calls = getattr(tensor, "calls", [])
    grads = [np.ones(3), tensor]

    def repeat(count):
        for _ in range(count):
            call(grads)
            calls.clear()

    repeat(100)
    gc.collect()
    objects = [grads, tensor, type(tensor), np.dtype("f8"), *grads]
    references = [sys.getrefcount(item) for item in objects]
    gc.disable()
    blocks = sys.getallocatedblocks()
    repeat(10_000)
    blocks = sys.getallocatedblocks() - blocks
    gc.enable()
    after = [sys.getrefcount(item) for item in objects]
    assert max(abs(a - b) for a, b in zip(after, references, strict=True)) < 10
    assert blocks < 500
    assert not EXPORTS.living
