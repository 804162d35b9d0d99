"""Gradients that can't be taken: an error with path and remedy, wherever they are in the list."""

import collections

import numpy as np
import pytest
from buffers import unchanged
from calls import ALL, ALL_IN_PLACE, taking

import gradclip

POSITIONS = {
    "grads": lambda bad, a, b: bad,
    "grads[0]": lambda bad, a, b: [bad, a, b],
    "grads[1]": lambda bad, a, b: (a, bad, b),
    "grads[2]": lambda bad, a, b: [a, b, bad],
    "grads['enc'][1]": lambda bad, a, b: {"dec": a, "enc": [None, bad], "out": b},
    "grads[0][0]['x'][1]": lambda bad, a, b: [[{"x": (a, bad, b)}]],
}

OTHER_DTYPES = [
    np.zeros(3, np.int32),
    np.zeros(3, np.uint8),
    np.zeros(3, np.int64),
    np.zeros(3, bool),
    np.array([1.0, 2.0], object),
    np.zeros(3, [("a", "f4"), ("b", "f8")]),
    np.zeros(3, np.longdouble),
    np.zeros(3, np.clongdouble),
    np.zeros(3, "U4"),
    np.zeros(3, "S4"),
    np.zeros(3, "V4"),
    np.zeros(3, "M8[s]"),
    np.zeros(3, "m8[s]"),
    np.zeros(0, np.int16),
    np.zeros((), np.int16),
]

NO_ARRAYS = [
    np.float32(1.0),
    np.float64(1.0),
    np.float16(1.0),
    np.complex64(1.0),
    1.0,
    1,
    True,
    "abc",
    b"abc",
    bytearray(8),
    memoryview(b"abc"),
    object(),
    np.ndarray,
    np.float32,
    len,
]

NO_CONTAINERS = [
    (value for value in [np.ones(2)]),
    iter([np.ones(2)]),
    {"w": np.ones(2)}.values(),
    {1, 2},
    frozenset({1, 2}),
    collections.deque([np.ones(2)]),
    range(3),
    map(np.copy, [np.ones(2)]),
]


def type_name(value):
    return type(value).__name__


@pytest.fixture(params=POSITIONS)
def path(request):
    return request.param


@pytest.fixture(params=ALL)
def call(request):
    return ALL[request.param]


@pytest.fixture(params=ALL_IN_PLACE)
def in_place_call(request):
    return ALL_IN_PLACE[request.param]


def assert_refused(call, bad, path, error, *words):
    """Assert that the call raises, names path and words, and changes no byte; in any position."""
    good = np.full(5, 3.0, np.float32), np.full((2, 2), -4.0)
    with unchanged(*good), pytest.raises(error) as raised:
        call(POSITIONS[path](bad, *good))
    assert type(raised.value) is error
    message = str(raised.value)
    assert f"{path}[" not in message
    for word in (path, *words):
        assert word in message


@pytest.mark.parametrize("bad", OTHER_DTYPES, ids=lambda array: str(array.dtype))
def test_other_dtypes(call, bad, path):
    with unchanged(bad):
        assert_refused(call, bad, path, TypeError, str(bad.dtype), "float32", "float64")


@pytest.mark.parametrize("order", ["f2", "f4", "f8", "c8", "c16"])
def test_foreign_byte_order(call, order, path):
    bad = np.ones(3, np.dtype(order).newbyteorder())
    with unchanged(bad):
        assert_refused(call, bad, path, TypeError, str(bad.dtype), "native", "astype")


@pytest.mark.parametrize("mask", [False, [True, False, False]], ids=["unmasked", "masked"])
def test_masked_arrays(call, mask, path, any_dtype):
    bad = np.ma.array(np.ones(3, any_dtype), mask=mask)
    with unchanged(bad.data):
        assert_refused(call, bad, path, TypeError, "mask")


@pytest.mark.parametrize("bad", NO_ARRAYS, ids=type_name)
def test_what_is_no_array(call, bad, path):
    assert_refused(call, bad, path, TypeError, type_name(bad), "NumPy array")


@pytest.mark.parametrize("bad", NO_CONTAINERS, ids=type_name)
def test_what_is_no_list_tuple_or_dict(call, bad, path):
    assert_refused(call, bad, path, TypeError, type_name(bad), "such as list(")


def test_a_generator_is_not_consumed(call):
    arrays = iter([np.ones(2), np.ones(3)])
    with pytest.raises(TypeError):
        call(arrays)
    assert len(list(arrays)) == 2


def test_read_only_arrays_in_place(in_place_call, path, any_dtype):
    bad = np.ones(3, any_dtype)
    bad.flags.writeable = False
    if in_place_call in taking(any_dtype).values():
        assert_refused(in_place_call, bad, path, ValueError, "read-only", "copy")
    else:
        assert_refused(in_place_call, bad, path, TypeError, "complex")


def test_read_only_views_in_place(in_place_call, path):
    bad = np.broadcast_to(np.ones(3), (1, 3))
    assert not bad.flags.writeable
    assert_refused(in_place_call, bad, path, ValueError, "read-only", "copy")


def test_empty_read_only_arrays_in_place(in_place_call, path):
    bad = np.ones(0)
    bad.flags.writeable = False
    assert_refused(in_place_call, bad, path, ValueError, "read-only")


def test_arrays_over_immutable_bytes_in_place(in_place_call, path, dtype):
    bad = np.frombuffer(bytes(24), dtype)
    assert_refused(in_place_call, bad, path, ValueError, "read-only")


def test_mappings_that_are_no_dicts(call):
    with pytest.raises(TypeError, match=r"grads\b.*mappingproxy.*dict"):
        call(type("C", (), {}).__dict__)
    with pytest.raises(TypeError, match=r"grads\[1\].*UserDict.*dict"):
        call([np.ones(2), collections.UserDict(w=np.ones(2))])


def test_the_first_bad_leaf_is_named(call):
    grads = [np.ones(2), {"x": np.ones(2, int), "y": "text"}, np.ones(2, bool)]
    with pytest.raises(TypeError, match=r"grads\[1\]\['x'\]"):
        call(grads)


def test_none_is_no_error_beside_bad_leaves(call):
    with pytest.raises(TypeError, match=r"grads\[2\]"):
        call([None, np.ones(2), 3.0])


def test_an_array_is_not_called_for_its_conversions(call):
    class Convertible:
        def __array__(self, *args, **kwargs):
            raise AssertionError("converted")

        __float__ = __iter__ = __len__ = __getitem__ = __array__

    with pytest.raises(TypeError, match=r"grads\[0\].*Convertible"):
        call([Convertible()])


def test_bad_leaves_are_found_before_non_finite_values():
    grads = [np.array([np.nan]), np.ones(2, int)]
    with pytest.raises(TypeError, match=r"grads\[1\]"):
        gradclip.clip_by_global_norm_(grads, 1.0)
