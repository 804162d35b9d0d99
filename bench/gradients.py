"""The arrays that the contenders clip, and how they are made fresh again."""

from collections.abc import Iterator
from functools import cache
from math import prod

import numpy as np

from bench.exact import Array, real, square_root, sum_of_squares
from bench.models import Shapes

# A prime number of elements, so that its repeats line up with no page and no array; 1 MiB of
# float32, so that writing fresh values reads from the cache and costs one pass over the arrays.
BLOCK = 2**18 - 5


@cache
def standard_normal(dtype: str) -> Array:
    """Return the block of random values that is repeated through synthetic gradients."""
    parts = 2 if np.dtype(dtype).kind == "c" else 1
    wide = np.random.default_rng(1).standard_normal(parts * BLOCK)
    return wide.view(np.complex128).astype(dtype) if parts == 2 else wide.astype(dtype)


class Gradients:
    """Arrays of given shapes, filled with `values` repeated as one long stream.

    Attributes: `arrays`, each with memory of its own; `flat`, their elements as one-dimensional
    views, complex numbers as pairs of reals; `pieces`, pairs of (part of an array, the values that
    belong there); `norm`, the exact global norm of fresh arrays.
    """

    def __init__(self, shapes: Shapes, values: Array) -> None:
        """Allocate and fill the arrays."""
        sizes = [prod(shape) for shape in shapes]
        flat = self._allocate(sizes, values.dtype)
        self.arrays = [a.reshape(shape) for a, shape in zip(flat, shapes, strict=True)]
        self.flat = [real(a) for a in flat]
        self.pieces = list(_stream(flat, values))
        repeats, rest = divmod(sum(sizes), values.size)
        squares = sum_of_squares(values[:rest])
        if repeats:
            squares += repeats * sum_of_squares(values)
        self.norm = square_root(squares)
        self.refill()

    def _allocate(self, sizes: list[int], dtype: np.dtype) -> list[Array]:
        return [np.empty(n, dtype) for n in sizes]

    @property
    def nbytes(self) -> int:
        """The bytes in all arrays."""
        return sum(a.nbytes for a in self.arrays)

    def refill(self) -> None:
        """Write fresh values, the last array first, as a backward pass leaves gradients behind."""
        for piece, values in reversed(self.pieces):
            piece[:] = values

    def fetch(self) -> None:
        """Bring a contender's results into `arrays`; in place, they are there already."""


class OneBuffer(Gradients):
    """The same, but all arrays are views of `buffer`, one flat array (of reals, as in `flat`)."""

    def _allocate(self, sizes: list[int], dtype: np.dtype) -> list[Array]:
        whole = np.empty(sum(sizes), dtype)
        self.buffer = real(whole)
        return [whole[end - n : end] for end, n in zip(np.cumsum(sizes), sizes, strict=True)]


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
