"""The exact bound of gradclip's own clips on torch's tensors."""

import itertools

import numpy as np
import pytest
from buffers import same_bits
from clip_routes import clip_checked, copies, extreme_thresholds, in_place, thresholds_around
from dtypes import EXACT, finfo, real_dtype

import gradclip

torch = pytest.importorskip("torch")

SMALLEST = 5e-324


def assert_tensors_are_clipped_alike(grads, threshold, **options):
    """Clip arrays and tensors of their own; assert the bound of one, and that both agree."""
    clip_checked(grads, threshold, **options)
    expected, norm = in_place(copies(grads), threshold, **options)
    tensors = list(map(torch.from_numpy, copies(grads)))
    assert gradclip.clip_by_global_norm_(tensors, threshold, **options) == norm
    assert all(same_bits(t.numpy(), array) for t, array in zip(tensors, expected, strict=True))
    if "inv_scale" not in options:
        tensors = list(map(torch.from_numpy, copies(grads)))
        gradclip.clip_with_norm_(tensors, threshold, gradclip.global_norm(tensors), **options)
        assert all(same_bits(t.numpy(), a) for t, a in zip(tensors, expected, strict=True))


def filled(count, value, dtype):
    return np.full(2 * count, value, real_dtype(dtype)).view(dtype)


@pytest.mark.parametrize("kind", EXACT, ids=str)
def test_equal_elements(kind, record_property):
    cases = 0
    for count, value in itertools.product((1, 3, 7, 33, 500), (1.0, 1.7, 2 - 2.0**-20)):
        grads = [filled(count, value, kind)]
        extremes = extreme_thresholds(grads, gradclip.global_norm(grads) / 2)
        for threshold in (*thresholds_around(grads)[::3], *extremes):
            assert_tensors_are_clipped_alike(grads, threshold)
            cases += 1
    record_property("cases", cases)


@pytest.mark.parametrize("kind", EXACT, ids=str)
def test_magnitudes_at_the_ends_of_the_range(kind, record_property):
    limits = finfo(kind)
    values = [limits.max / 64, limits.smallest_normal, limits.smallest_subnormal * 3]
    cases = 0
    for count, value in itertools.product((1, 3, 20), map(float, values)):
        grads = [filled(count, value, kind)]
        norm = gradclip.global_norm(grads)
        for threshold in (SMALLEST, norm * 2.0**-140, norm * 2.0**-20, norm / 3, norm * 0.999):
            assert_tensors_are_clipped_alike(grads, threshold)
            assert_tensors_are_clipped_alike(grads, threshold, eps=norm)
            assert_tensors_are_clipped_alike(grads, threshold, inv_scale=1 / 3)
            cases += 3
    record_property("cases", cases)


def test_mixed_dtypes_in_each_order(rng, record_property):
    cases = 0
    for order in itertools.permutations(EXACT):
        grads = [filled(5, rng.uniform(1, 2), kind) for kind in order]
        norm = gradclip.global_norm(grads)
        for threshold in extreme_thresholds(grads, norm * rng.uniform(0.2, 1)):
            assert_tensors_are_clipped_alike(grads, threshold)
            cases += 1
    record_property("cases", cases)
