"""The exact bound through every call that clips: equal elements, and lists of several dtypes."""

import itertools
import math
from fractions import Fraction

import clip_routes
import numpy as np
import oracle
import pytest
from clip_routes import clip_checked, thresholds_around
from dtypes import ALL, EXACT, HALVES, finfo, normals, real_dtype

import gradclip

LENGTHS = [*range(1, 8), 10, 13, 17, 31, 32, 33, 65, 1000]
BLOCK = 16384


def filled(count, value, dtype):
    """Return an array of one real number, in both parts of complex elements."""
    return np.full(2 * count if dtype.kind == "c" else count, value, real_dtype(dtype)).view(dtype)


def adversarial_values(dtype, rng):
    """Return numbers whose products are exact, or lose most, or as it comes."""
    eps = float(finfo(dtype).eps)
    return [1.0, 1 + eps, 2 - eps, rng.uniform(1, 2), math.sqrt(2)]


@pytest.mark.parametrize("kind", EXACT, ids=str)
def test_equal_elements_and_thresholds_a_few_steps_from_the_norm(kind, rng, record_property):
    clipped = 0
    for count in LENGTHS:
        for value in adversarial_values(kind, rng):
            grads = [filled(count, value, kind)]
            clipped += sum(clip_checked(grads, t) for t in thresholds_around(grads))
    record_property("cases", clipped)
    assert clipped > 1000


@pytest.mark.parametrize("kind", EXACT, ids=str)
def test_equal_elements_of_several_blocks(kind, rng, record_property):
    cases = 0
    for lengths, threads in (((BLOCK - 1,), 1), ((BLOCK + 1, 3), 1), ((3, 300_001), 3)):
        with gradclip.threads(threads):
            grads = [filled(length, rng.uniform(1, 2), kind) for length in lengths]
            norm = gradclip.global_norm(grads)
            for threshold in (math.nextafter(norm, 0.0), norm / 2):
                assert clip_checked(grads, threshold)
                cases += 1
    record_property("cases", cases)


@pytest.mark.parametrize("kind", EXACT, ids=str)
def test_the_least_and_the_greatest_threshold_for_what_is_written(kind, rng, record_property):
    cases = 0
    for count, value in itertools.product([*LENGTHS, BLOCK], adversarial_values(kind, rng)):
        grads = [filled(count, value, kind)]
        norm = gradclip.global_norm(grads)
        for threshold in (norm / 2, norm * rng.uniform(0.3, 1)):  # products exact, and not
            for extreme in clip_routes.extreme_thresholds(grads, threshold):
                assert clip_checked(grads, extreme)
                cases += 1
    record_property("cases", cases)


def test_lists_of_all_dtypes_in_each_order_with_each_as_the_largest(rng, record_property):
    cases = 0
    for order in itertools.permutations(EXACT):
        for largest in EXACT:
            count = int(rng.integers(1, 40))
            scales = [2.0**-13 * rng.uniform(0.5, 1) if k != largest else 1.0 for k in order]
            grads = [
                (normals(rng, count, k) * s).astype(k) for k, s in zip(order, scales, strict=True)
            ]
            norm = gradclip.global_norm(grads)
            extremes = clip_routes.extreme_thresholds(grads, norm * rng.uniform(0.1, 1))
            for threshold in (math.nextafter(norm, 0.0), norm / 2, *extremes):
                assert clip_checked(grads, threshold)
                cases += 1
    record_property("cases", cases)


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_lists_with_16_bit_arrays_keep_to_the_bound_within_their_rounding(
    half, rng, record_property
):
    cases = 0
    for other, value in itertools.product(ALL, adversarial_values(half, rng)):
        for lengths in ((3, 1), (300, 300)):
            arrays = [filled(lengths[0], value, half), filled(lengths[1], value, other)]
            for grads in (arrays, arrays[::-1]):
                norm = gradclip.global_norm(grads)
                near = [t for t in thresholds_around(grads) if 4 * t > norm]  # normal results
                cases += sum(clip_checked(grads, t) for t in near)
    record_property("cases", cases)
    assert cases > 1000


def test_parts_clipped_one_by_one_with_the_norm_of_all_keep_to_the_bound(rng, record_property):
    cases = 0
    for first, second in itertools.product(EXACT, EXACT):
        for count in LENGTHS:
            grads = [filled(count, rng.uniform(1, 2), first), filled(count, 1.0, second)]
            norm = gradclip.global_norm(grads)
            for max_norm in (math.nextafter(norm, 0.0), norm * 0.75, norm / 2, norm / 3):
                parts = clip_routes.copies(grads)
                for part in parts:
                    factor = gradclip.clip_with_norm_(part, max_norm, norm)
                    assert Fraction(factor) * Fraction(norm) <= Fraction(max_norm)
                oracle.assert_norm_is_bounded(parts, max_norm)
                oracle.assert_norm_is_tight(parts, max_norm)
                cases += 1
    record_property("cases", cases)
