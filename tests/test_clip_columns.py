"""Rows and columns of all kinds, side by side or with gaps, each clipped as if it were alone."""

import numpy as np
import pytest
from buffers import same_bits
from dtypes import finfo, normals
from numpy.lib.stride_tricks import sliding_window_view

import gradclip


@pytest.mark.parametrize("policy", ["skip", "zero", "propagate"])
@pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
def test_columns_side_by_side_that_want_different_things(any_dtype, policy, far, isa, rng):
    """Some are kept, some clipped, far below in two steps; some hold NaN, signalling ones too."""
    info = finfo(any_dtype)
    columns = normals(rng, (70, 300), any_dtype)
    columns[::4] *= info.dtype.type(info.tiny)
    columns[1::4] *= info.dtype.type(info.max / 2**6)
    bits = columns[2::8].view(f"u{info.dtype.itemsize}")
    bits[:, ::7] = info.dtype.type(np.inf).view(bits.dtype) + 1
    max_norm = 2 * float(info.tiny) if far else 10.0
    grad = np.ascontiguousarray(columns.T)
    for thresholds in (max_norm, 10.0):
        before = grad.copy()
        gradclip.clip_by_norm_(grad, thresholds, axis=0, nonfinite=policy)
        for column, alone in zip(grad.T, before.T.copy(), strict=True):
            gradclip.clip_by_global_norm_(alone, thresholds, nonfinite=policy)
            assert column.tobytes() == alone.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_that_are_all_clipped_in_two_steps(dtype, isa, rng):
    info = np.finfo(dtype)
    grad = rng.uniform(1, 2, (8, 40)).astype(dtype) * info.dtype.type(info.max / 2**6)
    alone = grad.T.copy()
    gradclip.clip_by_norm_(grad, 2 * float(info.tiny), axis=0)
    for column in alone:
        gradclip.clip_by_global_norm_(column, 2 * float(info.tiny))
    assert same_bits(grad, alone.T)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_kept_columns_far_from_the_first_keep_signalling_nans(dtype, isa):
    grad = np.full((4, 2000), 3, dtype)
    bits = grad.view(f"u{grad.itemsize}")
    bits[2, 550:560] = np.array(np.inf, dtype).view(bits.dtype) + 1
    before = grad[:, 550:560].tobytes()
    gradclip.clip_by_norm_(grad, 1.0, axis=0, nonfinite="skip")
    assert grad[:, 550:560].tobytes() == before
    assert (np.delete(grad, np.s_[550:560], axis=1) < 1).all()


def test_two_columns_with_one_between_them(any_dtype, isa):
    grad = np.full((5, 3), 3, any_dtype)
    gradclip.clip_by_norm_(grad[:, ::2], 1.0, axis=0)
    assert (grad[:, 1] == 3).all()
    assert (abs(grad[:, ::2]) < 0.5).all()


def test_columns_of_windows_are_copied_to_where_they_belong(any_dtype, isa, rng):
    windows = sliding_window_view(normals(rng, (4, 512), any_dtype), 3, axis=0)
    clipped, _ = gradclip.clip_by_norm(windows, 1.0, axis=2)
    expected, _ = gradclip.clip_by_norm(windows.copy(), 1.0, axis=2)
    assert same_bits(clipped, expected)


def test_rows_of_one_number_keep_what_lies_between_them(any_dtype, isa):
    records = np.zeros((9, 1), [("tag", "i1"), ("grad", any_dtype)])
    records["grad"] = 3
    gradclip.clip_by_norm_(records["grad"], 1.0, axis=1)
    assert (records["tag"] == 0).all()
    assert (abs(records["grad"] - 1) < 0.01).all()


def test_many_short_rows_with_gaps(any_dtype, isa, rng):
    values = normals(rng, (2000, 140), any_dtype)[:, ::2]
    alone = values.copy()
    gradclip.clip_by_norm_(alone, 1.0, axis=1)
    gradclip.clip_by_norm_(values, 1.0, axis=1)
    assert same_bits(values, alone)


def test_two_long_rows(any_dtype, isa, rng):
    values = normals(rng, (2, 20_000), any_dtype)
    alone = values.copy()
    norms = [gradclip.clip_by_global_norm_(row, 1.0) for row in alone]
    (result,) = gradclip.clip_by_norm_(values, 1.0, axis=1)
    assert result.tolist() == norms
    assert same_bits(values, alone)
