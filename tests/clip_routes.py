"""Every way to clip, held to one result and to all that is promised of it."""

import itertools
import math
import struct
from fractions import Fraction

import numpy as np
import oracle
from buffers import same_bits, unchanged
from dtypes import HALVES, finfo, reals

import gradclip

_ISAS = gradclip.show_config("dicts")["isa"]["available"]
_turns = itertools.count()


def in_place(grads, max_norm, **options):
    return grads, gradclip.clip_by_global_norm_(grads, max_norm, **options)


def fresh(grads, max_norm, **options):
    return gradclip.clip_by_global_norm(grads, max_norm, **options)


def by_a_function(grads, max_norm, **options):
    return grads, gradclip.clip_by_global_norm_(grads, lambda norm: max_norm, **options)


def by_the_norm(grads, max_norm, eps=0.0):
    norm = gradclip.global_norm(grads)
    gradclip.clip_with_norm_(grads, max_norm, norm, eps=eps)
    return grads, norm


def copies(grads):
    return [array.copy() for array in grads]


def clip_every_way(grads, max_norm, *, eps=0.0, inv_scale=1.0):
    """Clip copies by each public call, each on another instruction set in turn; assert the same
    bits, and return them and the norm."""
    routes = [in_place, fresh, by_a_function]
    options = {"eps": eps, "inv_scale": inv_scale}
    if inv_scale == 1:
        routes.append(lambda *args, **_: by_the_norm(*args, eps))
    results = []
    for turn, route in enumerate(routes, next(_turns)):
        gradclip._gradclip._set_isa(_ISAS[turn % len(_ISAS)])
        results.append(route(copies(grads), max_norm, **options))
    written, norm = results[0]
    for alike, same_norm in results[1:]:
        assert same_norm == norm
        assert all(map(same_bits, alike, written))
    return written, norm


def clip_checked(grads, max_norm, *, eps=0.0, inv_scale=1.0):
    """Clip copies in every way and assert what is promised; tell whether that clipped."""
    written, norm = clip_every_way(grads, max_norm, eps=eps, inv_scale=inv_scale)
    if norm <= max_norm:
        return False
    oracle.assert_norm_is_bounded(written, max_norm)
    if eps != 0:
        assert_eps_is_added(grads, written, Fraction(max_norm), Fraction(eps), Fraction(inv_scale))
    if eps == 0 and has_normal_results(grads, Fraction(max_norm) * Fraction(inv_scale), norm):
        oracle.assert_norm_is_tight(written, max_norm)
    if not any(array.dtype in HALVES for array in grads):
        with unchanged(*written):
            assert gradclip.clip_by_global_norm_(written, max_norm) <= max_norm
    return True


def assert_eps_is_added(grads, written, max_norm, eps, inv_scale):
    """Assert that the norm written is at most max_norm · norm / (norm + eps)."""
    if not any(array.dtype in HALVES for array in grads):
        squares = oracle.square_sum(*grads)
        norm = Fraction(math.isqrt(math.floor(squares * 2**2400)), 2**1200)
        norm_and_eps = inv_scale * norm + eps
        written_squares = oracle.square_sum(*written)
        assert written_squares * norm_and_eps**2 <= max_norm**2 * inv_scale**2 * squares


def has_normal_results(grads, max_norm, norm):
    """Tell whether no product of a non-zero element is subnormal, too large, or close to it."""
    factor = Fraction(max_norm) / Fraction(norm)
    for array in grads:
        magnitudes = np.abs(reals(array))
        magnitudes = magnitudes[magnitudes != 0]
        if magnitudes.size:
            limits = finfo(array.dtype)
            least, most = (
                Fraction(float(x)) * factor for x in (magnitudes.min(), magnitudes.max())
            )
            tiny, huge = Fraction(float(limits.smallest_normal)), Fraction(float(limits.max))
            if least < 2 * tiny or most > huge / 2:
                return False
    return True


def extreme_thresholds(grads, max_norm, **options):
    """Return the least and the greatest threshold that make a clip write what this one makes.

    The bound is closest at the least, and the distance to it largest at the greatest: what is
    written grows with the threshold, in steps.
    """
    written, norm = fresh(grads, max_norm, **options)

    def writes_the_same(threshold):
        return all(map(same_bits, fresh(grads, threshold, **options)[0], written))

    below_norm = math.nextafter(norm, 0.0)
    least = _furthest(writes_the_same, max_norm, 0.0)
    return least, _furthest(writes_the_same, max_norm, below_norm)


def _furthest(holds, start, end):
    """Return the float64 closest to `end` for which a monotonic condition holds."""
    good, bad = _position(start), _position(end)
    if holds(end):
        return end
    while abs(good - bad) > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if holds(_float_at(middle)) else (good, middle)
    return _float_at(good)


def _position(value):
    return struct.unpack("<q", struct.pack("<d", value))[0]


def _float_at(position):
    return struct.unpack("<d", struct.pack("<q", position))[0]


def neighbours(value, reach=3):
    """Yield a positive float64 and those within `reach` steps of it, above zero."""
    for step in range(-reach, reach + 1):
        position = _position(value) + step
        if position > 0 and math.isfinite(_float_at(position)):
            yield _float_at(position)


def thresholds_around(grads):
    """Return thresholds a few steps around the norm, the true one, and powers of two of it."""
    norm = gradclip.global_norm(grads)
    true = oracle.floor_sqrt(oracle.square_sum(*grads))
    return sorted(set(itertools.chain(*map(neighbours, (norm, true, norm / 2, true / 2**20)))))
