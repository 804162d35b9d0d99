"""The exact norm of what is written is never above max_norm, and close below it."""

import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
from buffers import unchanged
from dtypes import EXACT, finfo, normals, reals
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import gradients, thresholds

import gradclip

pytestmark = pytest.mark.usefixtures("isa")


def clip_checked(grads, max_norm, *, eps=0.0):
    """Clip, and assert all that is promised of the result; return the norm."""
    before = [array.copy() for array in grads]
    norm = gradclip.clip_by_global_norm_(grads, max_norm, eps=eps)
    if norm <= max_norm:
        return norm
    oracle.assert_norm_is_bounded(grads, max_norm)
    for new, old in zip(grads, before, strict=True):
        assert (np.abs(reals(new)) <= np.abs(reals(old))).all()
    if has_normal_results(before, max_norm, norm) and eps == 0:
        oracle.assert_norm_is_tight(grads, max_norm)
    with unchanged(*grads):
        assert gradclip.clip_by_global_norm_(grads, max_norm) <= max_norm
    return norm


def has_normal_results(grads, max_norm, norm):
    """Tell whether no product of a non-zero element is subnormal or close to it."""
    factor = Fraction(max_norm) / Fraction(norm) / 2
    for array in grads:
        magnitudes = np.abs(reals(array[array != 0]))
        magnitudes = magnitudes[magnitudes != 0]
        tiny = Fraction(float(finfo(array.dtype).smallest_normal))
        if magnitudes.size and Fraction(float(magnitudes.min())) * factor < tiny:
            return False
    return True


@given(gradients(), st.data())
def test_any_gradients_any_threshold(grads, data):
    norm = gradclip.global_norm(grads)
    assume(0 < norm < math.inf)
    clip_checked(grads, data.draw(thresholds(norm)))


@given(gradients(), st.data(), st.floats(0.0, allow_infinity=False))
def test_any_eps(grads, data, eps):
    norm = gradclip.global_norm(grads)
    assume(0 < norm < math.inf)
    clip_checked(grads, data.draw(thresholds(norm)), eps=eps)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 31, 1000, 16385])
def test_equal_elements(count, dtype, rng):
    for value in rng.uniform(0.1, 10, 30):
        for max_norm in (1.0, 0.5, 0.1, math.pi / 100, math.nextafter(0.25, 0)):
            clip_checked([np.full(count, value, dtype)], max_norm)


@pytest.mark.parametrize("count", [1, 2, 7, 300, 50_000])
def test_threshold_in_every_place_around_the_norm(count, dtype, rng):
    values = rng.standard_normal(count).astype(dtype)
    norm = gradclip.global_norm(values)
    max_norm = norm
    for _ in range(20):
        max_norm = math.nextafter(max_norm, 0.0)
        clip_checked([values.copy()], max_norm)
    for step in range(1, 60):
        clip_checked([values.copy()], norm * (1 - 2.0**-step))


@pytest.mark.parametrize(
    "dtypes", [("f4", "f8"), ("f8", "f4", "f8"), ("c8", "f8"), ("c16", "f4", "c8")], ids=repr
)
def test_mixed_lists(dtypes, rng):
    for _ in range(50):
        scales = 10.0 ** rng.uniform(-8, 8, len(dtypes))
        grads = [
            (normals(rng, 60, np.dtype(dtype)) * scale).astype(dtype)
            for scale, dtype in zip(scales, dtypes, strict=True)
        ]
        clip_checked(grads, 10.0 ** rng.uniform(-12, 3))


def test_powers_of_two(dtype):
    for exponent in range(-20, 21):
        for threshold in range(-25, exponent + 2):
            clip_checked([np.full(4, 2.0**exponent, dtype)], 2.0**threshold)


@pytest.mark.parametrize("dtype", EXACT, ids=str)
def test_typical_gradients(dtype, rng):
    for _ in range(20):
        grads = [normals(rng, n, dtype) for n in (7, 256, 3000, 20_000)]
        norm = clip_checked(grads, 1.0)
        assert norm > 1.0


@pytest.mark.usefixtures("num_threads")
def test_long_arrays_on_several_threads(dtype, rng):
    grads = [rng.standard_normal(n).astype(dtype) for n in (1_000_003, 5, 400_000)]
    clip_checked(grads, 1.0)
