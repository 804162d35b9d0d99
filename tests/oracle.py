"""Exact arithmetic on floats: the slow, readable reference that the tests compare with.

A finite float is an integer times a power of two, so a sum of squares is a Fraction without any
rounding, and a statement about a norm is a statement about its square: no root is ever rounded.
Complex numbers count as their two parts; norms of their moduli are in `powers`.
"""

import math
from fractions import Fraction

import numpy as np
from dtypes import HALVES, finfo, reals

NORM_ERROR = Fraction(1, 2**44)  # relative, of a list with a leaf narrower than float64

_CHUNK = 1 << 20  # pieces below 2^27, so that their float64 sums stay below 2^47: exact
_HALF = 27
_MASK = (1 << _HALF) - 1


def square_sum(*arrays):
    """Return the exact sum of the squares of all elements of all arrays, as a Fraction."""
    return sum(map(_chunk_square_sum, _chunks(arrays)), start=Fraction(0))


def magnitude_sum(*arrays):
    """Return the exact sum of the magnitudes of all real numbers in all arrays, as a Fraction."""
    return sum(map(_chunk_magnitude_sum, _chunks(arrays)), start=Fraction(0))


def _chunks(arrays):
    for array in arrays:
        flat = reals(array)
        yield from (flat[start : start + _CHUNK] for start in range(0, flat.size, _CHUNK))


def _integers(values):
    """Return integers and exponents such that values are ± integer · 2^(exponent − digits)."""
    digits = 24 if values.dtype == np.float32 else 53
    fraction, exponent = np.frexp(values)
    return np.abs(np.ldexp(fraction, digits)).astype(np.int64), exponent, digits


def _chunk_square_sum(values):
    mantissa, exponent, digits = _integers(values)
    lowest = int(exponent.min())
    high, low = mantissa >> _HALF, mantissa & _MASK
    products = [(low * low, 0)]
    if digits > _HALF:
        products += [(high * low, _HALF + 1), (high * high, 2 * _HALF)]
    total = 0
    for product, shift in products:
        total += _binned(2 * (exponent - lowest), product & _MASK) << shift
        total += _binned(2 * (exponent - lowest), product >> _HALF) << (shift + _HALF)
    return total * Fraction(2) ** (2 * (lowest - digits))


def _chunk_magnitude_sum(values):
    mantissa, exponent, digits = _integers(values)
    lowest = int(exponent.min())
    total = _binned(exponent - lowest, mantissa & _MASK)
    total += _binned(exponent - lowest, mantissa >> _HALF) << _HALF
    return total * Fraction(2) ** (lowest - digits)


def _binned(exponent, integers):
    sums = np.bincount(exponent, weights=integers)
    return sum(int(value) << power for power, value in enumerate(sums) if value)


def floor_sqrt(value):
    """Return the largest float64 that is not above the root of a Fraction; inf past the range."""
    if value == 0:
        return 0.0
    shift = max(0, 1200 - (value.numerator.bit_length() - value.denominator.bit_length()) // 2)
    root = math.isqrt(value.numerator * 4**shift // value.denominator)
    ulp_exponent = max(root.bit_length() - 53 - shift, -1074)
    try:
        return math.ldexp(root >> (ulp_exponent + shift), ulp_exponent)
    except OverflowError:
        return math.inf


def is_root_in_range(value):
    """Tell whether the root of a Fraction is not above the largest float64."""
    return value <= Fraction(np.finfo(np.float64).max) ** 2


def is_within_one_ulp(norm, squares):
    """Tell whether a float is at most one ulp (of the true norm) from the root of `squares`."""
    ulp = Fraction(math.ulp(floor_sqrt(squares)))
    return max(norm - ulp, 0) ** 2 <= squares <= (norm + ulp) ** 2


def is_within(norm, squares, error):
    """Tell whether a float is at most `error` (relative) from the root of `squares`."""
    return (1 - error) ** 2 * squares <= norm**2 <= (1 + error) ** 2 * squares


def is_narrow(*arrays):
    """Tell whether some array holds numbers narrower than float64."""
    return any(finfo(array.dtype).bits < 64 for array in arrays)


def assert_norm_is_right(norm, *arrays):
    """Assert the accuracy that is promised for the 2-norm of these arrays."""
    assert type(norm) is float
    assert math.isfinite(norm), norm
    squares = square_sum(*arrays)
    right = is_within_one_ulp(Fraction(norm), squares)
    if is_narrow(*arrays):
        right |= is_within(Fraction(norm), squares, NORM_ERROR)
    assert right, f"norm {norm!r}, truth from {floor_sqrt(squares)!r} up"


def epsilon(arrays):
    """Return the machine epsilon of the coarsest dtype."""
    return max(Fraction(float(finfo(array.dtype).eps)) for array in arrays)


def _most_above(arrays):
    """Return how far a clipped norm may be above the threshold: 16-bit numbers are rounded to
    nearest, and so is all else beside them."""
    return epsilon(arrays) if any(array.dtype in HALVES for array in arrays) else 0


def assert_norm_is_bounded(written, max_norm):
    """Assert that the exact norm of the written arrays is not above `max_norm`."""
    assert all(np.isfinite(reals(array)).all() for array in written)
    squares = square_sum(*written)
    most = Fraction(max_norm) * (1 + _most_above(written))
    assert squares <= most**2, f"{floor_sqrt(squares)!r} above {max_norm!r}"


def assert_norm_is_tight(written, target):
    """Assert that the exact norm of the written arrays falls short by 4 ε of `target` at most."""
    squares = square_sum(*written)
    least = (1 - 4 * epsilon(written)) * Fraction(target)
    assert squares >= least**2, f"{floor_sqrt(squares)!r} too far below {float(target)!r}"


def is_normal(*arrays):
    """Tell whether no number is subnormal."""
    for array in arrays:
        magnitudes = np.abs(reals(array))
        tiny = float(finfo(array.dtype).smallest_normal)
        if ((magnitudes > 0) & (magnitudes < tiny)).any():
            return False
    return True


def times_toward_zero(array, factor):
    """Return array·factor rounded toward zero, for normal results and a factor of its dtype."""
    if array.dtype == np.float32:
        exact = array.astype(np.float64) * np.float64(factor)
        rounded = exact.astype(np.float32)
        return np.where(np.abs(rounded) > np.abs(exact), np.nextafter(rounded, 0), rounded)
    scaled, exponent = np.frexp(array)
    factor_scaled, factor_exponent = math.frexp(factor)
    product = scaled * factor_scaled
    above = np.sign(_product_error(scaled, factor_scaled, product)) * np.sign(product) < 0
    product = np.where(above, np.nextafter(product, 0), product)
    return np.ldexp(product, exponent + factor_exponent)


def _product_error(a, b, product):
    a_high, b_high = _high_half(a), _high_half(b)
    a_low, b_low = a - a_high, b - b_high
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _high_half(value):
    scaled = value * (2.0**27 + 1)
    return scaled - (scaled - value)
