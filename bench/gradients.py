"""The arrays that the contenders clip, and how they are made fresh again."""

from collections.abc import Iterator
from functools import cache
from math import prod

import numpy as np

from bench.exact import Array, square_root, sum_of_squares
from bench.models import Shapes

# A prime number of elements, so that its repeats line up with no page and no array; 1 MiB of
# float32, so that writing fresh values reads from the cache and costs one pass over the arrays.
BLOCK = 2**18 - 5


@cache
def standard_normal(dtype: str) -> Array:
    """Return the block of random values that is repeated through synthetic gradients."""
    wide = np.random.default_rng(1).standard_normal(BLOCK)
    return wide.astype(dtype)


class Gradients:
    """Arrays of given shapes, filled with `values` repeated as one long stream.

    Attributes: `arrays`; `buffer`, the one flat array that they are views of (None if each has
    memory of its own); `pieces`, pairs of (part of an array, the values that belong there);
    `norm`, the exact global norm of fresh arrays.
    """

    def __init__(self, shapes: Shapes, values: Array, *, one_buffer: bool = False) -> None:
        """Allocate and fill the arrays, as views of one buffer or each on its own."""
        sizes = [prod(shape) for shape in shapes]
        self.buffer: Array | None = None
        if one_buffer:
            self.buffer = np.empty(sum(sizes), values.dtype)
            ends = np.cumsum(sizes)
            flat = [self.buffer[e - n : e] for e, n in zip(ends, sizes, strict=True)]
        else:
            flat = [np.empty(n, values.dtype) for n in sizes]
        self.arrays = [a.reshape(shape) for a, shape in zip(flat, shapes, strict=True)]
        self.pieces = list(_stream(flat, values))
        repeats, rest = divmod(sum(sizes), values.size)
        squares = sum_of_squares(values[:rest])
        if repeats:
            squares += repeats * sum_of_squares(values)
        self.norm = square_root(squares)
        self.refill()

    @property
    def nbytes(self) -> int:
        """The bytes in all arrays."""
        return sum(a.nbytes for a in self.arrays)

    def refill(self) -> None:
        """Write fresh values, the last array first, as a backward pass leaves gradients behind."""
        for piece, values in reversed(self.pieces):
            piece[:] = values


def _stream(flat: list[Array], values: Array) -> Iterator[tuple[Array, Array]]:
    """Walk through the arrays and the repeated values side by side."""
    at = 0
    for array in flat:
        done = 0
        while done < array.size:
            n = min(array.size - done, values.size - at)
            yield array[done : done + n], values[at : at + n]
            done += n
            at = (at + n) % values.size
