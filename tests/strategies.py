"""Hypothesis strategies: gradients of every magnitude, and thresholds around their norm."""

import math

import dtypes
import numpy as np
from hypothesis import strategies as st


def _is_finite_bfloat16(bits):
    return bits & 0x7F80 != 0x7F80


def _numbers(dtype):
    """Draw a finite number: a float, or the pattern of a bfloat16."""
    if dtype == dtypes.BFLOAT16:
        return st.integers(0, 0xFFFF).filter(_is_finite_bfloat16)
    width = 8 * dtypes.real_dtype(dtype).itemsize
    number = st.floats(width=width, allow_nan=False, allow_infinity=False)
    return st.builds(complex, number, number) if dtype.kind == "c" else number


@st.composite
def arrays(draw, kinds=dtypes.EXACT):
    """Draw a finite 1-d array: a few values of any magnitude, or one value many times over."""
    dtype = draw(st.sampled_from(kinds))
    values = draw(st.lists(_numbers(dtype), min_size=1, max_size=40))
    repeats = draw(st.sampled_from([1, 1, 2, 33, 1000]))
    array = np.array(values, np.uint16 if dtype == dtypes.BFLOAT16 else dtype)
    return np.repeat(array.view(dtype), repeats)


def gradients(kinds=dtypes.EXACT):
    """Draw a list of one to four arrays, mixed in dtype."""
    return st.lists(arrays(kinds), min_size=1, max_size=4)


@st.composite
def thresholds(draw, norm):
    """Draw a threshold below a positive norm: just below, a part of it, or anything."""
    just_below = math.nextafter(norm, 0.0)
    kind = draw(st.sampled_from(["just below", "fraction", "power", "any"]))
    if kind == "just below":
        return just_below
    if kind == "fraction":
        return min(norm * draw(st.floats(2.0**-60, 1.0, exclude_max=True)), just_below)
    if kind == "power":
        return min(math.ldexp(norm, -draw(st.integers(1, 300))), just_below)
    return draw(st.floats(0.0, just_below))
