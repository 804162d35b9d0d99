"""Tensors that share memory, or overlap themselves, are read but never written."""

import dlpack_calls
import numpy as np
import pytest
from buffers import unchanged
from dlpack_calls import assert_refused
from dlpack_producers import Exchanging, Producer
from numpy.lib.stride_tricks import as_strided

import gradclip

every_export_is_freed_once = dlpack_calls.every_export_is_freed_once
readable = dlpack_calls.readable
writeable = dlpack_calls.writeable
in_place_call = dlpack_calls.in_place_call


def test_a_tensor_and_an_array_that_share_memory(in_place_call, writeable):
    array = np.ones(100)
    grads = {"a": array[:60], "b": [None, writeable(array[50:])]}
    with unchanged(array), pytest.raises(ValueError, match=r"grads\['a'\] and grads\['b'\]\[1\] "):
        in_place_call(grads)


def test_tensors_that_share_memory(in_place_call):
    array = np.ones(100)
    tensor = Producer(array)
    for first, second in [
        (tensor, tensor),
        (Producer(array), Exchanging(array[99:])),
        (Producer(array[::2]), Exchanging(array.reshape(50, 2)[10:20])),
        (Producer(array[::-3]), array),
    ]:
        with unchanged(array), pytest.raises(ValueError, match=r"grads\[0\] and grads\[2\] share"):
            in_place_call([first, np.ones(3), second])


def test_interleaved_tensors_work(in_place_call):
    array = np.ones((10, 10))
    in_place_call([Producer(array[:, ::2]), array[:, 1::2]])


def test_shared_memory_is_read_as_often_as_it_is_passed(readable):
    array = np.array([3.0, 4.0])
    assert gradclip.array_norms([readable(array), array, Producer(array)]).tolist() == [5.0] * 3


OVERLAPPING = {
    "zero stride": ((5,), (0,)),
    "rows again and again": ((5, 10), (0, 1)),
    "sliding window": ((10, 7), (1, 1)),
    "strides 3 and 5": ((6, 4), (3, 5)),
    "negative strides that meet": ((4, 5), (-3, 2)),
}


@pytest.mark.parametrize(("shape", "strides"), OVERLAPPING.values(), ids=OVERLAPPING)
def test_tensors_that_overlap_themselves(in_place_call, shape, strides, any_dtype):
    array = np.ones(100, any_dtype)
    start = array[50:]
    view = as_strided(start, shape, [stride * array.itemsize for stride in strides])
    with unchanged(array):
        assert_refused(in_place_call, Producer(view), ValueError, "overlap")
        assert gradclip.global_norm(Producer(view)) == gradclip.global_norm(view.copy())
