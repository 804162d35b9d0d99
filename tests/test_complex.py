"""complex64 and complex128: order 2 is about the pairs of reals, other orders about moduli."""

import math
from fractions import Fraction

import numpy as np
import oracle
import powers
import pytest
from buffers import misaligned, same_bits, unchanged
from dtypes import normals, real_dtype

import gradclip

pytestmark = pytest.mark.usefixtures("isa")

SIZES = [0, 1, 2, 15, 16, 17, 8191, 8192, 8193, 40_000]  # around 32 lanes and blocks of reals
LARGEST = np.finfo("f8").max


@pytest.fixture(params=["c8", "c16"])
def dtype(request):
    return np.dtype(request.param)


@pytest.mark.parametrize("offset", [0, 1, 4])
@pytest.mark.parametrize("size", SIZES)
def test_order_two_has_the_bits_of_the_pairs_of_reals(size, offset, dtype, rng):
    z = misaligned(normals(rng, size, dtype), offset)
    pairs = z.view(real_dtype(dtype)).copy()
    norm = gradclip.clip_by_global_norm_(z, 0.25)
    assert norm == gradclip.clip_by_global_norm_(pairs, 0.25)
    assert same_bits(z.view(real_dtype(dtype)), pairs)


@pytest.mark.parametrize("size", [0, 1, 2, 15, 16, 17, 1000])
@pytest.mark.parametrize("order", [0.5, 1, 1.5, 3, 20])
def test_other_orders_are_those_of_the_moduli(size, order, dtype, rng):
    z = normals(rng, size, dtype)
    powers.assert_norm_is_right(gradclip.global_norm(z, ord=order), order, z)


@pytest.mark.parametrize("size", SIZES[1:])
def test_order_inf_is_the_largest_modulus(size, dtype, rng):
    z = normals(rng, size, dtype)
    for position in {0, size // 2, size - 1}:
        w = z.copy()
        w[position] = 30 - 41j
        norm = Fraction(gradclip.global_norm(w, ord=math.inf))
        squares = Fraction(30**2 + 41**2)
        assert oracle.is_within(norm, squares, Fraction(powers.error(math.inf, w)))


@pytest.mark.parametrize("order", [1, math.inf])
@pytest.mark.parametrize("size", SIZES[1:])
def test_integral_moduli_are_exact(size, order, dtype):
    z = np.resize(np.array([3 + 4j, -4 + 3j, -5j, 5], dtype), size)
    assert gradclip.global_norm(z, ord=order) == (5 if order == math.inf else 5 * size)


def test_order_one_of_many_moduli_loses_no_digits(dtype):
    z = np.full(1_000_003, 1 + 1j, dtype)
    norm = Fraction(gradclip.global_norm(z, ord=1))
    assert oracle.is_within(norm, Fraction(2 * z.size**2), Fraction(powers.error(1, z)))


@pytest.mark.parametrize("order", [0.5, 1, 2, 3, math.inf])
@pytest.mark.parametrize(
    "values",
    [
        [LARGEST / 2 * (1 + 1j)],
        [LARGEST / 64 * (1 - 1j)] * 5,
        [1e200 + 1e-200j, 1e-200 + 1e200j],
        [5e-324 + 5e-324j],
        [5e-324j] * 33,
        [3e-310 - 4e-310j, 1e-320],
        [1e-170 * (3 + 4j), 1e-180j],
        [1e160 + 1e150j, 1, 1e-300j],
        [LARGEST, 1j],
    ],
    ids=repr,
)
def test_moduli_over_or_under_the_range_of_squares(values, order):
    z = np.array(values)
    powers.assert_norm_is_right(gradclip.global_norm(z, ord=order), order, z)
    apart = [z[i : i + 1] for i in range(z.size)]
    powers.assert_norm_is_right(gradclip.global_norm(apart, ord=order), order, *apart)


@pytest.mark.parametrize("order", [0.5, 1, 2, 3, math.inf])
def test_limits_of_complex64(order):
    limits = np.finfo("c8")
    for value in (limits.max * (1 + 1j), limits.smallest_subnormal * (1 - 1j)):
        z = np.full(20, value, "c8")
        powers.assert_norm_is_right(gradclip.global_norm(z, ord=order), order, z)


@pytest.mark.parametrize("order", [0.5, 1, 2, 3, math.inf])
def test_a_modulus_past_the_range_is_an_infinite_norm(order):
    z = np.array([1, LARGEST * (0.9 + 0.9j)])
    assert gradclip.global_norm(z, ord=order) == math.inf
    with unchanged(z), pytest.raises(gradclip.NonFiniteNormError, match="too large") as error:
        gradclip.clip_by_global_norm_(z, 1.0, ord=order)
    assert error.value.path is None


@pytest.mark.parametrize("order", [0.5, 1, 2, 3, math.inf])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 8193])
def test_a_bad_part_decides_the_norm_and_nan_beats_inf(size, order, dtype):
    parts = real_dtype(dtype)
    for position in {0, 1, size, 2 * size - 2, 2 * size - 1}:
        for bad in (math.nan, math.inf, -math.inf):
            z = np.ones(size, dtype)
            z.view(parts)[position] = bad
            norm = gradclip.global_norm(z, ord=order)
            assert math.isnan(norm) if math.isnan(bad) else norm == math.inf
            z.view(parts)[position ^ 1] = math.nan  # in one number: C's hypot says inf
            assert math.isnan(gradclip.global_norm(z, ord=order))


def test_propagate_is_about_parts(dtype):
    z = np.array([1 - 1j, complex(1, math.inf), complex(-math.inf, 2)], dtype)
    gradclip.clip_by_global_norm_(z, 1.0, nonfinite="propagate")
    zero, nan = [False, False], [False, True]
    assert np.isnan(z.view(real_dtype(dtype))).tolist() == [*zero, *nan, *nan[::-1]]
    assert np.nansum(np.abs(z.view(real_dtype(dtype)))) == 0


def test_parts_in_one_list_are_clipped_like_the_whole(dtype, rng):
    z = normals(rng, 5000, dtype)
    alike = z.copy()
    norm = gradclip.clip_by_global_norm_([z.real, z.imag], 0.25)
    oracle.assert_norm_is_right(norm, alike)
    gradclip.clip_with_norm_(alike, 0.25, norm)
    assert same_bits(z, alike)


def test_columns_are_clipped_and_others_stay(dtype, rng):
    z = normals(rng, (300, 7), dtype)
    before = z.copy()
    gradclip.clip_by_global_norm_([z[:, 1], z[:, 4:6]], 0.25)
    oracle.assert_norm_is_bounded([z[:, [1, 4, 5]]], 0.25)
    oracle.assert_norm_is_tight([z[:, [1, 4, 5]]], 0.25)
    assert same_bits(z[:, [0, 2, 3, 6]], before[:, [0, 2, 3, 6]])
