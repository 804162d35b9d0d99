"""A tensor whose device, dtype or memory can't be taken is refused, and nothing is written."""

import enum

import dlpack_calls
import numpy as np
import pytest
from buffers import unchanged
from dlpack_calls import assert_refused
from dlpack_producers import (
    READ_ONLY_KINDS,
    UNVERSIONED_KINDS,
    Exchanging,
    OldProducer,
    Producer,
)

import gradclip

every_export_is_freed_once = dlpack_calls.every_export_is_freed_once
in_place_call = dlpack_calls.in_place_call
call = dlpack_calls.call


class DeviceType(enum.IntEnum):
    CPU = 1
    CUDA = 2


@pytest.mark.parametrize("device", [(2, 0), (3, 0), (7, 1), (10, 3), (13, 0), (16, 2), (99, -1)])
def test_memory_elsewhere_is_refused_before_it_is_asked_for(call, device):
    bad = Producer(np.ones(3), says=device)
    assert_refused(call, bad, ValueError, f"type {device[0]}, id {device[1]}", "CPU", "move")
    assert not bad.calls


def test_a_device_that_has_a_name_is_named(call):
    class Named(Producer):
        device = type("Device", (), {"type": "cuda", "__str__": lambda self: "cuda:5"})()

    bad = Named(np.ones(3), says=(DeviceType.CUDA, 5))
    assert_refused(call, bad, ValueError, "cuda:5")
    assert not bad.calls


def test_the_device_may_be_an_enumeration():
    assert gradclip.global_norm(Producer(np.array([3.0, 4.0]), says=(DeviceType.CPU, 0))) == 5.0


@pytest.mark.parametrize("make", [Producer, Exchanging, OldProducer])
def test_memory_that_turns_out_to_be_elsewhere_is_refused(call, make):
    bad = make(np.ones(3), device=(2, 1), data=64)
    assert_refused(call, bad, ValueError, "type 2, id 1")


@pytest.mark.parametrize("says", [None, 3, (), (1,), ("a", "b"), (None, None), (1 << 40, 0)])
def test_a_device_that_is_none_is_an_error(call, says):
    bad = Producer(np.ones(3), says=says)
    assert_refused(call, bad, TypeError, "Producer")


OTHER_DTYPES = {
    "int32": (0, 32, 1),
    "uint8": (1, 8, 1),
    "float8": (2, 8, 1),
    "float80": (2, 80, 1),
    "float128": (2, 128, 1),
    "handle": (3, 64, 1),
    "bfloat32": (4, 32, 1),
    "complex32": (5, 32, 1),
    "complex256": (5, 0, 1),
    "bool": (6, 8, 1),
    "float8_e4m3fn": (10, 8, 1),
    "float4": (17, 4, 1),
    "unknown": (255, 255, 1),
    "vectors of float32": (2, 32, 4),
    "no lanes": (2, 32, 0),
}


@pytest.mark.parametrize("dtype", OTHER_DTYPES.values(), ids=OTHER_DTYPES)
@pytest.mark.parametrize("make", [Producer, Exchanging, OldProducer])
def test_other_dtypes(call, make, dtype):
    with unchanged(array := np.ones(8)):
        words = "code {}, bits {}, lanes {}".format(*dtype), "float32", "bfloat16"
        assert_refused(call, make(array, dtype=dtype), TypeError, *words)


def test_a_dtype_that_has_a_name_is_named(call):
    class Named(Producer):
        dtype = "qint8"

    bad = Named(np.ones(3), dtype=(0, 8, 1))
    assert "DLPack" not in assert_refused(call, bad, TypeError, "qint8", "float32")


def test_no_memory_where_there_should_be_some(call):
    assert_refused(call, Producer(np.ones(3), data=None), TypeError, "Producer", "memory")


@pytest.mark.parametrize("make", READ_ONLY_KINDS.values(), ids=READ_ONLY_KINDS)
@pytest.mark.parametrize("size", [3, 0])
def test_read_only_memory_in_place(in_place_call, make, size):
    with unchanged(array := np.ones(size)):
        assert_refused(in_place_call, make(array), ValueError, "read-only", "copy")


@pytest.mark.parametrize("make", UNVERSIONED_KINDS.values(), ids=UNVERSIONED_KINDS)
def test_memory_that_may_be_read_only_in_place(in_place_call, make):
    with unchanged(array := np.ones(3)):
        words = "without a version", "numpy.array(...)", "Producer"
        assert_refused(in_place_call, make(array), ValueError, *words)


@pytest.mark.parametrize("version", [(0, 8), (2, 0), (2**32 - 1, 1)])
def test_other_major_versions(call, version):
    bad = Producer(np.ones(3), version=version)
    assert_refused(call, bad, TypeError, f"version is {version[0]}.{version[1]}")


@pytest.mark.parametrize("make", [Producer, Exchanging])
def test_functions_that_return_arrays_make_none_of_tensors(make):
    with unchanged(array := np.ones(3)):
        bad = make(array)
        clip = lambda grads: gradclip.clip_by_global_norm(grads, 1e-3)  # noqa: E731
        assert_refused(clip, bad, TypeError, type(bad).__name__, "NumPy", "in place")
    assert not bad.calls
