"""The dtypes of gradients: numbers of each, and what arithmetic does with them."""

import ml_dtypes
import numpy as np

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
HALVES = [np.dtype("f2"), BFLOAT16]
ALL = [*HALVES, *map(np.dtype, ("f4", "f8", "c8", "c16"))]
EXACT = [dtype for dtype in ALL if dtype not in HALVES]  # the bound of a clip is exact


def real_dtype(dtype):
    """Return the dtype of the real numbers that make up an element."""
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


def compute_dtype(dtype):
    """Return the dtype in which elements are multiplied."""
    return np.dtype("f4") if dtype in HALVES else real_dtype(dtype)


def finfo(dtype):
    """Return the limits of a dtype, or of the parts of a complex one."""
    return ml_dtypes.finfo(real_dtype(dtype))


def reals(array):
    """Return the real numbers in an array as a flat copy, 16-bit ones as float32: exact."""
    flat = np.array(array, order="C", subok=False).ravel()
    return flat.view(real_dtype(flat.dtype)).astype(compute_dtype(flat.dtype), copy=False)


def normals(rng, shape, dtype):
    """Return standard-normal numbers of a dtype, complex ones with both parts."""
    values = rng.standard_normal(shape)
    if dtype.kind == "c":
        values = values + 1j * rng.standard_normal(shape)
    return np.array(values, dtype)


def times(array, factor):
    """Return array·factor, rounded to nearest in the compute dtype and then to the array's own."""
    flat = reals(array)
    with np.errstate(all="ignore"):
        products = flat * flat.dtype.type(factor)
        products = products.astype(real_dtype(array.dtype), copy=False)
    return products.view(array.dtype).reshape(array.shape)
