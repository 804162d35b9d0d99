"""NaN, infinity and overflow: raise, skip, zero or propagate."""

import math

import numpy as np
import pytest
from buffers import same_bits, unchanged
from dtypes import finfo, normals, reals

import gradclip

pytestmark = pytest.mark.usefixtures("isa")

BAD = [math.nan, math.inf, -math.inf]
ORDERS = [0.5, 1, 2, 3, math.inf]
SIZES = [1, 5, 32, 33, 16385, 40_000]


def with_value(value, size, position, dtype):
    array = np.ones(size, dtype)
    array[position] = value
    return array


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("size", SIZES)
def test_one_bad_value_at_any_position_decides_the_norm(bad, size, any_dtype):
    for position in {0, size - 1, size // 2, size // 3, min(size - 1, 16384), min(size - 1, 31)}:
        array = with_value(bad, size, position, any_dtype)
        for order in ORDERS:
            norm = gradclip.global_norm(array, ord=order)
            assert math.isnan(norm) if math.isnan(bad) else norm == math.inf


@pytest.mark.parametrize("bad", BAD)
def test_one_bad_value_in_a_strided_view_is_found(bad, any_dtype):
    for position in (0, 31, 32, 16383, 16384, 29_999):
        view = np.ones((30_000, 3), any_dtype)[::-1, 1]
        view[position] = bad
        with pytest.raises(gradclip.NonFiniteNormError) as error:
            gradclip.clip_by_global_norm_({"w": view}, 1.0)
        assert error.value.path == "grads['w']"


@pytest.mark.parametrize("size", SIZES[1:])
def test_nan_beats_infinity_at_any_position(size, any_dtype, rng):
    for _ in range(10):
        nan, inf, other = rng.choice(size, 3, replace=False)
        array = with_value(math.nan, size, nan, any_dtype)
        array[inf], array[other] = math.inf, -math.inf
        apart = [np.full(3, math.inf), array[[nan]], array[[inf]]]
        for grads in (array, apart, apart[::-1]):
            assert all(math.isnan(gradclip.global_norm(grads, ord=order)) for order in ORDERS)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["f8", "c16"])
def test_nan_beats_overflow_and_extreme_values(kind, order):
    for values in ([1e308] * 8 + [math.nan], [math.nan, 1e308, 1e308], [5e-324, math.nan]):
        assert math.isnan(gradclip.global_norm(np.array(values, kind), ord=order))
        apart = [np.array([value], kind) for value in values]
        assert math.isnan(gradclip.global_norm(apart, ord=order))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["f8", "c16"])
def test_infinity_beats_extreme_values(kind, order):
    for values in ([5e-324, math.inf], [-math.inf, 1e300], [0.0, math.inf]):
        assert gradclip.global_norm(np.array(values, kind), ord=order) == math.inf
        apart = [np.array([value], kind) for value in values]
        assert gradclip.global_norm(apart, ord=order) == math.inf


@pytest.mark.parametrize("order", [1, 2, 3, math.inf])
def test_finite_values_near_the_limits_are_not_taken_for_infinite(order, any_dtype):
    largest = float(finfo(any_dtype).max)
    array = np.array([largest / 2, -largest / 4, 1], any_dtype)
    assert math.isfinite(gradclip.global_norm(array, ord=order))


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("max_norm", [0.0, 1.0, math.inf])
def test_raise_names_the_first_bad_array_and_writes_nothing(bad, max_norm, any_dtype):
    grads = {
        "good": np.ones(20_000, any_dtype),
        "enc": [np.ones(5, any_dtype), with_value(bad, 20_000, 17_000, any_dtype)],
        "later": np.full(4, math.nan, any_dtype),
    }
    arrays = [grads["good"], *grads["enc"], grads["later"]]
    with unchanged(*arrays), pytest.raises(gradclip.NonFiniteNormError) as error:
        gradclip.clip_by_global_norm_(grads, max_norm)
    assert error.value.path == "grads['enc'][1]"
    assert "grads['enc'][1]" in str(error.value)
    assert math.isnan(error.value.norm)


def test_raise_tells_the_norm():
    with pytest.raises(gradclip.NonFiniteNormError) as error:
        gradclip.clip_by_global_norm_(np.array([1.0, math.inf]), 1.0)
    assert error.value.path == "grads"
    assert error.value.norm == math.inf


def test_raise_says_that_the_norm_of_finite_values_overflows():
    grads = [np.array([1.7e308]), np.array([1.7e308])]
    with (
        unchanged(*grads),
        pytest.raises(gradclip.NonFiniteNormError, match="too large") as error,
    ):
        gradclip.clip_by_global_norm_(grads, 1.0)
    assert error.value.path is None
    assert error.value.norm == math.inf


def test_the_error_is_an_arithmetic_error():
    assert issubclass(gradclip.NonFiniteNormError, ArithmeticError)
    with pytest.raises(ArithmeticError):
        gradclip.clip_by_global_norm_(np.array([math.nan]), 1.0)


def test_raise_is_the_default_of_the_functional_clip_too():
    array = np.array([1.0, math.nan])
    with unchanged(array), pytest.raises(gradclip.NonFiniteNormError) as error:
        gradclip.clip_by_global_norm({"w": array}, 1.0)
    assert error.value.path == "grads['w']"


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("max_norm", [0.0, 1.0, math.inf])
def test_skip_writes_nothing_and_returns_the_norm(bad, max_norm, any_dtype):
    payload = np.array([0x7FC12345], np.uint32).view(np.float32).astype(any_dtype)
    grads = [np.full(9, -0.0, any_dtype), with_value(bad, 20_000, 9, any_dtype)]
    if math.isnan(bad):
        grads.append(payload)
    with unchanged(*grads):
        norm = gradclip.clip_by_global_norm_(grads, max_norm, nonfinite="skip")
    assert math.isnan(norm) if math.isnan(bad) else norm == math.inf


@pytest.mark.parametrize("bad", BAD)
def test_zero_stores_positive_zeros_and_returns_the_norm(bad, any_dtype):
    grads = [np.full(9, -1.0, any_dtype), with_value(bad, 20_000, 9, any_dtype)]
    norm = gradclip.clip_by_global_norm_(grads, 1.0, nonfinite="zero")
    assert all(array.tobytes() == bytes(array.nbytes) for array in grads)
    assert math.isnan(norm) if math.isnan(bad) else norm == math.inf


@pytest.mark.parametrize("bad", [math.inf, -math.inf])
def test_propagate_of_an_infinite_norm_clears_finite_entries(bad, any_dtype):
    grads = [np.ones(9, any_dtype), with_value(bad, 20_000, 9, any_dtype)]
    norm = gradclip.clip_by_global_norm_(grads, 1.0, nonfinite="propagate")
    assert norm == math.inf
    assert (grads[0] == 0).all()
    assert np.isnan(grads[1][9])
    assert (np.delete(grads[1], 9) == 0).all()


def test_propagate_of_a_nan_norm_makes_everything_nan(any_dtype):
    grads = [np.array([0.0, 1.0, math.inf], any_dtype), with_value(math.nan, 20_000, 9, any_dtype)]
    norm = gradclip.clip_by_global_norm_(grads, 1.0, nonfinite="propagate")
    assert math.isnan(norm)
    assert all(np.isnan(reals(array)).all() for array in grads)


@pytest.mark.parametrize(
    ("nonfinite", "left"), [("zero", 0.0), ("propagate", 0.0), ("skip", 1e308)]
)
def test_a_norm_that_overflows_is_infinite(nonfinite, left):
    array = np.full(4, 1e308)
    assert gradclip.clip_by_global_norm_(array, 1.0, nonfinite=nonfinite) == math.inf
    assert (array == left).all()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("nonfinite", ["raise", "skip", "zero", "propagate"])
def test_a_finite_norm_is_clipped_alike(nonfinite, order, any_dtype, rng):
    grads = [normals(rng, 1000, any_dtype)]
    expected = [array.copy() for array in grads]
    norm = gradclip.clip_by_global_norm_(expected, 0.5, ord=order)
    assert gradclip.clip_by_global_norm_(grads, 0.5, ord=order, nonfinite=nonfinite) == norm
    assert same_bits(grads[0], expected[0])


def test_global_norm_never_raises_on_values():
    assert math.isnan(gradclip.global_norm([np.array([math.nan])]))
    assert gradclip.global_norm([np.array([math.inf])]) == math.inf


def test_clip_with_norm_does_not_look_at_the_values():
    array = np.array([math.nan, 2.0, math.inf])
    gradclip.clip_with_norm_(array, 1.0, 2.0)
    assert math.isnan(array[0])
    np.testing.assert_allclose(array[1], 1.0, rtol=1e-15)
    assert array[2] == math.inf
