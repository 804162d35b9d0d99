"""The dtypes: what the harness has to know of each, by name."""

from typing import Any

import ml_dtypes  # gives NumPy the name bfloat16, too
import numpy as np

WIDE = ("float32", "float64")
HALF = ("float16", "bfloat16")
COMPLEX = ("complex64", "complex128")
ALL = (*WIDE, *HALF, *COMPLEX)


def worst_norm(dtype: str, *, ours: bool = False) -> float:
    """Return the relative error from which on a norm is wrong, not rounded.

    PyTorch and optax round norms to the gradients' dtype, array by array: bfloat16 has 8 bits.
    gradclip returns float64, whatever the dtype.
    """
    return 5e-2 if dtype in HALF and not ours else 1e-3


def tolerance(dtype: np.dtype, *, ours: bool) -> tuple[float, float]:
    """Return how far a scaled element may be off: relative, and absolute for subnormals.

    8 ulp where idioms round norm, scale and product in float32. In 16 bits half an ulp for each
    rounding: of scale and product, by peers of max_norm, too.
    """
    limits: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    ulps = 8.0 if dtype.name not in HALF else 1.0 if ours else 1.5
    return ulps * float(limits.eps), float(limits.smallest_subnormal)
