"""Arrays at chosen addresses, and what lies around them."""

import contextlib
import hashlib

import numpy as np

GUARD = 64  # bytes before and after


def misaligned(values, offset):
    """Return a copy of `values` that starts `offset` bytes after a multiple of 64."""
    return guarded(values, offset)[0]


def guarded(values, offset=0):
    """Return a copy of `values` between guard bytes, and the uint8 buffer that holds it all."""
    values = np.asarray(values)
    buffer = np.full(values.nbytes + 4 * GUARD, 0xA5, np.uint8)
    start = -buffer.ctypes.data % GUARD + GUARD + offset
    array = np.ndarray(values.shape, values.dtype, buffer, start)
    array[...] = values
    return array, buffer


def turned_to_address_order(view):
    """Return a view of a view's elements in ascending address order."""
    flipped = view[(..., *(slice(None, None, -1 if step < 0 else 1) for step in view.strides))]
    axes = sorted(range(view.ndim), key=lambda axis: -abs(view.strides[axis]))
    return flipped.transpose(axes)


def turned_as(ordered, view):
    """Return a view of elements in ascending address order that is turned as `view` is."""
    axes = sorted(range(view.ndim), key=lambda axis: -abs(view.strides[axis]))
    turned = ordered.transpose(sorted(range(view.ndim), key=axes.__getitem__))
    return turned[(..., *(slice(None, None, -1 if step < 0 else 1) for step in view.strides))]


def in_address_order(view):
    """Return the elements of a view in ascending address order, as a contiguous 1-d copy."""
    return turned_to_address_order(view).flatten()


def same_bits(left, right):
    """Tell whether two arrays agree in dtype, shape and every bit (NaN payloads, −0.0)."""
    left, right = np.asarray(left), np.asarray(right)
    return (
        left.dtype == right.dtype
        and left.shape == right.shape
        and left.tobytes() == right.tobytes()
    )


def digest(*arrays):
    """Return a digest of all bytes of these arrays: pytest takes minutes to show how long ones
    differ."""
    digests = hashlib.blake2b()
    for array in arrays:
        digests.update(array.tobytes())
    return digests.hexdigest()


def owner(array):
    """Return the array that owns the memory of a view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


@contextlib.contextmanager
def unchanged(*arrays):
    """Assert that a block leaves every byte of the memory under these arrays as it was."""
    owners = [owner(array) for array in arrays]
    before = digest(*owners)
    yield
    assert digest(*owners) == before, "bytes have changed"
