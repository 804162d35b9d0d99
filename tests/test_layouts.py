"""Views of every layout are read and written in place, and nothing around them is."""

import math

import numpy as np
import oracle
import pytest
from buffers import in_address_order, same_bits
from dtypes import normals, times
from layouts import BUFFER_SIZE, LAYOUTS

import gradclip

pytestmark = [pytest.mark.usefixtures("isa"), pytest.mark.parametrize("layout", LAYOUTS)]


@pytest.fixture
def buffer():
    return np.full(BUFFER_SIZE, 0xA5, np.uint8)


@pytest.fixture
def view(buffer, layout, any_dtype, rng):
    view = LAYOUTS[layout](buffer, any_dtype)
    view[...] = normals(rng, view.shape, any_dtype)
    return view


@pytest.fixture
def contiguous(view):
    return in_address_order(view)


@pytest.fixture
def outside(layout, any_dtype):
    """Return which bytes of the buffer do not belong to the view."""
    buffer = np.zeros(BUFFER_SIZE, np.uint8)
    opaque = np.dtype((np.void, any_dtype.itemsize))
    LAYOUTS[layout](buffer, opaque)[...] = np.void(b"\xff" * opaque.itemsize)
    return buffer == 0


def test_norm_has_the_bits_of_the_contiguous_array(view, contiguous):
    norm = gradclip.global_norm(view)
    assert norm == gradclip.global_norm(contiguous)
    oracle.assert_norm_is_right(norm, view)
    assert gradclip.array_norms([view]).tolist() == [norm]


def test_norms_in_other_orders_have_the_bits_of_the_contiguous_array(view, contiguous):
    for order in (1, math.inf, 3):
        norm = gradclip.global_norm(view, ord=order)
        assert norm == gradclip.global_norm(contiguous, ord=order)
        assert (norm > 0) == (view.size > 0)


def test_clip_writes_the_view_and_nothing_else(view, contiguous, buffer, outside):
    before = buffer.copy()
    norm = gradclip.clip_by_global_norm_(view, 0.1)
    assert norm == gradclip.clip_by_global_norm_(contiguous, 0.1)
    assert same_bits(in_address_order(view), contiguous)
    assert same_bits(buffer[outside], before[outside])


def test_clip_with_norm_writes_the_view_and_nothing_else(view, contiguous, buffer, outside):
    before = buffer.copy()
    gradclip.clip_with_norm_(view, 0.1, 7.0)
    gradclip.clip_with_norm_(contiguous, 0.1, 7.0)
    assert same_bits(in_address_order(view), contiguous)
    assert same_bits(buffer[outside], before[outside])


def test_scale_writes_the_view_and_nothing_else(view, contiguous, buffer, outside):
    before = buffer.copy()
    gradclip.scale_(view, -0.3)
    assert same_bits(in_address_order(view), times(contiguous, -0.3))
    assert same_bits(buffer[outside], before[outside])


def test_a_zero_threshold_clears_the_view_and_nothing_else(view, buffer, outside):
    before = buffer.copy()
    gradclip.clip_by_global_norm_([view, np.ones(3)], 0.0)
    assert in_address_order(view).tobytes() == bytes(view.nbytes)
    assert same_bits(buffer[outside], before[outside])


def test_loose_clip_writes_nothing(view, buffer):
    before = buffer.copy()
    gradclip.clip_by_global_norm_(view, 1e9)
    assert same_bits(buffer, before)


def test_functional_clip_gives_the_same_values_and_writes_nothing(view, buffer):
    before = buffer.copy()
    clipped, _ = gradclip.clip_by_global_norm(view, 0.1)
    assert same_bits(buffer, before)
    gradclip.clip_by_global_norm_(view, 0.1)
    assert same_bits(clipped, view)
