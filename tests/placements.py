"""Numbers placed in memory of every order: functions from a shape and a dtype to an array of it."""

import numpy as np


def _spread(shape, dtype, order):
    """Return every second element along each axis of an array."""
    spread = np.zeros([2 * n for n in shape], dtype, order)
    return spread[tuple(slice(None, None, 2) for _ in shape)]


def _turned(array):
    """Return a view that runs backwards along each axis."""
    return array[tuple(slice(None, None, -1) for _ in array.shape)]


def _with_first_axis_last(shape, dtype):
    """Return an array whose rest is in C order, and its first axis the fastest."""
    if not shape:
        return np.zeros((), dtype)
    return np.moveaxis(np.zeros((*shape[1:], *shape[:1]), dtype), -1, 0)


PLACEMENTS = {
    "C": lambda shape, dtype: np.zeros(shape, dtype),
    "F": lambda shape, dtype: np.zeros(shape, dtype, "F"),
    "strided": lambda shape, dtype: _spread(shape, dtype, "C"),
    "reversed": lambda shape, dtype: _turned(np.zeros(shape, dtype)),
    "F, strided, reversed": lambda shape, dtype: _turned(_spread(shape, dtype, "F")),
    "first axis last": _with_first_axis_last,
}


def placed(values, placement):
    """Return an array with these values that lies in memory so."""
    array = PLACEMENTS[placement](values.shape, values.dtype)
    array[...] = values
    return array
