"""A grid of arrays whose norm is known in closed form: one first number, and n − 1 times another.

So are norms tested in E. Anderson, "Algorithm 978: Safe scaling in the level 1 BLAS", ACM TOMS 44,
2017. Complex arrays count as their real numbers: the real part of the first element is the first
number, and all others are the other one.
"""

import functools
import itertools
import math
from fractions import Fraction

import numpy as np
import oracle
from dtypes import compute_dtype, finfo, real_dtype

_INF_FROM = (2 - Fraction(1, 2**53)) * 2**1023  # what float64 rounds to inf


@functools.cache
def values_of(dtype):
    """Return the numbers of the grid by name, as floats: each is one of the dtype."""
    limits = finfo(dtype)
    root = np.array(math.sqrt(limits.max), compute_dtype(dtype))
    return {
        "zero": 0.0,
        "subnormal": float(limits.smallest_subnormal),
        "tiny": float(limits.smallest_normal),
        "ulp": float(limits.eps),
        "one": 1.0,
        "huge": float(root.astype(real_dtype(dtype))),
        "max": float(limits.max),
        "inf": math.inf,
        "minus inf": -math.inf,
        "nan": math.nan,
    }


def pairs(dtype):
    """Return the names of all pairs of a first number and the rest."""
    return itertools.product(values_of(dtype), repeat=2)


def fill(array, rest):
    """Set all numbers of an array to the rest, which is negative: −0.0, −1.0, …"""
    value = -values_of(array.dtype)[rest]
    array[...] = complex(value, value) if array.dtype.kind == "c" else value


def set_first(array, first, rest):
    """Set the first number of an array that is filled with the rest."""
    values = values_of(array.dtype)
    value = values[first]
    array[0] = complex(value, -values[rest]) if array.dtype.kind == "c" else value


def grid_array(dtype, first, rest, size):
    """Return a contiguous array of the grid."""
    array = np.empty(size, dtype)
    fill(array, rest)
    set_first(array, first, rest)
    return array


@functools.cache
def is_right(norm, dtype, first, rest, size, order=2):
    """Tell whether the norm of an array of so many elements has the accuracy that is promised.

    Orders other than 2 are of reals only. Each norm is looked at once: all ways to compute it give
    the same bits.
    """
    count = size * (2 if dtype.kind == "c" else 1)
    values = values_of(dtype)
    numbers = (values[first], values[rest] if count > 1 else 0.0)
    if any(map(math.isnan, numbers)):
        return math.isnan(norm)
    if any(map(math.isinf, numbers)):
        return norm == math.inf
    if order == math.inf:
        return norm == max(numbers)
    first, rest = map(Fraction, numbers)
    if order == 1:
        squares, error = (first + (count - 1) * rest) ** 2, 2 * oracle.NORM_ERROR
    else:
        squares, error = first**2 + (count - 1) * rest**2, oracle.NORM_ERROR
    if squares >= _INF_FROM**2:
        return norm == math.inf
    if not math.isfinite(norm):
        return False
    narrow = finfo(dtype).bits < 64
    right = oracle.is_within_one_ulp(Fraction(norm), squares)
    return right or (narrow and oracle.is_within(Fraction(norm), squares, error))
