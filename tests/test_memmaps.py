"""Memory-mapped files: refused, changed on disk, or changed in memory only, as their mode says."""

import numpy as np
import pytest
from buffers import digest, same_bits
from calls import ALL_IN_PLACE, taking
from dtypes import ALL, normals

import gradclip

OFFSETS = [0, 1, 3, 8, 4095, 4097]  # in bytes: most of them are aligned to no dtype
LENGTHS = [7, 1000]  # within one page, and over several


@pytest.fixture(params=OFFSETS, ids=lambda offset: f"offset {offset}")
def offset(request):
    return request.param


@pytest.fixture
def file(tmp_path, offset, rng):
    """Return a function that writes an array into a file between other bytes, and returns both."""

    def write(dtype, length):
        path, values = tmp_path / "gradient", normals(rng, length, dtype)
        path.write_bytes(b"\xa5" * offset + values.tobytes() + b"\xa5" * 5)
        return path, values

    return write


def mapped(path, values, mode, offset):
    return np.memmap(path, values.dtype, mode, offset, values.shape)


def test_read_only_maps_are_refused_with_their_path(file, offset):
    for dtype in ALL:
        for length in LENGTHS:
            path, values = file(dtype, length)
            before = path.read_bytes()
            array = mapped(path, values, "r", offset)
            assert gradclip.global_norm([array]) == gradclip.global_norm(values)
            for call in ALL_IN_PLACE.keys() & taking(array.dtype):
                with pytest.raises(ValueError, match=r"^grads\['w'\]\[1\] .*read-only"):
                    ALL_IN_PLACE[call]({"w": [np.ones(3), array]})
            del array
            assert path.read_bytes() == before


def test_maps_of_mode_r_plus_are_changed_on_disk_and_nothing_around_them(file, offset):
    for dtype in ALL:
        for length in LENGTHS:
            path, values = file(dtype, length)
            array = mapped(path, values, "r+", offset)
            norm = gradclip.clip_by_global_norm_([array], 0.5)
            array.flush()
            del array
            assert norm == gradclip.clip_by_global_norm_([values], 0.5)
            assert path.read_bytes() == b"\xa5" * offset + values.tobytes() + b"\xa5" * 5


def test_maps_of_mode_c_are_changed_in_memory_and_not_on_disk(file, offset):
    for dtype in ALL:
        for length in LENGTHS:
            path, values = file(dtype, length)
            before = path.read_bytes()
            array = mapped(path, values, "c", offset)
            norm = gradclip.clip_by_global_norm_([array], 0.5)
            assert norm == gradclip.clip_by_global_norm_([values], 0.5)
            assert same_bits(array, values)
            array.flush()
            del array
            assert path.read_bytes() == before


def test_two_maps_of_one_file_are_two_arrays(file, offset):
    # Other addresses, so nothing tells that they share pages; each copy-on-write map has its own.
    path, values = file(np.dtype("f8"), 1000)
    maps = [mapped(path, values, "c", offset) for _ in range(2)]
    gradclip.clip_by_global_norm_(maps, 0.5)
    copies = [values.copy(), values.copy()]
    gradclip.clip_by_global_norm_(copies, 0.5)
    assert digest(*maps) == digest(*copies)
