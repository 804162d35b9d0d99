"""The reference: global norms computed exactly, so that every error shown is the contender's."""

import decimal
import math
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SPLIT = 2.0**27 + 1  # Veltkamp's constant: cuts a float64 into two halves of 26 bits
DIGITS = decimal.Context(prec=40)


def real(array: Array) -> Array:
    """Return the flat values; complex numbers become pairs of reals, without a copy."""
    flat = array.reshape(-1)
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat


def sum_of_squares(values: Array) -> Fraction:
    """Return the sum of squares to about 2⁻¹⁰⁶: exact products, summed by math.fsum.

    The square of a float32, and of anything shorter, is exact in float64; a float64 is cut into
    two halves first (Dekker), whose three products are. Holds while no product under- or
    overflows.
    """
    parts = real(values)
    x = parts.astype(np.float64)
    if parts.dtype.itemsize <= 4:
        products = (x * x).tolist()
    else:
        high = SPLIT * x - (SPLIT * x - x)
        low = x - high
        products = np.concatenate((high * high, 2 * high * low, low * low)).tolist()
    total = math.fsum(products)
    products.append(-total)
    return Fraction(total) + Fraction(math.fsum(products))


def square_root(square: Fraction) -> Decimal:
    """Return the square root to 40 digits."""
    quotient = DIGITS.divide(Decimal(square.numerator), Decimal(square.denominator))
    return DIGITS.sqrt(quotient)


def global_norm(arrays: Iterable[Array]) -> Decimal:
    """Return the global norm of the arrays, right to about 30 digits."""
    return square_root(sum((sum_of_squares(a) for a in arrays), Fraction(0)))


def relative_error(norm: float, exact: Decimal) -> float:
    """Return how far a computed norm is from the exact one, relative to the exact one."""
    if not math.isfinite(norm):
        return math.inf
    return float(abs(DIGITS.divide(DIGITS.subtract(Decimal(norm), exact), exact)))
