"""Other libraries' tensors are taken by DLPack as NumPy's arrays of the same memory are."""

import sys

import dlpack_calls
import numpy as np
import pytest
from buffers import digest, same_bits, unchanged
from dlpack_calls import assert_refused
from dlpack_producers import EXPORTS, Exchanging, Producer
from dtypes import normals
from subprocesses import output_of

import gradclip

every_export_is_freed_once = dlpack_calls.every_export_is_freed_once
readable = dlpack_calls.readable
writeable = dlpack_calls.writeable
read = dlpack_calls.read
in_place_call = dlpack_calls.in_place_call
call = dlpack_calls.call


def test_norms_are_those_of_the_array(read, readable, any_dtype, rng):
    array = normals(rng, (40, 7), any_dtype)
    others = [np.ones(3), array.T]
    expected = read([others[0], array, others[1]])
    assert same_bits(read([others[0], readable(array), others[1]]), expected)
    assert same_bits(read(readable(array)), read(array))


def test_writes_are_those_to_the_array(in_place_call, writeable, any_dtype, rng):
    array = normals(rng, (40, 7), any_dtype)
    expected = array.copy()
    answer = in_place_call([np.ones(3), expected])
    producer = writeable(array)
    assert same_bits(in_place_call([np.ones(3), producer]), answer)
    assert same_bits(array, expected)


def test_large_tensors_on_any_number_of_threads(num_threads, rng):
    array = rng.standard_normal(700_000, dtype="f4")
    expected = array.copy()
    norm = gradclip.clip_by_global_norm_([expected, expected.copy()], 1.0)
    grads = [Producer(array), Exchanging(array.copy())]
    assert gradclip.clip_by_global_norm_(grads, 1.0) == norm
    assert digest(array) == digest(grads[1].array) == digest(expected)


def test_arrays_and_tensors_of_several_libraries_in_one_list(rng, isa):
    arrays = [normals(rng, 30, np.dtype(kind)) for kind in ("f4", "f8", "f2", "c8", "f4", "c16")]
    expected = [array.copy() for array in arrays]
    norm = gradclip.clip_by_global_norm_(expected, 1.0)
    makers = (Producer, np.asarray, Exchanging, Producer, Producer, np.asarray)
    grads = [make(array) for make, array in zip(makers, arrays, strict=True)]
    nested = {"a": grads[:2], "b": (None, {"c": grads[2], "d": grads[3:]})}
    assert gradclip.clip_by_global_norm_(nested, 1.0) == norm
    for array, same in zip(arrays, expected, strict=True):
        assert same_bits(array, same)


def test_none_beside_tensors_is_skipped():
    assert gradclip.global_norm([None, Producer(np.array([3.0, 4.0])), None]) == 5.0


def test_a_non_finite_tensor_is_named():
    grads = {"a": [np.ones(2), Producer(np.array([1.0, np.nan]))]}
    with pytest.raises(gradclip.NonFiniteNormError) as raised:
        gradclip.clip_by_global_norm_(grads, 1.0)
    assert raised.value.path == "grads['a'][1]"
    assert not EXPORTS.living


def test_unclipped_tensors_keep_every_bit(writeable):
    array = np.array([1.0, -0.0, 5e-324, 2.0])
    with unchanged(array):
        gradclip.clip_by_global_norm_(writeable(array), 10.0)
        gradclip.clip_with_norm_(writeable(array), 10.0, 3.0)


class OfNumpy:
    """NumPy's own exporter, under another type."""

    def __init__(self, array):
        self.array = array

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __dlpack__(self, **arguments):
        return self.array.__dlpack__(**arguments)


def test_what_numpy_itself_exports(call):
    array = np.arange(1.0, 31.0).reshape(5, 6)
    expected = array.copy()
    count = sys.getrefcount(array)
    answer = call([expected.T])
    assert same_bits(call([OfNumpy(array.T)]), answer)
    assert same_bits(array, expected)
    assert sys.getrefcount(array) == count


def test_what_numpy_exports_of_read_only_arrays(in_place_call):
    array = np.ones(3)
    array.flags.writeable = False
    assert_refused(in_place_call, OfNumpy(array), ValueError, "read-only")


@pytest.mark.parametrize("number", [0, 1, -1])
def test_the_number_of_a_processor_does_not_matter(number):
    assert gradclip.global_norm(Producer(np.array([3.0, 4.0]), says=(1, number))) == 5.0


FAKES = {
    "None": "None",
    "an object": "object()",
    "an empty module": "module",
    "a number in a module": "setattr(module, 'Tensor', 3) or module",
}


@pytest.mark.parametrize("fake", FAKES.values(), ids=FAKES)
def test_other_things_called_torch_are_no_reason_to_fail(fake):
    code = f"""
import sys, types
sys.path.insert(0, {__file__.rpartition("/")[0]!r})
import numpy as np
import gradclip
from dlpack_producers import Producer

module = types.ModuleType("torch")
sys.modules["torch"] = {fake}
print(gradclip.global_norm([Producer(np.array([3.0, 4.0]))]))
"""
    assert output_of(code) == "5.0"
