"""Random slices and permutations of axes, against the same call on a contiguous copy."""

import numpy as np
import pytest
from buffers import in_address_order, same_bits
from dtypes import ALL, normals
from hypothesis import given
from hypothesis import strategies as st

import gradclip

pytestmark = pytest.mark.usefixtures("isa")


@st.composite
def view_makers(draw):
    """Draw a shape, and a function from an array of this shape to a view of it."""
    shape = draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    while np.prod(shape) > 60_000:
        shape.pop()
    slices = tuple(slice(None, None, draw(st.sampled_from([1, 1, 2, 3, -1, -2]))) for _ in shape)
    axes = draw(st.permutations(range(len(shape))))
    return shape, lambda array: array[slices].transpose(axes)


@given(view_makers(), st.sampled_from(ALL), st.integers(0, 2**32))
def test_views_are_read_and_written_like_contiguous_arrays(maker, dtype, seed):
    shape, view_of = maker
    array = normals(np.random.default_rng(seed), shape, dtype)
    contiguous = in_address_order(view_of(array))
    rest = array.copy()
    norm = gradclip.clip_by_global_norm_(view_of(array), 0.01)
    assert norm == gradclip.clip_by_global_norm_(contiguous, 0.01)
    assert same_bits(in_address_order(view_of(array)), contiguous)
    view_of(rest)[...] = view_of(array)
    assert same_bits(array, rest)


@given(view_makers(), view_makers(), st.sampled_from(ALL), st.integers(0, 2**32))
def test_functional_clip_of_views(maker, other_maker, dtype, seed):
    rng = np.random.default_rng(seed)
    grads = [view_of(normals(rng, shape, dtype)) for shape, view_of in (maker, other_maker)]
    clipped, norm = gradclip.clip_by_global_norm(grads, 0.5)
    assert norm == gradclip.clip_by_global_norm_(grads, 0.5)
    for new, view in zip(clipped, grads, strict=True):
        assert same_bits(new, view)
        assert new.strides == np.empty_like(view, order="K").strides
