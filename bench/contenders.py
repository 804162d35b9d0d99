"""The contenders: gradclip, and the ways to clip gradients that it is compared with.

A contender is one function that gets the gradients and returns `clip(max_norm) -> norm before`.
What it does before it returns (views, look-ups) is not timed, to every peer's advantage.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.linalg.blas import get_blas_funcs

import gradclip
from bench.gradients import Gradients

Clip = Callable[[float], float]


@dataclass(frozen=True)
class Contender:
    """A way to clip: its short name, the code that the legend shows, and how to make it."""

    name: str
    idiom: str
    prepare: Callable[[Gradients], Clip]
    one_buffer: bool = False  # wants the gradients as views of one flat array


def _gradclip(grads: Gradients) -> Clip:
    return partial(gradclip.clip_by_global_norm_, grads.arrays)


def _np_square(grads: Gradients) -> Clip:
    def clip(max_norm: float) -> float:
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in grads.arrays))
        if norm > max_norm:
            scale = max_norm / norm
            for g in grads.arrays:
                g *= scale
        return float(norm)

    return clip


def _np_vdot(grads: Gradients) -> Clip:
    flat = [g.reshape(-1) for g in grads.arrays]
    dtype = flat[0].dtype

    def clip(max_norm: float) -> float:
        norm = math.sqrt(math.fsum(map(np.vdot, flat, flat)))
        if norm > max_norm:
            # A 0-d array of the gradients' dtype, and `out` by position: NumPy's quickest way,
            # half the time of `g *= float` where arrays are small.
            scale = np.array(max_norm / norm, dtype)
            for g in flat:
                np.multiply(g, scale, g)
        return norm

    return clip


def _one_buffer(grads: Gradients) -> Clip:
    buffer = grads.buffer
    assert buffer is not None

    def clip(max_norm: float) -> float:
        norm = math.sqrt(np.vdot(buffer, buffer))
        if norm > max_norm:
            np.multiply(buffer, np.array(max_norm / norm, buffer.dtype), buffer)
        return norm

    return clip


def _scipy_blas(grads: Gradients) -> Clip:
    flat = [g.reshape(-1) for g in grads.arrays]
    # The dot product, not nrm2, which guards against overflow and takes 2 to 8 times as long.
    dot, scal = get_blas_funcs(("dot", "scal"), (flat[0],))

    def clip(max_norm: float) -> float:
        norm = math.sqrt(math.fsum(map(dot, flat, flat)))
        if norm > max_norm:
            scale = max_norm / norm
            for g in flat:
                scal(scale, g)  # in place for contiguous arrays of its own dtype, as these are
        return norm

    return clip


OURS = Contender("gradclip", "clip_by_global_norm_(grads, max_norm)", _gradclip)
PEERS = (
    Contender("np.square", "np.sqrt(sum(np.sum(np.square(g)) …)), g *= scale", _np_square),
    Contender("np.vdot", "math.sqrt(sum(np.vdot(g, g) …)), np.multiply(g, scale, g)", _np_vdot),
    Contender(
        "one buffer", "np.vdot on one flat array, all gradients views of it", _one_buffer, True
    ),
    Contender("SciPy BLAS", "scipy.linalg.blas: dot and scal, array by array", _scipy_blas),
)
