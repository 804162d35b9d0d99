"""Tensors of other libraries, which show their memory through DLPack: as NumPy's arrays, or an
error that says why not."""

import ctypes
import enum
import gc
import sys
import weakref

import dlpack_producers as dlpack
import numpy as np
import pytest
from buffers import digest, same_bits, unchanged
from calls import IN_PLACE
from dlpack_producers import (
    EXPORTS,
    READ_ONLY,
    READ_ONLY_KINDS,
    READABLE,
    UNVERSIONED_KINDS,
    WRITEABLE,
    Exchanging,
    OldProducer,
    Producer,
    described,
    exchanging,
    table,
)
from dtypes import BFLOAT16, normals
from layouts import BUFFER_SIZE, LAYOUTS
from numpy.lib.stride_tricks import as_strided
from subprocesses import output_of

import gradclip

READING = {
    "global_norm": gradclip.global_norm,
    "array_norms": gradclip.array_norms,
    "global_norm, order 1": lambda grads: gradclip.global_norm(grads, ord=1),
    "array_norms, order inf": lambda grads: gradclip.array_norms(grads, ord=np.inf),
    "array_norms, order 3": lambda grads: gradclip.array_norms(grads, ord=3),
}
TAKING = READING | IN_PLACE

POSITIONS = {
    "grads": lambda leaf, a, b: leaf,
    "grads[1]": lambda leaf, a, b: (a, leaf, b),
    "grads['a'][1]": lambda leaf, a, b: {"z": a, "a": [None, leaf], "y": b},
}

# Strides are whole items in DLPack.
ITEM_LAYOUTS = {name: view for name, view in LAYOUTS.items() if "records" not in name}


@pytest.fixture(autouse=True)
def every_export_is_freed_once():
    """See that whatever a test exports is freed, and once only, by the end of it."""
    EXPORTS.living.clear()
    yield
    if EXPORTS.living:
        gc.collect()
    assert not EXPORTS.living
    assert not EXPORTS.mistakes


@pytest.fixture(params=READABLE)
def readable(request):
    return READABLE[request.param]


@pytest.fixture(params=WRITEABLE)
def writeable(request):
    return WRITEABLE[request.param]


@pytest.fixture(params=READING)
def read(request):
    return READING[request.param]


@pytest.fixture(params=IN_PLACE)
def in_place_call(request):
    return IN_PLACE[request.param]


@pytest.fixture(params=TAKING)
def call(request):
    return TAKING[request.param]


def buffer_of(rng, dtype, view):
    """Return a buffer in which a view has random numbers, and the view."""
    buffer = np.full(BUFFER_SIZE, 0x5A, np.uint8)
    array = view(buffer, dtype)
    array[...] = normals(rng, array.shape, dtype)
    return buffer, array


def assert_refused(call, bad, error, *words):
    """Assert that a call raises this, names the path and all words, changes no byte and keeps
    nothing, wherever the bad leaf is. Return the last message."""
    good = np.full(5, 3.0, np.float32), np.full((2, 2), -4.0)
    for path, nesting in POSITIONS.items():
        with unchanged(*good), pytest.raises(error) as raised:
            call(nesting(bad, *good))
        assert type(raised.value) is error
        message = str(raised.value)
        assert "\n" not in message
        assert f"{path}[" not in message
        for word in (path, *words):
            assert word in message
        assert not EXPORTS.living
    return message


# What can be taken.


def test_norms_are_those_of_the_array(read, readable, any_dtype, rng):
    array = normals(rng, (40, 7), any_dtype)
    others = [np.ones(3), array.T]
    expected = read([others[0], array, others[1]])
    assert same_bits(read([others[0], readable(array), others[1]]), expected)
    assert same_bits(read(readable(array)), read(array))


@pytest.mark.parametrize("view", ITEM_LAYOUTS.values(), ids=ITEM_LAYOUTS)
def test_norms_of_all_layouts(view, any_dtype, rng):
    _, array = buffer_of(rng, any_dtype, view)
    for make in (Producer, Exchanging, OldProducer):
        assert gradclip.global_norm(make(array)) == gradclip.global_norm(array)


def test_writes_are_those_to_the_array(in_place_call, writeable, any_dtype, rng):
    array = normals(rng, (40, 7), any_dtype)
    expected = array.copy()
    answer = in_place_call([np.ones(3), expected])
    producer = writeable(array)
    assert same_bits(in_place_call([np.ones(3), producer]), answer)
    assert same_bits(array, expected)


@pytest.mark.parametrize("view", ITEM_LAYOUTS.values(), ids=ITEM_LAYOUTS)
def test_writes_to_all_layouts(view, any_dtype, rng):
    buffer, _ = buffer_of(rng, any_dtype, view)
    for make in (Producer, Exchanging):
        expected = buffer.copy()
        norm = gradclip.clip_by_global_norm_(view(expected, any_dtype), 0.25)
        written = buffer.copy()
        assert gradclip.clip_by_global_norm_(make(view(written, any_dtype)), 0.25) == norm
        assert digest(written) == digest(expected)


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


# How memory is asked for, and given back.


def test_the_newest_version_is_asked_for_and_nothing_else():
    producer = Producer(np.ones(3))
    gradclip.global_norm(producer)
    assert producer.calls == [{"max_version": (1, 2)}]


def test_producers_from_before_version_1_are_asked_without_a_version():
    producer = OldProducer(np.ones(3))
    gradclip.global_norm(producer)
    assert producer.calls == [{}]


def test_each_tensor_is_exported_once(call):
    producers = [Producer(np.ones(3)) for _ in range(4)]
    call(producers)
    assert [len(producer.calls) for producer in producers] == [1] * 4
    assert not EXPORTS.living


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
    "error": (_fails(TypeError, _clip), lambda a: Giving(_raising(BufferError("no")))),
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


# What can't.


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


class Giving:
    """A producer whose __dlpack__ does something else."""

    def __init__(self, action):
        self.action = action

    def __dlpack_device__(self):
        return dlpack.CPU

    def __dlpack__(self, *, max_version=None):
        return self.action()


def _raising(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize(
    "error",
    [BufferError, ValueError, RuntimeError, TypeError, AttributeError, OSError, ZeroDivisionError],
)
def test_errors_of_producers_are_told_in_a_line(call, error):
    bad = Giving(_raising(error("can not,\nby no means\nbacktrace")))
    assert "means" not in assert_refused(call, bad, TypeError, "Giving", "can not,")


def test_errors_without_words(call):
    assert_refused(call, Giving(_raising(BufferError())), TypeError, "Giving")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError, GeneratorExit])
def test_errors_that_are_no_answer_go_through(call, error):
    failure = error("stop")
    good = np.full(5, 3.0)
    with unchanged(good), pytest.raises(error) as raised:
        call([good, Producer(good.copy()), Giving(_raising(failure))])
    assert raised.value is failure
    assert not EXPORTS.living


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_errors_that_are_no_answer_go_through_from_the_device(call, error):
    class Busy(Producer):
        def __dlpack_device__(self):
            raise error

    with pytest.raises(error):
        call([Busy(np.ones(3))])


def test_errors_of_the_device(call):
    class Lost(Producer):
        def __dlpack_device__(self):
            raise LookupError("no device")

    bad = Lost(np.ones(3))
    assert_refused(call, bad, TypeError, "no device", "Lost")
    assert not bad.calls


NO_CAPSULES = {
    "None": lambda: None,
    "number": lambda: 3,
    "array": lambda: np.ones(3),
    "capsule of another name": lambda: dlpack.api_capsule(table(), b"tensor"),
    "used capsule": lambda: dlpack.api_capsule(table(), b"used_dltensor_versioned"),
}


@pytest.mark.parametrize("gives", NO_CAPSULES.values(), ids=NO_CAPSULES)
def test_what_is_no_capsule(call, gives):
    assert_refused(call, Giving(gives), TypeError, "Giving", "no DLPack capsule")


@pytest.mark.parametrize("method", [None, 3])
def test_a_method_that_is_none(call, method):
    bad = type("Odd", (), {"__dlpack__": method, "__dlpack_device__": lambda self: dlpack.CPU})()
    assert_refused(call, bad, TypeError, "Odd")


def test_the_type_has_to_have_the_method(call):
    bad = type("Odd", (), {})()
    bad.__dlpack__ = Producer(np.ones(3)).__dlpack__
    assert_refused(call, bad, TypeError, "Odd", "NumPy array", "tensor")
    assert_refused(call, Producer, TypeError, "type", "NumPy array", "tensor")


# The C exchange API.


def test_a_description_is_all_that_reading_takes(read):
    tensor = Exchanging(np.ones(3))
    read([tensor])
    assert tensor.calls == ["describe"]


def test_writing_takes_an_export_for_its_flags(in_place_call):
    tensor = Exchanging(np.ones(3))
    in_place_call([tensor])
    assert tensor.calls == ["export_managed"]


def test_a_library_need_not_describe(call):
    tensor = dlpack.ExchangingWithoutDescription(np.ones(3))
    call([tensor])
    assert tensor.calls == ["export_managed"]


def test_the_exchange_api_comes_before_the_method(call):
    tensor = exchanging(table(), Producer)(np.ones(3))
    call([tensor])
    assert len(tensor.calls) == 1
    assert tensor.calls[0] in ("describe", "export_managed")


@pytest.mark.parametrize("version", [(0, 9), (2, 0), (3, 4)])
def test_earlier_major_versions_are_found(call, version):
    chain = table(version, table((7, 0), table((1, 3)), None, None), None, None)
    tensor = exchanging(chain)(np.array([3.0, 4.0]))
    call([tensor])
    assert len(tensor.calls) == 1


NO_APIS = {
    "other versions": lambda: table((2, 0), table((3, 0), None, None, None), None, None),
    "another name": lambda: dlpack.api_capsule(table(), b"dlpack_exchange"),
    "no capsule": lambda: 3.0,
    "None": lambda: None,
}


@pytest.mark.parametrize("api", NO_APIS.values(), ids=NO_APIS)
def test_without_an_exchange_api_of_version_1_the_method_is_called(call, api):
    tensor = exchanging(api(), Producer)(np.ones(3))
    call([tensor])
    assert tensor.calls == [{"max_version": (1, 2)}]


@pytest.mark.parametrize("api", NO_APIS.values(), ids=NO_APIS)
def test_without_either_it_is_no_array(call, api):
    bad = exchanging(api())(np.ones(3))
    assert_refused(call, bad, TypeError, "Exchanging", "NumPy array", "tensor")


class Failing:
    """Its functions are a call of __delitem__, see dlpack_producers."""

    def __init__(self, error):
        self.error = error

    def __delitem__(self, address):
        raise self.error


FAILING = {
    "export": exchanging(table(describe=None, export_managed=dlpack.CALL_DELITEM), Failing),
    "both": exchanging(
        table(describe=dlpack.CALL_DELITEM, export_managed=dlpack.CALL_DELITEM), Failing
    ),
}


@pytest.mark.parametrize("failing", FAILING.values(), ids=FAILING)
def test_errors_of_the_functions_are_told_in_a_line(call, failing):
    bad = failing(BufferError("can not,\nby no means"))
    assert "means" not in assert_refused(call, bad, TypeError, "Exchanging", "can not,")


@pytest.mark.parametrize("failing", FAILING.values(), ids=FAILING)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_errors_of_the_functions_that_are_no_answer_go_through(call, failing, error):
    good = np.full(5, 3.0)
    with unchanged(good), pytest.raises(error):
        call([good, failing(error())])


def test_an_export_of_another_version(in_place_call):
    bad = Exchanging(np.ones(3), version=(2, 1))
    assert_refused(in_place_call, bad, TypeError, "version is 2.1")


def test_functions_that_say_nothing_about_their_failure(call):
    fails = dlpack.FUNCTION(lambda producer, address: -1)
    bad = exchanging(table(describe=fails, export_managed=fails))(np.ones(3))
    good = np.full(5, 3.0)
    with unchanged(good), pytest.raises((TypeError, RuntimeError, SystemError)):
        call([good, bad])


def test_exports_of_nothing(in_place_call):
    nothing = dlpack.FUNCTION(lambda producer, address: 0)
    bad = exchanging(table(describe=None, export_managed=nothing))(np.ones(3))
    assert_refused(in_place_call, bad, TypeError, "Exchanging")


# Memory that is shared.


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


# Tensors that change while a call is at work.

CHANGES = {
    "memory": lambda tensor: setattr(tensor, "array", tensor.array.copy()),
    "size": lambda tensor: setattr(tensor, "array", tensor.array[:10]),
    "strides": lambda tensor: setattr(tensor, "array", tensor.array[::2]),
    "dtype": lambda tensor: setattr(tensor, "array", tensor.array.view(BFLOAT16)),
    "lanes": lambda tensor: tensor.options.update(dtype=(2, 16, 2)),
    "flags": lambda tensor: tensor.options.update(flags=READ_ONLY),
    "device": lambda tensor: tensor.options.update(device=(2, 0)),
    "no memory": lambda tensor: tensor.options.update(data=None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("make", [Producer, Exchanging])
def test_a_callable_that_changes_a_tensor(make, change):
    array = np.full(50_000, 2.0, "f2")
    grads = {"a": [np.full(3, 2.0), make(array)]}

    def max_norm(norm):
        change(grads["a"][1])
        return 1.0

    with (
        unchanged(array, grads["a"][0]),
        pytest.raises(RuntimeError, match=r"grads\['a'\]\[1\]; nothing was written"),
    ):
        gradclip.clip_by_global_norm_(grads, max_norm)
    assert not EXPORTS.living


def test_a_callable_after_which_a_tensor_is_elsewhere():
    tensor = Producer(np.full(9, 2.0))

    def move(norm):
        tensor.says = (2, 0)
        return 1.0

    with unchanged(tensor.array), pytest.raises(RuntimeError, match="grads; nothing was written"):
        gradclip.clip_by_global_norm_(tensor, move)
    assert len(tensor.calls) == 1


@pytest.mark.parametrize("error", [BufferError, KeyboardInterrupt, MemoryError])
def test_a_callable_after_which_a_tensor_can_not_be_exported(error):
    tensor = Producer(np.full(9, 2.0))

    def lock(norm):
        tensor.capsule = _raising(error("locked"))
        return 1.0

    with unchanged(tensor.array), pytest.raises(error, match="locked"):
        gradclip.clip_by_global_norm_([np.ones(3), tensor], lock)
    assert not EXPORTS.living


def test_a_callable_that_changes_nothing(writeable):
    array = np.array([3.0, 4.0])
    grads = [writeable(array), np.zeros(3)]
    assert gradclip.clip_by_global_norm_(grads, lambda norm: norm / 2) == 5.0
    assert array == pytest.approx([1.5, 2.0])
    assert not EXPORTS.living


HOSTILE = {
    "empties the list": """
class Rude(Producer):
    def __dlpack__(self, **arguments):
        grads.clear()
        gc.collect()
        return super().__dlpack__(**arguments)

grads = [Rude(np.full(50_000, 2.0)) for _ in range(20)]
print(gradclip.clip_by_global_norm_(grads, 1.0) == 50_000**0.5 * 2)
""",
    "drops its memory": """
class Rude(Producer):
    def __dlpack__(self, **arguments):
        capsule = super().__dlpack__(**arguments)
        del self.array
        gc.collect()
        return capsule

print(gradclip.clip_by_global_norm_([Rude(np.full(50_000, 2.0))], 1.0) == 50_000**0.5 * 2)
""",
    "clips within": """
class Rude(Producer):
    def __dlpack__(self, **arguments):
        gradclip.clip_by_global_norm_([Producer(self.array)], 1.0)
        return super().__dlpack__(**arguments)

print(gradclip.global_norm([Rude(np.full(50_000, 2.0))]) <= 1.0)
""",
    "changes its class": """
class Rude(Producer):
    def __dlpack__(self, **arguments):
        self.__class__ = Producer
        return self.__dlpack__(**arguments)

grads = [Rude(np.full(50_000, 2.0)), Rude(np.full(50_000, 2.0))]
print(gradclip.clip_by_global_norm_(grads, 1.0) == 100_000**0.5 * 2)
""",
    "goes away with its class": """
def make():
    class Passing(Producer):
        pass
    return Passing(np.full(5, 2.0))

for _ in range(200):
    grads = [make() for _ in range(5)]
    gradclip.clip_by_global_norm_(grads, lambda norm: grads.clear() or gc.collect() and 1.0 or 1.0)
print(not dlpack_producers.EXPORTS.living)
""",
}


@pytest.mark.parametrize("snippet", HOSTILE.values(), ids=HOSTILE)
def test_code_that_runs_while_tensors_are_exported_can_not_crash_a_call(snippet):
    prepare = f"""
import gc, sys
sys.path.insert(0, {dlpack.__file__.rpartition("/")[0]!r})
import numpy as np
import gradclip, dlpack_producers
from dlpack_producers import Producer
"""
    assert output_of(prepare + snippet) == "True"


# Libraries that are there.


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


def test_the_layouts_of_the_structs_are_those_of_dlpack():
    assert ctypes.sizeof(dlpack.Tensor) == 48
    assert ctypes.sizeof(dlpack.Managed) == 64
    assert ctypes.sizeof(dlpack.ManagedVersioned) == 80
    tensor, _ = described(np.ones((2, 3), BFLOAT16).T)
    assert (tensor.ndim, tensor.dtype.code, tensor.dtype.bits) == (2, 4, 16)
    assert (tensor.shape[:2], tensor.strides[:2]) == ([3, 2], [1, 3])


@pytest.fixture(scope="module")
def jnp():
    return pytest.importorskip("jax.numpy")


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "complex64"])
def test_norms_of_jax_arrays(jnp, read, kind, rng):
    array = normals(rng, (30, 40), np.dtype(getattr(jnp, kind)))
    assert same_bits(read([jnp.asarray(array)]), read([array]))
    assert same_bits(read(jnp.asarray(array).T), read(array.T.copy()))


def test_jax_arrays_are_not_written(jnp, in_place_call):
    array = jnp.array([3.0, 4.0])
    assert_refused(in_place_call, array, ValueError, "without a version", "numpy.array(...)")
    assert array.tolist() == [3.0, 4.0]
