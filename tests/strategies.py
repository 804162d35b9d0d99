"""Hypothesis strategies: gradients of every magnitude, and thresholds around their norm."""

import math

import numpy as np
from hypothesis import strategies as st

FLOAT = {"float32": 32, "float64": 64}


@st.composite
def arrays(draw, dtypes=("float32", "float64")):
    """Draw a finite 1-d array: a few values of any magnitude, or one value many times over."""
    dtype = draw(st.sampled_from(dtypes))
    value = st.floats(width=FLOAT[dtype], allow_nan=False, allow_infinity=False)
    values = draw(st.lists(value, min_size=1, max_size=40))
    repeats = draw(st.sampled_from([1, 1, 2, 33, 1000]))
    return np.repeat(np.array(values, dtype), repeats)


def gradients(dtypes=("float32", "float64")):
    """Draw a list of one to four arrays, mixed in dtype."""
    return st.lists(arrays(dtypes), min_size=1, max_size=4)


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
