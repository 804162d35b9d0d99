"""A search for gradients whose clipped norm is above the threshold, by climbing towards it.

Each set of gradients is tried at the least threshold that makes a clip write what it writes, where
least room is left; changes that leave less room are kept.
"""

import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
from clip_routes import clip_checked, copies, extreme_thresholds, fresh
from dtypes import EXACT, compute_dtype, real_dtype

TRIES = 480
RESTARTS = 8


def room(grads, factor, inv_scale):
    """Return by how many ε the norm stays below the closest threshold, and that threshold."""
    norm = fresh(grads, math.inf, inv_scale=inv_scale)[1]
    threshold, _ = extreme_thresholds(grads, norm * factor, inv_scale=inv_scale)
    written, _ = fresh(grads, threshold, inv_scale=inv_scale)
    square = Fraction(threshold) ** 2
    short = (square - oracle.square_sum(*written)) / square / 2
    finest = min(np.finfo(compute_dtype(array.dtype)).eps for array in grads)
    return float(short / Fraction(float(finest))), threshold


def start(rng, kinds):
    """Return gradients with few digits, the most of whose products are exact."""
    count = int(rng.integers(1, 12))
    value = rng.choice([1.0, 3.0, rng.uniform(1, 2)])
    return [np.full(2 * count, value, real_dtype(k)).view(k) for k in kinds]


def changed(rng, grads):
    """Return copies in which one number, or all of an array, is another one."""
    grads = copies(grads)
    array = grads[rng.integers(len(grads))]
    reals = array.view(real_dtype(array.dtype))
    where = rng.integers(reals.size) if rng.random() < 0.7 else slice(None)
    change = rng.integers(4)
    if change == 0:
        reals[where] = np.nextafter(reals[where], reals.dtype.type(rng.choice([0, 4])))
    elif change == 1:
        reals[where] = rng.uniform(0, 2)
    elif change == 2:
        reals[where] = rng.integers(1, 64) / 32
    else:
        reals[where] *= reals.dtype.type(2.0 ** rng.integers(-3, 4))
    return grads


def climb(rng, kinds, inv_scales):
    """Yield gradients, a threshold and a scale, each the closest to the bound so far."""
    grads, inv_scale = start(rng, kinds), rng.choice(inv_scales)
    factor = rng.choice([0.5, 0.75, 2.0**-10, rng.uniform(0.1, 1)])
    least, threshold = room(grads, factor, inv_scale)
    yield grads, threshold, inv_scale
    for _ in range(TRIES // RESTARTS):
        candidate = changed(rng, grads)
        found, threshold = room(candidate, factor, inv_scale)
        if found <= least:
            grads, least = candidate, found
            yield grads, threshold, inv_scale


@pytest.mark.parametrize(
    "kinds",
    [*([kind] for kind in EXACT), EXACT[:2], EXACT[1:3], EXACT[::-1]],
    ids=lambda kinds: "-".join(map(str, kinds)),
)
def test_no_climb_gets_above_the_bound(kinds, record_property):
    rng = np.random.default_rng(len(kinds))
    cases = 0
    for turn in range(RESTARTS):
        scales = [1.0] if turn % 2 else [1 / 3, math.pi, rng.uniform(1, 2), 2.0**-40 * 1.7]
        for grads, threshold, inv_scale in climb(rng, kinds, scales):
            clip_checked(grads, threshold, inv_scale=inv_scale)
            cases += 1
    record_property("cases", cases)
    assert cases > 40


def lost_ulps(exact_square, rounded):
    """Return by how many ulps a float is below the root of a Fraction, nearly."""
    ulp = Fraction(math.ulp(rounded))
    return float((exact_square - Fraction(rounded) ** 2) / (2 * Fraction(rounded) * ulp))


def test_norms_and_products_with_inv_scale_that_are_rounded_down(record_property):
    # The norm of ones loses up to half an ulp, its product with inv_scale as much again.
    rng = np.random.default_rng(5)
    roots = [n for n in range(2, 1200) if lost_ulps(Fraction(n), math.sqrt(n)) > 0.4]
    low = [n for n in roots if math.frexp(math.sqrt(n))[0] < 0.6]
    cases = 0
    for n in low:
        norm = math.sqrt(n)
        for scale in 0.95 * 2 ** math.frexp(norm)[1] / norm * rng.uniform(0.9, 1.05, 40):
            lost = lost_ulps(Fraction(norm) ** 2 * Fraction(scale) ** 2, norm * scale)
            if lost < 0.4:
                continue
            for factor in rng.uniform(0.2, 0.6, 3):
                grads = [np.ones(n)]
                threshold, _ = extreme_thresholds(grads, norm * scale * factor, inv_scale=scale)
                cases += clip_checked(grads, threshold, inv_scale=scale)
    record_property("cases", cases)
    assert cases > 300
