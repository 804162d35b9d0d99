"""float16 and bfloat16: every pattern, multiplied in float32 and rounded once to nearest even."""

import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
from buffers import same_bits
from dtypes import EXACT, HALVES, compute_dtype, finfo, normals, reals, times

import gradclip

pytestmark = pytest.mark.usefixtures("isa")

# Exact ones, ones that make ties and subnormals, ones near and past either end of the range.
FACTORS = [0.5, 1 / 3, 0.1, 1.0, -1.0, 0.75, 1 + 2.0**-8, 1 - 2.0**-11, 3.0, -1e5, 2.0**-24, 1e38]
FACTORS += [1e-5, 1e-30, 2.0**-126, 0.0, -0.0]


@pytest.fixture(params=HALVES, ids=str)
def half(request):
    return request.param


def patterns(dtype, finite=False):
    """Return all numbers of a 16-bit dtype."""
    values = np.arange(2**16, dtype=np.uint16).view(dtype)
    return values[np.isfinite(reals(values))] if finite else values


def float32_below(factor):
    """Return the largest float32 that is not above a positive factor."""
    near = np.float32(factor)
    return near if Fraction(float(near)) <= Fraction(factor) else np.nextafter(near, np.float32(0))


def assert_same(array, expected):
    """Assert the same bits, of NaNs only that they are some."""
    nan = np.isnan(reals(expected))
    assert np.isnan(reals(array)[nan]).all()
    assert same_bits(array[~nan], expected[~nan])


def test_the_norm_of_every_finite_pattern_alone_is_its_magnitude(half):
    values = patterns(half, finite=True)
    magnitudes = np.abs(reals(values)).tolist()
    for order in (1, 2, 3, math.inf):
        assert gradclip.array_norms(list(values[:, None]), ord=order).tolist() == magnitudes


def test_the_norm_of_all_finite_patterns(half):
    values = patterns(half, finite=True)
    oracle.assert_norm_is_right(gradclip.global_norm(values), values)
    total = oracle.magnitude_sum(values)
    assert abs(Fraction(gradclip.global_norm(values, ord=1)) - total) <= total / 2**43
    assert gradclip.global_norm(values, ord=math.inf) == float(finfo(half).max)


@pytest.mark.parametrize("factor", FACTORS)
def test_every_pattern_scaled(half, factor):
    values = patterns(half)
    expected = times(values, factor)
    gradclip.scale_(values, factor)
    assert_same(values, expected)


@pytest.mark.parametrize("max_norm", [0.9, 1 / 3, 1e-3, 1 - 2.0**-9, 2.0**-20, 1e-30, 1e-37])
def test_every_pattern_clipped_from_a_norm(half, max_norm):
    values = patterns(half)
    before = values.copy()
    factor = gradclip.clip_with_norm_(values, max_norm, 1.0)
    assert 0 < factor <= max_norm
    assert_same(values, times(before, float32_below(factor)))


@pytest.mark.parametrize("eps", [0.0, 1e-3])
@pytest.mark.parametrize("threshold", [0.9, 1 / 3, 1e-3, 1e-9])
def test_every_finite_pattern_clipped_by_the_norm_of_all(half, threshold, eps):
    values = patterns(half, finite=True)
    alike = values.copy()
    max_norm = gradclip.global_norm(values) * threshold
    norm = gradclip.clip_by_global_norm_(values, max_norm, eps=eps)
    factor = gradclip.clip_with_norm_(alike, max_norm, norm, eps=eps)
    assert same_bits(values, alike)
    assert same_bits(values, times(patterns(half, finite=True), float32_below(factor)))


@pytest.mark.parametrize("inv_scale", [1 / 3, 2.0**-16, 1e-30, 5.0])
def test_every_finite_pattern_unscaled(half, inv_scale):
    values = patterns(half, finite=True)
    expected = times(values, inv_scale)
    gradclip.clip_by_global_norm_(values, math.inf, inv_scale=inv_scale)
    assert same_bits(values, expected)


def test_a_factor_below_the_normal_float32_keeps_its_mantissa():
    values = patterns(HALVES[1], finite=True)
    before = reals(values).astype(np.float64)
    factor = gradclip.clip_with_norm_(values, 1e-41, 1.0)
    mantissa, exponent = math.frexp(factor)
    factor = math.ldexp(math.floor(math.ldexp(mantissa, 24)), exponent - 24)
    with np.errstate(all="ignore"):
        expected = (before * factor).astype(np.float32)  # the first is exact
    normal = np.abs(expected) >= 2.0**-126
    assert normal.sum() > 1000
    assert_same(values[normal], expected[normal].astype(values.dtype))


@pytest.mark.parametrize("other", EXACT, ids=str)
def test_wider_arrays_beside_a_16_bit_one_are_rounded_to_nearest(half, other, rng):
    grads = [normals(rng, 700, other), normals(rng, 50, half), normals(rng, 20_000, other)]
    before = [array.copy() for array in grads]
    factor = gradclip.clip_with_norm_(grads, 0.3, 7.0)
    for new, old in zip(grads, before, strict=True):
        exact = compute_dtype(new.dtype) == np.float64
        assert same_bits(new, times(old, factor if exact else float32_below(factor)))


@pytest.mark.parametrize("order", [0.5, 1, 2, 3, math.inf])
def test_gradients_of_all_dtypes_have_one_norm_and_one_factor(order, rng):
    grads = {str(dtype): normals(rng, 700, dtype) for dtype in (*HALVES, *EXACT)}
    before = {name: reals(array) for name, array in grads.items()}
    threshold = gradclip.global_norm(grads, ord=order) / 7
    gradclip.clip_by_global_norm_(grads, threshold, ord=order)
    for name, array in grads.items():
        limits = finfo(array.dtype)
        np.testing.assert_allclose(
            reals(array),
            before[name] / 7.0,
            rtol=float(limits.eps) + 2.0**-40,
            atol=float(limits.smallest_subnormal),
        )
