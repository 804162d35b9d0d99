"""The norm of each array."""

import math

import numpy as np
import oracle
import pytest
from buffers import unchanged
from dtypes import ALL, normals

import gradclip

pytestmark = pytest.mark.usefixtures("isa")


def test_one_float64_per_array_in_traversal_order(rng):
    grads = {"a": [normals(rng, 700 + i, dtype) for i, dtype in enumerate(ALL)], "b": np.ones(4)}
    norms = gradclip.array_norms(grads)
    assert type(norms) is np.ndarray
    assert norms.dtype == np.float64
    assert norms.shape == (len(ALL) + 1,)
    for norm, array in zip(norms.tolist(), [*grads["a"], grads["b"]], strict=True):
        oracle.assert_norm_is_right(norm, array)


@pytest.mark.parametrize("order", [1, 2, 3, math.inf])
def test_each_norm_has_the_bits_of_the_global_norm_of_that_array(order, any_dtype, rng):
    arrays = [normals(rng, size, any_dtype) for size in (1, 33, 16385, 100_000)]
    norms = gradclip.array_norms(arrays, ord=order).tolist()
    assert norms == [gradclip.global_norm(array, ord=order) for array in arrays]


@pytest.mark.parametrize("order", [1, 2, 3, math.inf])
def test_norms_of_mixed_lists_do_not_depend_on_the_neighbours(order, rng):
    arrays = [normals(rng, 1000 + 31 * i, dtype) for i, dtype in enumerate([*ALL, *ALL[::-1]])]
    norms = gradclip.array_norms(arrays, ord=order).tolist()
    assert norms == [gradclip.global_norm(array, ord=order) for array in arrays]


def test_none_leaves_are_skipped():
    assert gradclip.array_norms([None, np.ones(4), None]).tolist() == [2.0]


def test_no_arrays_give_an_empty_array():
    for empty in ([], (), {}, [None], [[], {"a": ()}]):
        norms = gradclip.array_norms(empty)
        assert norms.shape == (0,)
        assert norms.dtype == np.float64


@pytest.mark.parametrize("order", [0.5, 1, 2, 3, math.inf])
def test_empty_array_has_norm_zero(order, any_dtype):
    empties = [np.empty(0, any_dtype), np.empty((3, 0, 2), any_dtype)]
    assert gradclip.array_norms(empties, ord=order).tolist() == [0.0, 0.0]


def test_a_lone_array_gives_one_norm():
    assert gradclip.array_norms(np.full(4, 3.0)).tolist() == [6.0]


@pytest.mark.parametrize("order", [0.5, 1, 2, 3, math.inf])
def test_non_finite_values_never_raise(order, any_dtype):
    values = [1, np.nan, np.inf], [2.0], [np.inf, 1], [-np.inf]
    norms = gradclip.array_norms([np.array(v, any_dtype) for v in values], ord=order).tolist()
    assert math.isnan(norms[0])
    assert norms[1:] == [2.0, math.inf, math.inf]


def test_norms_past_the_range_are_inf():
    assert gradclip.array_norms([np.full(4, 1e308), np.ones(1)]).tolist() == [math.inf, 1.0]


def test_extreme_magnitudes_do_not_leak_into_other_arrays():
    values = [1e-300, 1e300, 1.0, 5e-324, 0.0, 1e200]
    arrays = [np.array([value]) for value in values]
    assert gradclip.array_norms(arrays).tolist() == values


def test_the_result_belongs_to_the_caller():
    arrays = [np.ones(4)]
    first = gradclip.array_norms(arrays)
    first[0] = -1.0
    assert gradclip.array_norms(arrays).tolist() == [2.0]


def test_reading_writes_nothing(rng):
    arrays = [rng.standard_normal(100), np.array([-0.0, np.nan])]
    with unchanged(*arrays):
        gradclip.array_norms(arrays)
        gradclip.global_norm(arrays)
