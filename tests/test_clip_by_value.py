"""Numbers clipped one by one, into bounds that are rounded inward."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from buffers import digest, same_bits, unchanged
from dtypes import ALL, finfo, normals
from layouts import BUFFER_SIZE, LAYOUTS

import gradclip

REAL = [dtype for dtype in ALL if dtype.kind != "c"]
INF = math.inf


@pytest.fixture(params=REAL, ids=str)
def real_dtype(request):
    return request.param


def every_16_bits(dtype):
    """Return all numbers of a dtype, with NaN of every kind."""
    return np.arange(1 << 16).astype(np.uint16).view(dtype)


def numbers(dtype, rng):
    """Return numbers of all kinds: every one there is, or of every exponent and both signs."""
    if dtype.itemsize == 2:
        return every_16_bits(dtype)[::5]
    info = finfo(dtype)
    exponents = np.arange(info.minexp - info.nmant - 1, info.maxexp + 1)
    values = np.ldexp(rng.uniform(-1, 1, (8, len(exponents))), exponents).astype(dtype)
    special = [0.0, -0.0, INF, -INF, np.nan, info.max, info.min, info.smallest_subnormal]
    return np.append(values, np.array(special, dtype))


def wide_of(values):
    with np.errstate(invalid="ignore"):  # of signalling NaN
        return values.astype(np.float64)


def written(values, low, high):
    """Return what a clip of values to bounds of their dtype has to write, by comparisons alone."""
    expected = values.copy()
    wide = wide_of(values)
    expected[wide < low] = low
    expected[wide > high] = high
    return expected


def limits(dtype):
    """Return bounds of all kinds: between two numbers of a dtype, subnormal, huge, infinite."""
    info = finfo(dtype)
    tiny, huge = float(info.smallest_subnormal), float(info.max)
    positive = [0.0, 5e-324, tiny / 2, tiny, tiny * 1.5, float(info.smallest_normal), 0.1]
    positive += [1 + float(info.eps) / 3, huge * (1 - 1e-9), huge, 1.7e308, INF]
    return sorted([-x for x in positive] + positive)


def inside(dtype):
    """Return the least number of a dtype that is at least x, and the greatest that is at most x, as
    functions, by exact comparisons of all neighbours."""

    def at_least(x):
        with np.errstate(all="ignore"):
            near = dtype.type(x)
            candidates = near, *(np.nextafter(near, dtype.type(to)) for to in (-INF, INF))
        right = [float(c) for c in candidates if not math.isnan(c) and is_at_most(x, float(c))]
        return min(right)

    return at_least, lambda x: -at_least(-x)


def is_at_most(a, b):
    """Compare two floats as numbers, exactly."""
    if math.isinf(a) or math.isinf(b):
        return a <= b
    return Fraction(a) <= Fraction(b)


@pytest.mark.usefixtures("isa")
def test_bounds_are_rounded_inward_and_nothing_else_changes(real_dtype, rng, record_property):
    values = numbers(real_dtype, rng)
    at_least, at_most = inside(real_dtype)
    cases = 0
    for low, high in itertools.combinations_with_replacement(limits(real_dtype), 2):
        least, most = at_least(low), at_most(high)
        grad = values.copy()
        if least > most:
            with unchanged(grad), pytest.raises(ValueError, match="grads"):
                gradclip.clip_by_value_(grad, low, high)
            continue
        expected = written(values, least, most)
        changed = gradclip.clip_by_value_(grad, low, high)
        assert digest(grad) == digest(expected), (low, high)
        assert changed == ((wide_of(values) < least) | (wide_of(values) > most)).sum()
        cases += 1
    assert cases > 200
    record_property("cases", cases)


def test_bounds_with_no_number_between_are_refused_with_the_array():
    grads = [np.full(3, 9.0), {"w": np.full(3, 9.0, "f4"), "e": np.zeros(0, "f2")}]
    between = np.nextafter(1.0, 2), np.nextafter(1.0, 2) * (1 + 1e-12)
    with unchanged(grads[0], grads[1]["w"]), pytest.raises(ValueError, match=r"grads\[1\]\['w'\]"):
        gradclip.clip_by_value_(grads, *between)
    assert gradclip.clip_by_value_(grads[0], *between) == 3
    assert (grads[0] <= between[1]).all()
    with pytest.raises(ValueError, match=r"grads\['e'\]"):
        gradclip.clip_by_value_(grads[1] | {"w": None}, *between)


WRONG = {
    "low above high": (1.0, 0.5, ValueError, r"^low must be at most high, not 1\.0 and 0\.5$"),
    "no low": (math.nan, 1.0, ValueError, "^low "),
    "no high": (0.0, math.nan, ValueError, "^high "),
    "text": ("0", 1.0, TypeError, "^low must be a real number, not str$"),
    "nothing": (0.0, None, TypeError, "^high must be a real number, not NoneType$"),
    "complex": (0.0, 1j, TypeError, "^high must be a real number, not complex$"),
}


@pytest.mark.parametrize(("low", "high", "error", "match"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("clip", [gradclip.clip_by_value_, gradclip.clip_by_value])
def test_bounds_that_are_none_are_refused(clip, low, high, error, match):
    grad = np.full(3, 9.0)
    with unchanged(grad), pytest.raises(error, match=match):
        clip(grad, low, high)


@pytest.mark.parametrize("dtype", ["c8", "c16"])
@pytest.mark.parametrize("clip", [gradclip.clip_by_value_, gradclip.clip_by_value])
def test_complex_arrays_are_refused_with_their_path_and_nothing_is_written(clip, dtype):
    grads = {"a": np.full(3, 9.0), "b": [np.full(3, 9, dtype)]}
    message = r"^grads\['b'\]\[0\] is complex, .*\.real and \.imag"
    with unchanged(grads["a"], *grads["b"]), pytest.raises(TypeError, match=message):
        clip(grads, -1.0, 1.0)
    parts = grads["b"][0].real, grads["b"][0].imag
    assert gradclip.clip_by_value_(parts, 1.0, 2.0) == 6
    assert (grads["b"][0] == 2 + 1j).all()


def test_every_layout_is_clipped_where_it_is_and_counted(real_dtype, rng, record_property):
    for layout in LAYOUTS:
        buffer = np.full(BUFFER_SIZE, 0xA5, np.uint8)
        view = LAYOUTS[layout](buffer, real_dtype)
        view[...] = normals(rng, view.shape, real_dtype)
        expected = buffer.copy()
        twin = LAYOUTS[layout](expected, real_dtype)
        outside = ((wide_of(twin) < -0.5) | (wide_of(twin) > 0.25)).sum()
        twin[...] = written(twin, -0.5, 0.25)
        fresh = gradclip.clip_by_value([view], -0.5, 0.25)
        assert gradclip.clip_by_value_({"w": view}, -0.5, 0.25) == fresh[1] == outside
        assert digest(buffer) == digest(expected), layout
        assert same_bits(fresh[0][0], twin)
        assert gradclip.clip_by_value_(view, -0.5, 0.25) == 0
    record_property("cases", len(LAYOUTS))


def test_the_same_bits_and_count_on_any_number_of_threads(num_threads, isa, rng):
    grads = [normals(rng, 300_007, dtype) for dtype in REAL]
    expected = [written(grad, -1.5, 2.0) for grad in grads]
    outside = sum(((wide_of(g) < -1.5) | (wide_of(g) > 2)).sum() for g in grads)
    assert gradclip.clip_by_value_([grads[0], (None, grads[1:])], -1.5, 2.0) == outside
    assert digest(*grads) == digest(*expected)


def test_each_dtype_has_bounds_of_its_own():
    grads = [np.full(2, -9, dtype) for dtype in REAL]
    assert gradclip.clip_by_value_(grads, -0.1, 3.0) == 8
    for grad in grads:
        assert Fraction(float(grad[0])) >= Fraction(-0.1)
    assert len({float(grad[0]) for grad in grads}) == 4


def test_lengths_around_the_lanes_are_counted_right(real_dtype, isa):
    for length in [*range(70), 16_383, 16_384, 16_385]:
        for low, high, outside in ((-1, 1, 0), (3, 4, length), (-4, -3, length), (0, 1, 0)):
            grad = np.zeros(length, real_dtype)
            assert gradclip.clip_by_value_(grad, low, high) == outside
            assert (wide_of(grad) == min(max(low, 0), high)).all()


def test_zeros_keep_their_sign_and_nan_its_bytes(real_dtype):
    grad = np.array([-0.0, 0.0, np.nan, -np.nan, 5.0], real_dtype)
    before = grad[:4].tobytes()
    for low, high in ((0.0, 1.0), (-0.0, 0.0), (-1.0, -0.0), (-INF, INF)):
        grad[4] = 5
        assert gradclip.clip_by_value_(grad, low, high) == (high < INF)
        assert grad[:4].tobytes() == before


def test_one_number_between_others_is_clipped_on_its_own(real_dtype, isa):
    memory = np.full(300, 7, real_dtype)
    view = memory[::3]
    view[...], view[50] = 0.5, 4
    assert gradclip.clip_by_value_(view, -1, 1) == 1
    assert view[50] == 1
    assert (np.delete(view, 50) == 0.5).all()
    assert (memory.reshape(100, 3)[:, 1:] == 7).all()


def test_the_functional_form_copies_what_is_within_bounds_in_any_layout(real_dtype, isa, rng):
    values = normals(rng, (40, 30), real_dtype)
    for view in (values, values.T, values[::2, ::-3]):
        clipped, count = gradclip.clip_by_value(view, -INF, INF)
        assert same_bits(clipped, view.copy())
        assert count == 0


def test_nothing_has_nothing_to_clip():
    assert gradclip.clip_by_value_([], -1, 1) == 0
    assert gradclip.clip_by_value({"a": None}, -1, 1) == ({"a": None}, 0)
    assert gradclip.clip_by_value_([np.zeros(0), np.zeros((0, 3), "f2")], 1, 2) == 0


def test_the_functional_form_takes_what_may_not_be_written_and_makes_new_arrays(real_dtype):
    grad = np.broadcast_to(np.array([0.25, -4.0], real_dtype), (3, 2))
    (clipped, same), changed = gradclip.clip_by_value((grad, grad[:0]), -1.0, 1.0)
    assert changed == 3
    assert clipped.tolist() == [[0.25, -1.0]] * 3
    loose, changed = gradclip.clip_by_value(clipped, -1.0, 1.0)
    assert changed == 0
    assert same_bits(loose, clipped)
    assert not np.shares_memory(loose, clipped)
    assert same.shape == (0, 2)
