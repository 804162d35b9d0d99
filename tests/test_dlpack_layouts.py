"""Shapes, strides and offsets of other libraries' tensors mean what DLPack says they mean."""

import ctypes

import dlpack_calls
import dlpack_producers as dlpack
import numpy as np
import pytest
from buffers import digest
from dlpack_producers import Exchanging, OldProducer, Producer, described
from dtypes import BFLOAT16, normals
from layouts import BUFFER_SIZE, LAYOUTS

import gradclip

every_export_is_freed_once = dlpack_calls.every_export_is_freed_once


# Strides are whole items in DLPack.
ITEM_LAYOUTS = {name: view for name, view in LAYOUTS.items() if "records" not in name}


def buffer_of(rng, dtype, view):
    """Return a buffer in which a view has random numbers, and the view."""
    buffer = np.full(BUFFER_SIZE, 0x5A, np.uint8)
    array = view(buffer, dtype)
    array[...] = normals(rng, array.shape, dtype)
    return buffer, array


@pytest.mark.parametrize("view", ITEM_LAYOUTS.values(), ids=ITEM_LAYOUTS)
def test_norms_of_all_layouts(view, any_dtype, rng):
    _, array = buffer_of(rng, any_dtype, view)
    for make in (Producer, Exchanging, OldProducer):
        assert gradclip.global_norm(make(array)) == gradclip.global_norm(array)


@pytest.mark.parametrize("view", ITEM_LAYOUTS.values(), ids=ITEM_LAYOUTS)
def test_writes_to_all_layouts(view, any_dtype, rng):
    buffer, _ = buffer_of(rng, any_dtype, view)
    for make in (Producer, Exchanging):
        expected = buffer.copy()
        norm = gradclip.clip_by_global_norm_(view(expected, any_dtype), 0.25)
        written = buffer.copy()
        assert gradclip.clip_by_global_norm_(make(view(written, any_dtype)), 0.25) == norm
        assert digest(written) == digest(expected)


def test_strides_may_be_null_in_c_order():
    array = np.arange(24.0).reshape(2, 3, 4)
    for make in (Producer, Exchanging, OldProducer):
        assert gradclip.global_norm(make(array, strides=None)) == gradclip.global_norm(array)
    gradclip.scale_(Producer(array, strides=None), 2.0)
    assert array.tolist() == (2 * np.arange(24.0).reshape(2, 3, 4)).tolist()


@pytest.mark.parametrize("strides", [(1,), (7,), (-3,), (0,)])
def test_strides_of_axes_of_length_1_do_not_matter(strides):
    array = np.array([5.0])
    assert gradclip.clip_by_global_norm_(Producer(array, strides=strides), 1.0) == 5.0
    assert array[0] == pytest.approx(1.0)


def test_the_byte_offset_counts():
    array = np.array([7.0, 3.0, 4.0])
    tensor = Producer(array, byte_offset=8, ndim=1, shape=(2,))
    assert gradclip.clip_by_global_norm_(tensor, 2.5) == 5.0
    assert array == pytest.approx([7.0, 1.5, 2.0])


@pytest.mark.parametrize("strides", [(), None])
@pytest.mark.parametrize("make", [Producer, Exchanging])
def test_tensors_without_axes(make, strides):
    array = np.array(-4.0)
    assert gradclip.array_norms([make(array, strides=strides)]).tolist() == [4.0]
    gradclip.clip_by_global_norm_(make(array, strides=strides), 1.0)
    assert array == pytest.approx(-1.0)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 1 << 40), (1 << 40, 0, 1 << 40)])
@pytest.mark.parametrize("strides", [None, "ones"])
def test_empty_tensors_may_have_no_memory(shape, strides):
    if strides == "ones":
        strides = (1,) * len(shape)
    empty = {"data": None, "shape": shape, "ndim": len(shape), "strides": strides}
    for make in (Producer, Exchanging):
        tensor = make(np.ones(1), **empty)
        assert gradclip.array_norms([tensor, np.ones(4)]).tolist() == [0.0, 2.0]
        assert gradclip.clip_by_global_norm_([tensor, np.ones(4)], 1.0) == 2.0
        gradclip.scale_(tensor, 2.0)


@pytest.mark.parametrize("ndim", [33, 65, 200])
def test_more_axes_than_numpy_has(ndim):
    array = np.array([3.0, 9.0, 4.0, 9.0])
    shape, strides = (1,) * (ndim - 1) + (2,), (5,) * (ndim - 1) + (2,)
    tensor = Producer(array, ndim=ndim, shape=shape, strides=strides)
    assert gradclip.clip_by_global_norm_(tensor, 2.5) == 5.0
    assert array == pytest.approx([1.5, 9.0, 2.0, 9.0])


def test_the_layouts_of_the_structs_are_those_of_dlpack():
    assert ctypes.sizeof(dlpack.Tensor) == 48
    assert ctypes.sizeof(dlpack.Managed) == 64
    assert ctypes.sizeof(dlpack.ManagedVersioned) == 80
    tensor, _ = described(np.ones((2, 3), BFLOAT16).T)
    assert (tensor.ndim, tensor.dtype.code, tensor.dtype.bits) == (2, 4, 16)
    assert (tensor.shape[:2], tensor.strides[:2]) == ([3, 2], [1, 3])
