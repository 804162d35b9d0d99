"""The exact bound at the ends of the range of every number that has a part in a clip."""

import itertools
import math

import numpy as np
import pytest
from clip_routes import clip_checked, extreme_thresholds, neighbours
from dtypes import EXACT, compute_dtype, finfo, normals, real_dtype

import gradclip

SMALLEST = 5e-324
THRESHOLDS = [2.0**-1074, 3 * 2.0**-1074, 2.0**-1060, 1e-310, 2.0**-1022, 1e-300, 2.0**-149]
THRESHOLDS += [2.0**-126, 1e-40, 1e-10, 1.0, 3.9, 1e30, 1e300, 2.0**1023]
EPS = [0.0, SMALLEST, 1e-300, 1e-20, 1e-6, 1.0, 1e30, 1e300, float(np.finfo("f8").max)]
INV_SCALES = [1.0, 1 / 3, math.pi, 2.0**-65, 1e30 / 3, 1e-30, 1e-45, 1e-300, SMALLEST]
WIDE_INV_SCALES = [1e300, 2.0**1023 / 3]  # past float32


def magnitudes(dtype):
    limits = finfo(dtype)
    tiny, largest = float(limits.smallest_normal), float(limits.max)
    least = float(limits.smallest_subnormal)
    return [largest, largest / 64, 1.0, tiny * 2, tiny, tiny / 16, 3 * least, least]


def gradients(rng, dtype, magnitude):
    """Return one to 40 numbers of a magnitude: equal, of uniform size, or with one far smaller."""
    parts = int(rng.choice([1, 2, 3, 7, 20])) * (2 if dtype.kind == "c" else 1)
    shape = rng.choice([np.ones(parts), rng.uniform(-1, 1, parts), np.geomspace(1, 1e-9, parts)])
    values = np.array(magnitude * shape, real_dtype(dtype))
    return values.view(dtype)


def random_cases(rng, count):
    """Yield gradients with a finite norm, of one or two dtypes, and options."""
    while count > 0:
        kinds = [EXACT[i] for i in rng.integers(0, len(EXACT), rng.choice([1, 1, 2]))]
        grads = [gradients(rng, k, rng.choice(magnitudes(k))) for k in kinds]
        wide = all(compute_dtype(k) == np.float64 for k in kinds)
        scales = INV_SCALES + (WIDE_INV_SCALES if wide else [])
        options = {
            "eps": rng.choice(EPS) if rng.random() < 0.3 else 0.0,
            "inv_scale": rng.choice(scales) if rng.random() < 0.7 else 1.0,
        }
        _, norm = gradclip.clip_by_global_norm(grads, math.inf, nonfinite="skip", **options)
        if 0 < norm < math.inf:
            count -= 1
            yield grads, norm, options


@pytest.mark.parametrize("seed", range(3))
def test_thresholds_of_every_magnitude(seed, record_property):
    clipped = 0
    for grads, norm, options in random_cases(np.random.default_rng(seed), 120):
        for threshold in [t for t in THRESHOLDS if t < norm]:
            assert clip_checked(grads, threshold, **options)
            clipped += 1
    record_property("cases", clipped)
    assert clipped > 800


@pytest.mark.parametrize("seed", range(3))
def test_thresholds_a_few_steps_below_the_norm_of_any_magnitude(seed, record_property):
    clipped = 0
    for grads, norm, options in random_cases(np.random.default_rng(100 + seed), 150):
        for threshold in neighbours(norm):
            clipped += clip_checked(grads, threshold, **options)
    record_property("cases", clipped)
    assert clipped > 200


@pytest.mark.parametrize("seed", range(3))
def test_the_extreme_thresholds_for_what_is_written(seed, record_property):
    rng = np.random.default_rng(200 + seed)
    clipped = 0
    for grads, norm, options in random_cases(rng, 60):
        below = math.nextafter(norm, 0.0)
        thresholds = [t for t in (norm * rng.uniform(0.1, 1), norm / 2, norm / 2**60) if t > 0]
        for threshold in thresholds:
            for extreme in extreme_thresholds(grads, min(threshold, below), **options):
                if extreme > 0:
                    assert clip_checked(grads, extreme, **options)
                    clipped += 1
    record_property("cases", clipped)
    assert clipped > 200


@pytest.mark.parametrize("kind", EXACT, ids=str)
def test_scales_and_thresholds_that_take_a_norm_through_the_subnormals(kind, rng, record_property):
    cases = 0
    for exponent in range(-1074, -1000, 3):
        grads = [normals(rng, 20, kind)]
        scaled = math.ldexp(rng.uniform(1, 2), exponent)
        norm = gradclip.clip_by_global_norm(grads, math.inf, inv_scale=scaled)[1]
        for threshold in {*neighbours(norm), norm / 2, norm / 64, SMALLEST}:
            cases += threshold > 0 and clip_checked(grads, threshold, inv_scale=scaled)
    record_property("cases", cases)
    assert cases > 100


@pytest.mark.parametrize("kind", ["f8", "c16"])
def test_subnormal_gradients_scaled_up(kind, rng, record_property):
    # Their norm has a few bits only, the one that counts has them all.
    cases = 0
    integers = ((1, 1), (1, 2), (3, 5), (1, 1, 1))
    for few, exponent in itertools.product(integers, range(4, 900, 37)):
        values = np.repeat(few, 2) * SMALLEST
        grads = [values.astype("f8").view(kind)]
        scale = math.ldexp(rng.uniform(1, 2), exponent)
        norm = gradclip.clip_by_global_norm(grads, math.inf, inv_scale=scale)[1]
        for threshold in (math.nextafter(norm, 0.0), norm / 2, norm / 3):
            assert clip_checked(grads, threshold, inv_scale=scale)
            cases += 1
    record_property("cases", cases)
