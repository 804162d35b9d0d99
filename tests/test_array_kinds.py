"""Arrays that are more than a plain ndarray, or that live in special memory."""

import mmap

import numpy as np
import oracle
import pytest

import gradclip


def test_parts_of_complex_arrays(rng):
    z = rng.standard_normal(1000) + 1j * rng.standard_normal(1000)
    real, imaginary = z.real.copy(), z.imag.copy()
    assert gradclip.clip_by_global_norm_(z.real, 0.5) == gradclip.global_norm(real)
    oracle.assert_norm_is_bounded([z.real], 0.5)
    oracle.assert_norm_is_tight([z.real], 0.5)
    np.testing.assert_array_equal(z.imag, imaginary)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_matrix_is_clipped_in_place(any_dtype):
    matrix = np.matrix([[3, 4], [0, 0]], any_dtype)
    assert gradclip.global_norm(matrix) == 5.0
    assert gradclip.clip_by_global_norm_({"m": matrix}, 2.5) == 5.0
    oracle.assert_norm_is_tight([np.asarray(matrix)], 2.5)


def test_memory_mapped_file_is_clipped_in_place(tmp_path, any_dtype):
    path = tmp_path / "gradient"
    np.full(1000, 2.0, any_dtype).tofile(path)
    array = np.memmap(path, any_dtype, "r+")
    gradclip.clip_by_global_norm_([array], 1.0)
    array.flush()
    oracle.assert_norm_is_tight([np.fromfile(path, any_dtype)], 1.0)


def test_array_over_foreign_memory_is_clipped_in_place(any_dtype):
    with mmap.mmap(-1, 8000) as memory:
        array = np.frombuffer(memory, any_dtype)
        array[:] = 2.0
        gradclip.clip_by_global_norm_(array, 1.0)
        oracle.assert_norm_is_tight([np.frombuffer(bytes(memory[:]), any_dtype)], 1.0)
        del array


def test_subclass_with_its_own_arithmetic_is_read_as_memory():
    class Doubled(np.ndarray):
        def __mul__(self, other):
            raise AssertionError("arithmetic of the subclass was used")

        __rmul__ = __imul__ = __array_ufunc__ = __array_function__ = __mul__

    array = np.full(4, 2.0).view(Doubled)
    assert gradclip.global_norm([array]) == 4.0
    gradclip.clip_by_global_norm_([array], 1.0)
    gradclip.scale_([array], 0.5)
    np.testing.assert_allclose(array.view(np.ndarray), 0.25, rtol=1e-15)


def test_arrays_of_64_dimensions(any_dtype):
    array = np.full((1,) * 62 + (2, 2), 2.0, any_dtype)
    assert gradclip.clip_by_global_norm_(array.T, 1.0) == 4.0
    oracle.assert_norm_is_tight([array], 1.0)


def test_arrays_that_are_read_only_can_be_read(any_dtype):
    array = np.full(4, 2.0, any_dtype)
    array.flags.writeable = False
    assert gradclip.global_norm(array) == 4.0
    assert gradclip.array_norms([array]).tolist() == [4.0]
    (clipped,), norm = gradclip.clip_by_global_norm([array], 1.0)
    assert norm == 4.0
    assert clipped.flags.writeable
