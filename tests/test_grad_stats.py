"""What gradients hold, against counts and norms that are exact."""

import math

import numpy as np
import pytest
from buffers import same_bits, unchanged
from dtypes import ALL, finfo, normals, real_dtype
from layouts import BUFFER_SIZE, LAYOUTS

import gradclip

SIZES = [0, 1, 2, 31, 32, 33, 63, 64, 65, 100, 16_383, 16_384, 16_385, 33_000]


def parts_of(array):
    """Return an array's numbers as float64, the two of a complex one side by side."""
    flat = np.ascontiguousarray(array).reshape(-1).view(real_dtype(array.dtype))
    return flat.astype(np.float64).reshape(array.size, 1 + (array.dtype.kind == "c"))


def counts_of(*arrays):
    """Return the number of zeros, NaNs and infs as the documentation defines them."""
    zeros = nans = infs = 0
    for parts in map(parts_of, arrays):
        has_nan = np.isnan(parts).any(axis=1)
        zeros += (parts == 0).all(axis=1).sum()
        nans += has_nan.sum()
        infs += (np.isinf(parts).any(axis=1) & ~has_nan).sum()
    return zeros, nans, infs


def mixed(rng, shape, dtype):
    """Return numbers among which there are zeros of both signs, in both parts or one."""
    values = normals(rng, shape, dtype)
    parts = values.view(real_dtype(dtype)).reshape(-1)
    parts[rng.random(parts.size) < 0.5] = 0
    parts[rng.random(parts.size) < 0.2] *= -1
    return values


def assert_right(stats, *arrays):
    assert type(stats) is gradclip.GradStats
    expected_max = gradclip.global_norm(list(arrays), ord=math.inf)
    assert same_bits(stats.norm, gradclip.global_norm(list(arrays)))
    assert same_bits(stats.array_norms, gradclip.array_norms(list(arrays)))
    assert same_bits(stats.max_abs, expected_max)
    assert [type(count) for count in stats[3:6]] == [int] * 3
    assert (stats.zeros, stats.nans, stats.infs) == counts_of(*arrays)
    assert len(stats.paths) == len(arrays)


@pytest.mark.usefixtures("isa")
def test_counts_and_norms_at_every_length(any_dtype, rng, record_property):
    for size in SIZES:
        array = mixed(rng, size, any_dtype)
        with unchanged(array):
            stats = gradclip.grad_stats(array)
        assert_right(stats, array)
        assert stats.first_bad is None
        assert stats.paths == ["grads"]
    record_property("cases", len(SIZES))


@pytest.mark.usefixtures("isa")
def test_one_special_number_is_found_at_every_place(any_dtype, record_property):
    cases = 0
    for size in (1, 33, 70):
        for place in range(size):
            cases += places_are_found(any_dtype, size, [place])
    for size in (16_385, 40_000):
        cases += places_are_found(any_dtype, size, [0, 16_383, 16_384, size - 33, size - 1])
    record_property("cases", cases)


def places_are_found(dtype, size, places):
    array = np.ones(size, dtype)
    parts = array.view(real_dtype(dtype)).reshape(size, -1)
    for place in places:
        for part in range(parts.shape[1]):
            for value, kind in ((np.nan, "nans"), (np.inf, "infs"), (-np.inf, "infs")):
                parts[place, part] = value
                stats = gradclip.grad_stats([np.zeros(3), array])
                assert (stats.zeros, stats.nans, stats.infs) == (3, kind == "nans", kind == "infs")
                assert stats.first_bad == "grads[1]"
                assert math.isnan(stats.max_abs) if kind == "nans" else stats.max_abs == math.inf
                parts[place] = 1, *[0] * (parts.shape[1] - 1)
    assert gradclip.grad_stats(array)[3:7] == (0, 0, 0, None)
    return len(places)


@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_a_complex_number_counts_once(dtype):
    inf, nan = math.inf, math.nan
    numbers = [complex(0, -0.0), complex(0, 1), complex(1, 0), complex(inf, inf)]
    numbers += [complex(0, -inf), complex(nan, inf), complex(-inf, nan), complex(nan, nan)]
    array = np.array(numbers, dtype)
    stats = gradclip.grad_stats(array)
    assert (stats.zeros, stats.nans, stats.infs) == (1, 3, 2)
    assert_right(stats, array)


def test_the_largest_and_the_smallest_numbers_are_neither_infinite_nor_zero(any_dtype, isa):
    info = finfo(any_dtype)
    array = np.array([info.max, info.min, info.smallest_subnormal, -info.smallest_subnormal])
    array = array.astype(any_dtype)
    stats = gradclip.grad_stats([array, array[2:]])
    assert (stats.zeros, stats.nans, stats.infs, stats.first_bad) == (0, 0, 0, None)
    assert stats.max_abs == float(info.max)
    assert gradclip.grad_stats(array[2:]).max_abs == float(info.smallest_subnormal)


def test_a_norm_above_float64_is_no_bad_array():
    stats = gradclip.grad_stats([np.full(4, 1e308), np.zeros(2)])
    assert (stats.norm, stats.max_abs, stats.infs, stats.first_bad) == (math.inf, 1e308, 0, None)


def test_every_layout(any_dtype, rng, record_property):
    for layout in LAYOUTS:
        view = LAYOUTS[layout](np.zeros(BUFFER_SIZE, np.uint8), any_dtype)
        view[...] = mixed(rng, view.shape, any_dtype)
        with unchanged(view):
            assert_right(gradclip.grad_stats([view]), view)
    record_property("cases", len(LAYOUTS))


def test_many_arrays_on_any_number_of_threads(num_threads, isa, rng):
    grads = [mixed(rng, size, dtype) for dtype in ALL for size in (0, 5, 70_001)]
    grads[8][-1], grads[14][3], grads[17][0] = np.inf, np.nan, -np.inf
    stats = gradclip.grad_stats({"a": grads[:9], "b": (None, {"c": grads[9:]})})
    assert_right(stats, *grads)
    assert stats.first_bad == "grads['a'][8]"
    assert (stats.nans, stats.infs) == (1, 2)
    assert stats.paths == [
        *(f"grads['a'][{i}]" for i in range(9)),
        *(f"grads['b'][1]['c'][{i}]" for i in range(9)),
    ]


def test_the_first_bad_array_is_the_first_in_order():
    good, inf, nan = np.ones(3), np.array([np.inf]), np.array([np.nan])
    assert gradclip.grad_stats([good, inf, nan]).first_bad == "grads[1]"
    assert gradclip.grad_stats({"x": [good, nan], "y": inf}).first_bad == "grads['x'][1]"
    assert gradclip.grad_stats(nan).first_bad == "grads"
    assert gradclip.grad_stats([good, np.array([np.inf, np.nan]), inf]).first_bad == "grads[1]"


@pytest.mark.parametrize("nothing", [[], {}, None, [None, ()]], ids=repr)
def test_nothing_holds_nothing(nothing):
    stats = gradclip.grad_stats(nothing)
    assert stats[:1] + stats[2:] == (0.0, 0.0, 0, 0, 0, None, [])
    assert same_bits(stats.array_norms, np.zeros(0))
    assert str(stats).split() == [
        "norm",
        "0",
        "max",
        "abs",
        "0",
        "zeros",
        "0",
        "nans",
        "0",
        "infs",
        "0",
    ]


def test_printed_it_is_a_table():
    stats = gradclip.grad_stats({"w": np.array([3.0, 0.0, 1e6]), "bias": np.array([np.nan])})
    values = {
        "grads['w']": "1e+06",
        "grads['bias']": "nan",
        "norm": "nan",
        "max abs": "nan",
        "zeros": "1",
        "nans": "1",
        "infs": "0",
        "first bad": "grads['bias']",
    }
    lines = [f"{name:<13}  {value:>13}" for name, value in values.items()]
    assert str(stats).splitlines() == lines
    assert repr(stats).startswith("GradStats(norm=nan, array_norms=array(")


def test_arrays_that_share_memory_and_may_not_be_written_are_fine():
    array = np.broadcast_to(np.float32([3, 0]), (16, 2))
    stats = gradclip.grad_stats([array, array])
    assert (stats.zeros, stats.max_abs, stats.array_norms.tolist()) == (32, 3.0, [12.0, 12.0])
