"""Two views at every distance in bytes: refused if they share one, else scaled like copies."""

import itertools

import numpy as np
import pytest
from buffers import same_bits
from dtypes import ALL, normals

import gradclip

COUNT = 5


def views(memory, dtype, strides, offset):
    """Return two views of COUNT elements, the second `offset` bytes from the middle on."""
    starts = (0, 0) if offset is None else (memory.size // 2, memory.size // 2 + offset)
    return [
        np.ndarray(COUNT, dtype, memory, start, step)
        for start, step in zip(starts, strides, strict=True)
    ]


def bytes_of(start, dtype, step):
    return {start + i * step + b for i in range(COUNT) for b in range(dtype.itemsize)}


def pairs(dtype):
    """Yield strides and offsets, from well apart on one side to well apart on the other."""
    size = dtype.itemsize
    for strides in itertools.product((size, -size, 2 * size, 3 * size, -4 * size), repeat=2):
        reach = COUNT * max(map(abs, strides)) + 3
        yield from ((strides, offset) for offset in range(-reach, reach + 1))


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_two_views_at_every_distance(dtype, rng, record_property):
    values = [normals(rng, COUNT, dtype) for _ in range(2)]
    scaled = [value.copy() for value in values]
    gradclip.scale_(scaled, 0.3)
    memory = np.zeros(64 * dtype.itemsize * 2, np.uint8)
    cases = [0, 0]
    for strides, offset in pairs(dtype):
        shared = bytes_of(0, dtype, strides[0]) & bytes_of(offset, dtype, strides[1])
        memory[:] = 0xA5
        grads = views(memory, dtype, strides, offset)
        for view, value in zip(grads, values, strict=True):
            view[:] = value
        before = memory.copy()
        cases[not shared] += 1
        if shared:
            with pytest.raises(ValueError, match=r"grads\[0\] and grads\[1\] share memory"):
                gradclip.scale_(grads, 0.3)
        else:
            gradclip.scale_(grads, 0.3)
            assert all(map(same_bits, grads, scaled)), (strides, offset)
            for view, value in zip(grads, values, strict=True):
                view[:] = value
        assert same_bits(memory, before), (strides, offset)
    assert min(cases) > 500
    record_property("cases", sum(cases))


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_one_view_with_every_pair_of_strides(dtype, rng, record_property):
    shape, size = (3, 4), dtype.itemsize
    value = normals(rng, shape, dtype)
    scaled = value.copy()
    gradclip.scale_(scaled, 0.3)
    memory = np.zeros(400 * size, np.uint8)
    steps = range(-5 * size, 5 * size + 1, 1 if size < 8 else size // 4)
    cases = [0, 0]
    for strides in itertools.product(steps, repeat=2):
        memory[:] = 0xA5
        view = np.ndarray(shape, dtype, memory, memory.size // 2, strides)
        starts = sorted(i * strides[0] + j * strides[1] for i in range(3) for j in range(4))
        overlaps = any(b - a < size for a, b in itertools.pairwise(starts))
        cases[not overlaps] += 1
        if overlaps:
            before = memory.copy()
            with pytest.raises(ValueError, match="grads overlaps itself"):
                gradclip.scale_(view, 0.3)
            assert same_bits(memory, before)
        else:
            view[...] = value
            gradclip.scale_(view, 0.3)
            assert same_bits(view, scaled)
            view.view((np.void, size))[...] = np.void(b"\xa5" * size)
            assert (memory == 0xA5).all()
    assert min(cases) > 40
    record_property("cases", sum(cases))
