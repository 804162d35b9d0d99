"""Numba: norm and scaling compiled as one function, in parallel where that pays."""

import math
from functools import cache, partial
from typing import Any

from bench import dtypes
from bench.contenders import Clip, Contender
from bench.exact import Array
from bench.gradients import Gradients

# Elements. Below, one thread is quicker: 100 k take 4.4 µs, on 2 threads 4.8; 200 k 9.7 and 7.4.
PARALLEL_FROM = 2**17
# Elements of the parts that threads share out; more and smaller ones cost a few per cent.
PART = 2**16


def _numba(grads: Gradients) -> Clip:
    from numba.typed import List

    parallel = sum(g.size for g in grads.flat) >= PARALLEL_FROM
    clip_one, clip_parts = kernels(parallel=parallel)
    if len(grads.flat) == 1:  # 49 µs for 1 M elements; as a list of parts 64 µs
        clip = partial(clip_one, grads.flat[0])
    else:
        # A typed list: 10 arrays take 1.0 µs, as a tuple 1.1, as a reflected list 80.
        clip = partial(clip_parts, List(parts(grads.flat)))
    clip(math.inf)  # compiles
    return clip


def parts(flat: list[Array]) -> list[Array]:
    """Return views of the arrays' parts, which are about equal work where arrays are not."""
    return [g[start : start + PART] for g in flat for start in range(0, g.size, PART)]


@cache
def kernels(*, parallel: bool) -> tuple[Any, Any]:
    """Return two functions to be compiled for each dtype: for one array, for a list of parts."""
    from numba import njit, prange

    quick = njit(fastmath=True)
    either = njit(fastmath=True, parallel=parallel)

    def sum_of_squares(g: Any) -> Any:
        total = g.dtype.type(0)
        for i in range(g.size):
            total += g[i] * g[i]
        return total

    def scale_(g: Any, scale: Any) -> None:
        for i in range(g.size):
            g[i] *= scale

    squares, scaled = quick(sum_of_squares), quick(scale_)

    def clip_one(g: Any, max_norm: float) -> float:
        total = g.dtype.type(0)
        for i in prange(g.size):
            total += g[i] * g[i]
        norm = math.sqrt(total)
        if norm > max_norm:
            scale = g.dtype.type(max_norm / norm)
            for i in prange(g.size):
                g[i] *= scale
        return norm

    def clip_parts(parts: Any, max_norm: float) -> float:
        total = 0.0
        for k in prange(len(parts)):
            total += squares(parts.getitem_unchecked(k))  # 1,000 arrays: 25 µs; parts[k]: 76
        norm = math.sqrt(total)
        if norm > max_norm:
            scale = parts[0].dtype.type(max_norm / norm)
            for k in prange(len(parts)):
                scaled(parts.getitem_unchecked(k), scale)
        return norm

    return either(clip_one), either(clip_parts)


def _threads() -> int:
    from numba import get_num_threads

    return int(get_num_threads())


NUMBA = Contender(
    "numba",
    "@njit(parallel=True, fastmath=True): both loops in one function, over a typed list "
    "(one thread below 131 k elements)",
    _numba,
    ("numba",),
    dtypes=(*dtypes.WIDE, *dtypes.COMPLEX),
    threads=_threads,
)
