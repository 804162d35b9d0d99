"""Two leaves that share a byte are refused in place; leaves that only interleave are not."""

import re

import numpy as np
import oracle
import pytest
from buffers import same_bits, unchanged
from calls import IN_PLACE, READING
from dtypes import ALL, normals
from hypothesis import given
from hypothesis import strategies as st

import gradclip


def named(first, second):
    """Return the pattern of a message that says that these two leaves share memory."""
    paths = re.escape(f"grads{first}") + r"(?!\[).*" + re.escape(f"grads{second}") + r"(?!\[)"
    return f"(?=.*share memory){paths}"


@pytest.fixture(params=IN_PLACE)
def in_place_call(request):
    return IN_PLACE[request.param]


SHARING = {
    "the same array": lambda a: (a, a),
    "two views of all of it": lambda a: (a[:], a.reshape(10, 10)),
    "one element": lambda a: (a[:51], a[50:]),
    "one in the other": lambda a: (a, a[20:21]),
    "reversed": lambda a: (a, a[::-1]),
    "strided, one common element": lambda a: (a[0:10:3], a[1:10:4]),
    "half an element": lambda a: (
        a[:50],
        np.ndarray(2, a.dtype, a, a.itemsize * 50 - a.itemsize // 2),
    ),
    "one byte": lambda a: (a[:50], np.ndarray(2, a.dtype, a, a.itemsize * 50 - 1)),
    "the other dtype": lambda a: (a, a.view("f4" if a.dtype == "f8" else "f8")[3:4]),
    "row and column": lambda a: (a.reshape(10, 10)[3], a.reshape(10, 10)[:, 7]),
}

APART = {
    "halves": lambda a: (a[:50], a[50:]),
    "even and odd": lambda a: (a[::2], a[1::2]),
    "even and odd, reversed": lambda a: (a[::2], a[::-2]),
    "three columns": lambda a: tuple(a[:99].reshape(33, 3).T),
    "column blocks": lambda a: (a.reshape(10, 10)[:, :4], a.reshape(10, 10)[:, 4:]),
    "column and the rest": lambda a: (a.reshape(10, 10)[:, 3], a.reshape(10, 10)[:, 4:]),
    "corners of a matrix": lambda a: (a.reshape(10, 10)[:5, 5:], a.reshape(10, 10)[5:, :5]),
    "strides 7 and 11, short of the common element": lambda a: (a[0:56:7], a[1:56:11]),
    "an empty view inside": lambda a: (a, a[50:50]),
    "checkerboard rows": lambda a: (a.reshape(10, 10)[::2, ::2], a.reshape(10, 10)[1::2, ::2]),
}


@pytest.mark.parametrize("views", SHARING.values(), ids=SHARING)
def test_sharing_a_byte_is_refused(in_place_call, views, any_dtype):
    array = np.ones(100, any_dtype)
    for left, right in (views(array), views(array)[::-1]):
        grads = {"a": [np.ones(3), left], "b": np.ones(2), "c": right}
        with unchanged(array), pytest.raises(ValueError, match=named("['a'][1]", "['c']")):
            in_place_call(grads)


@pytest.mark.parametrize("views", SHARING.values(), ids=SHARING)
def test_sharing_a_byte_is_fine_for_reading(views, any_dtype):
    array = np.ones(100, any_dtype)
    left, right = views(array)
    oracle.assert_norm_is_right(gradclip.global_norm([left, right]), left, right)
    for call in READING.values():
        call([left, right])


@pytest.mark.parametrize("views", APART.values(), ids=APART)
def test_sharing_no_byte_works(in_place_call, views, any_dtype):
    array = np.ones(100, any_dtype)
    for grads in (list(views(array)), list(views(array))[::-1]):
        assert not np.shares_memory(grads[0], grads[1])
        in_place_call(grads)


@pytest.mark.parametrize("views", APART.values(), ids=APART)
def test_interleaved_views_are_clipped_like_copies(views, any_dtype, rng):
    array = normals(rng, 100, any_dtype)
    grads = views(array)
    copies = [view.copy() for view in grads]
    norm = gradclip.clip_by_global_norm_(grads, 0.5)
    assert norm == gradclip.clip_by_global_norm_(copies, 0.5)
    for view, copy in zip(grads, copies, strict=True):
        assert same_bits(view, copy)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_real_and_imaginary_parts_work(dtype):
    z = np.full(1000, 3 + 4j, dtype)
    gradclip.scale_([z.real, z.imag], 2.0)
    assert (z == 6 + 8j).all()
    with pytest.raises(ValueError, match=r"grads\[0\].*grads\[2\]"):
        gradclip.scale_([z.real, z.imag, z.real[5:6]], 2.0)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("part", [np.real, np.imag])
def test_a_complex_array_and_a_part_of_it_are_refused(dtype, part):
    z = np.full(1000, 3 + 4j, dtype)
    for whole in (z, z[::-1], z[::3], z[999:]):
        for grads in ([whole, part(z)], [part(z), whole]):
            with unchanged(z), pytest.raises(ValueError, match=named("[0]", "[1]")):
                gradclip.scale_(grads, 2.0)
    gradclip.scale_([z[::2], part(z)[1::2]], 2.0)
    assert (z[::2] == 6 + 8j).all()


def test_fields_of_records_work():
    records = np.zeros(50, [("a", "f4"), ("b", "f8"), ("c", "f4")])
    gradclip.clip_by_global_norm_([records["c"], records["a"], records["b"]], 0.0)
    fields = [records["c"], records["a"], records["b"], records["a"]]
    with pytest.raises(ValueError, match=named("[1]", "[3]")):
        gradclip.clip_by_global_norm_(fields, 0.0)


def test_the_lowest_pair_is_named():
    a, b = np.ones(4), np.ones(4)
    with pytest.raises(ValueError, match=named("[1]", "[4]")):
        gradclip.clip_by_global_norm_([np.ones(2), b, a, a, b], 1.0)
    with pytest.raises(ValueError, match=named("[0]", "[1]")):
        gradclip.clip_by_global_norm_([a, a, a], 1.0)
    with pytest.raises(ValueError, match=named("[1]", "[2]")):
        gradclip.clip_by_global_norm_([b[:0], b, b, b[1:]], 1.0)


def test_one_pair_among_many_arrays_is_found(rng):
    arrays = [np.ones(3) for _ in range(2000)]
    for _ in range(20):
        first, second = sorted(rng.choice(2000, 2, replace=False).tolist())
        grads = [*arrays]
        grads[second] = arrays[first][1:]
        with pytest.raises(ValueError, match=named(f"[{first}]", f"[{second}]")):
            gradclip.clip_by_global_norm_(grads, 1.0)


def test_many_adjacent_views_work_in_any_order(rng):
    flat = np.ones(30_000)
    views = [flat[start : start + 30] for start in range(0, 30_000, 30)]
    rng.shuffle(views)
    assert gradclip.clip_by_global_norm_(views, 1.0) == gradclip.global_norm(np.ones(30_000))


def view_of(buffer, dtype, axes, start):
    """Return a view of a buffer that starts `start` bytes past its lowest address."""
    start -= sum(min(0, (length - 1) * step) for length, step in axes if length)
    shape, strides = [length for length, _ in axes], [step for _, step in axes]
    return np.ndarray(shape, dtype, buffer, start, strides)


AXES = st.lists(st.tuples(st.integers(0, 5), st.integers(-40, 40)), max_size=3)
DTYPES = st.sampled_from(ALL)


def overlaps_itself(array):
    """Tell whether two elements share a byte, by listing all addresses."""
    address = np.zeros(1, int)
    for length, step in zip(array.shape, array.strides, strict=True):
        address = np.add.outer(address, np.arange(length) * step)
    gaps = np.diff(np.sort(address.ravel()))
    return bool((gaps < array.itemsize).any())


@given(DTYPES, AXES, DTYPES, AXES, st.integers(0, 200), st.integers(0, 200))
def test_any_two_views_are_refused_if_and_only_if_they_share_a_byte(
    dtype, axes, other_dtype, other_axes, start, other_start
):
    buffer = np.zeros(1024, np.uint8)
    grads = [
        view_of(buffer, dtype, axes, start),
        view_of(buffer, other_dtype, other_axes, other_start),
    ]
    refused = any(map(overlaps_itself, grads)) or np.shares_memory(*grads)
    if refused:
        with pytest.raises(ValueError, match="grads"):
            gradclip.scale_(grads, 2.0)
    else:
        gradclip.scale_(grads, 2.0)
