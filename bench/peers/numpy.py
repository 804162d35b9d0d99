"""NumPy: the way most code goes, the best one, and one buffer for all gradients."""

import math
from collections.abc import Callable

import numpy as np

from bench import dtypes
from bench.contenders import Clip, Contender
from bench.exact import Array
from bench.gradients import Gradients, OneBuffer

SCRATCH = 2**18  # float32, 1 MiB: stays in a cache, and NumPy's calls cost little beside it


def _square(grads: Gradients) -> Clip:
    dtype = grads.arrays[0].dtype
    # Sums of 16-bit squares overflow (float16) or stop to grow (bfloat16) where they stay 16-bit.
    wider = np.float32 if dtype.name in dtypes.HALF else None
    size = np.abs if dtype.kind == "c" else lambda g: g

    def clip(max_norm: float) -> float:
        norm = np.sqrt(sum(np.sum(np.square(size(g), dtype=wider)) for g in grads.arrays))
        if norm > max_norm:
            scale = max_norm / norm
            for g in grads.arrays:
                g *= scale
        return float(norm)

    return clip


def _dot(grads: Gradients) -> Clip:
    flat = grads.flat
    dot, scale_ = tools(flat[0].dtype)

    def clip(max_norm: float) -> float:
        norm = math.sqrt(math.fsum(map(dot, flat, flat)))
        if norm > max_norm:
            scale_(flat, max_norm / norm)
        return norm

    return clip


def _one_buffer(grads: Gradients) -> Clip:
    assert isinstance(grads, OneBuffer)
    buffer = grads.buffer
    dot, scale_ = tools(buffer.dtype)

    def clip(max_norm: float) -> float:
        norm = math.sqrt(dot(buffer, buffer))
        if norm > max_norm:
            scale_([buffer], max_norm / norm)
        return norm

    return clip


def tools(
    dtype: np.dtype,
) -> tuple[Callable[[Array, Array], float], Callable[[list[Array], float], None]]:
    """Return NumPy's fastest dot product and in-place scaling of flat arrays of this dtype."""
    if dtype.name in dtypes.HALF:
        return _half_dot(), _scale_halves

    def scale_(flat: list[Array], scale: float) -> None:
        # A 0-d array of the gradients' dtype, and `out` by position: NumPy's quickest way, half
        # the time of `g *= float` where arrays are small.
        factor = np.array(scale, dtype)
        for g in flat:
            np.multiply(g, factor, g)

    # The method: 260 ns for 256 elements, np.dot and np.vdot 410, g @ g 560, np.linalg.norm 810.
    return np.ndarray.dot, scale_


def _half_dot() -> Callable[[Array, Array], float]:
    """Return a dot product of an array with itself, through float32 in a cache.

    BLAS knows no 16-bit numbers, and `dot`, without it, rounds each sum to 16 bits.
    """
    scratch = np.empty(SCRATCH, np.float32)

    def dot(g: Array, _: Array) -> float:
        total = 0.0
        for start in range(0, g.size, SCRATCH):
            part = g[start : start + SCRATCH]
            wide = scratch[: part.size]
            wide[...] = part
            total += float(wide.dot(wide))
        return total

    return dot


def _scale_halves(flat: list[Array], scale: float) -> None:
    # Multiplied in float32: 10.1 ms for 4 M float16, 13.6 ms for `g *= scale`.
    factor = np.float32(scale)
    for g in flat:
        np.multiply(g, factor, out=g, dtype=np.float32, casting="unsafe")


SQUARE = Contender(
    "np.square", "np.sqrt(sum(np.sum(np.square(g)) for g in grads)), g *= scale", _square
)
DOT = Contender(
    "np.dot", "math.sqrt(math.fsum(g.dot(g) for g in flat)), np.multiply(g, scale, g)", _dot
)
ONE_BUFFER = Contender(
    "one buffer",
    "dot, np.multiply on one flat array that all gradients are views of",
    _one_buffer,
    storage=OneBuffer,
)
