"""Powers of two and ones: multiplications that change no digit of a norm or of a clip."""

import math

import numpy as np
import pytest
from buffers import same_bits
from clip_routes import copies
from dtypes import ALL, EXACT, HALVES, finfo, normals, real_dtype, reals

import gradclip

pytestmark = pytest.mark.usefixtures("isa")

SIZES = (1, 33, 1000, 16385)
RANGES = {32: range(-60, 61, 7), 64: range(-300, 301, 23)}  # nothing leaves the range


def samples(rng, kind):
    """Yield gradients and powers of two: all products are normal."""
    for size in SIZES:
        grads = [normals(rng, size, kind), normals(rng, 7, kind)]
        for array in grads:
            parts = array.view(real_dtype(kind))
            parts[np.abs(parts) < 2.0**-10] = 1.0
        for exponent in RANGES.get(finfo(kind).bits, range(-1, 3)):
            yield grads, 2.0**exponent


def scaled(grads, factor):
    grads = copies(grads)
    gradclip.scale_(grads, factor)
    return grads


def test_a_power_of_two_scales_the_norm_exactly(any_dtype, rng, record_property):
    cases = list(samples(rng, any_dtype))
    record_property("cases", len(cases))
    for grads, power in cases:
        alike = scaled(grads, power)
        for order in (1, 2, math.inf):
            norm = gradclip.global_norm(grads, ord=order)
            assert gradclip.global_norm(alike, ord=order) == norm * power
            norms = gradclip.array_norms(grads, ord=order) * power
            assert same_bits(gradclip.array_norms(alike, ord=order), norms)


@pytest.mark.parametrize("kind", EXACT, ids=str)
def test_clipped_gradients_scale_with_the_threshold_and_not_with_what_they_were(
    kind, rng, record_property
):
    cases = list(samples(rng, kind))
    record_property("cases", len(cases))
    for grads, power in cases:
        threshold = gradclip.global_norm(grads) * rng.uniform(0.1, 0.99)
        once = copies(grads)
        gradclip.clip_by_global_norm_(once, threshold)
        with_threshold = scaled(grads, power)
        gradclip.clip_by_global_norm_(with_threshold, threshold * power)
        assert all(map(same_bits, with_threshold, scaled(once, power)))
        if power >= 1:
            alone = scaled(grads, power)
            gradclip.clip_by_global_norm_(alone, threshold)
            assert all(map(same_bits, alone, once))


def test_a_power_of_two_as_inv_scale_is_a_multiplication_first(any_dtype, rng, record_property):
    cases = list(samples(rng, any_dtype))
    record_property("cases", len(cases))
    for grads, power in cases:
        norm = gradclip.global_norm(grads) * power
        for threshold in (norm / 3, norm, math.inf):
            first, fused = scaled(grads, power), copies(grads)
            assert gradclip.clip_by_global_norm_(first, threshold) == norm
            assert gradclip.clip_by_global_norm_(fused, threshold, inv_scale=power) == norm
            assert all(map(same_bits, first, fused))


def patterns(rng, dtype):
    """Return every number of a 16-bit dtype, and bits of any kind of another one."""
    if dtype in HALVES:
        return np.arange(2**16, dtype=np.uint16).view(dtype)
    return rng.integers(0, 2**64, 16384, np.uint64).view(dtype)


def test_a_factor_of_one_keeps_the_bits_of_every_number(any_dtype, rng):
    values = patterns(rng, any_dtype)
    before = values.copy()
    gradclip.scale_(values, 1.0)
    kept = ~np.isnan(reals(before))
    assert same_bits(reals(values)[kept], reals(before)[kept])
    assert np.isnan(reals(values)[~kept]).all()


def test_a_factor_of_minus_one_twice_keeps_the_bits_of_every_number(any_dtype, rng):
    values = patterns(rng, any_dtype)
    before = values.copy()
    for _ in range(2):
        gradclip.scale_(values, -1.0)
    kept = ~np.isnan(reals(before))
    assert same_bits(reals(values)[kept], reals(before)[kept])


def test_all_dtypes_at_once(rng):
    grads = [normals(rng, 100, kind) for kind in ALL]
    norm = gradclip.global_norm(grads)
    assert gradclip.global_norm(scaled(grads, -0.5)) == norm / 2
