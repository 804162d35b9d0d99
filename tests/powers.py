"""Norms in any order, (Σ|x|^p)^(1/p), in 160-bit arithmetic, and the accuracy that is promised.

Complex numbers count as their moduli. Some 20 µs an element: for short arrays. `oracle` has the
exact sums of long ones.
"""

import math

import numpy as np
import oracle
from mpmath import mp, mpf

mp.prec = 160

SMALLEST = 2.0**-1074


def norm(arrays, p):
    """Return the norm of finite arrays in order p, as an mpf."""
    magnitudes = [abs(_exact(x)) for array in arrays for x in np.asarray(array).ravel() if x != 0]
    if not magnitudes:
        return mpf(0)
    if p > 1e30:  # n elements add a factor of n^(1/p) at most
        return max(magnitudes)
    return mp.fsum(mp.power(x, mpf(p)) for x in magnitudes) ** (1 / mpf(p))


def _exact(x):
    return mp.mpc(complex(x)) if x.dtype.kind == "c" else mpf(float(x))


def error(p, *arrays):
    """Return the relative error that the norm of these arrays may have in order p."""
    narrow = oracle.is_narrow(*arrays)
    if p == 2:
        return 2.0**-44 if narrow else 2.0**-52
    if p not in (1, math.inf):
        return 2.0**-48 * max(1, 1 / p)
    if any(array.dtype.kind == "c" for array in arrays):
        return 2.0**-43 if narrow else 2.0**-51
    if p == 1:
        return 2.0**-43 if narrow else 2.0**-52
    return 0.0


def assert_norm_is_right(found, p, *arrays):
    """Assert the accuracy that is promised in order p; at most one ulp if the norm is subnormal."""
    assert type(found) is float
    assert math.isfinite(found), found
    exact = norm(arrays, p)
    ulp = SMALLEST if 0 < exact < 2.0**-1022 else 0.0
    most = error(p, *arrays) * exact
    assert abs(found - exact) <= max(most, ulp), f"norm {found!r}, truth {mp.nstr(exact, 25)}"


def assert_norm_is_at_most(written, max_norm, p):
    """Assert that the true norm of the written arrays in order p is not above `max_norm`."""
    exact = norm(written, p)
    assert exact <= max_norm, f"{mp.nstr(exact, 25)} above {max_norm!r}"
