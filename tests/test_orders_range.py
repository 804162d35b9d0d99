"""Norms in orders other than 2 at the ends of the range: of values, of sums and of orders."""

import math
from fractions import Fraction

import numpy as np
import oracle
import powers
import pytest
from dtypes import finfo, normals, real_dtype, reals
from test_orders import assert_sum_is_right

import gradclip

pytestmark = pytest.mark.usefixtures("isa")


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 3, 100, 1e300, math.inf])
@pytest.mark.parametrize(
    "values",
    [
        [1e307] * 3,
        [5e-324] * 3,
        [3e-310, 4e-310, 7.5e-311],
        [1e308, 1e-308],
        [1e200, -1e200, 1e-200],
        [2.0**-600, 2.0**-440, 2.0**-441, 2.0**-1000],
        [2.0**480, math.nextafter(2.0**480, math.inf), 1.0],
    ],
    ids=repr,
)
def test_magnitudes_of_every_kind_together_and_apart(values, p):
    array = np.array(values)
    if powers.norm([array], p) <= np.finfo("f8").max:
        powers.assert_norm_is_right(gradclip.global_norm(array, ord=p), p, array)
        apart = list(array[:, None])
        powers.assert_norm_is_right(gradclip.global_norm(apart, ord=p), p, *apart)
        powers.assert_norm_is_right(gradclip.global_norm(apart[::-1], ord=p), p, *apart)
    else:
        assert gradclip.global_norm(array, ord=p) == math.inf


@pytest.mark.parametrize("p", [0.004, 0.01, 0.02])
@pytest.mark.parametrize("values", [[1e300, 1e-300], [1e308, 1.0, 5e-324], [1e-250, 1e250]])
def test_small_orders_hear_the_quietest_value(values, p):
    array = np.array(values)
    exact = powers.norm([array], p)
    for grads in (array, list(array[:, None])):
        norm = gradclip.global_norm(grads, ord=p)
        if exact > np.finfo("f8").max:
            assert norm == math.inf
        else:
            powers.assert_norm_is_right(norm, p, array)


@pytest.mark.parametrize("exponents", [[0, 700, -700, -1050, 300], [-440, -600, -1000], [900, 0]])
@pytest.mark.parametrize("kind", ["f8", "c16"])
def test_orders_one_and_inf_of_blocks_of_different_magnitude(exponents, kind, rng):
    for order in (exponents, exponents[::-1]):
        blocks = [np.ldexp(rng.uniform(1, 2, 16384), exponent) for exponent in order]
        joined = np.concatenate(blocks)
        if kind == "f8":
            assert_sum_is_right(gradclip.global_norm(joined, ord=1), joined)
            assert_sum_is_right(gradclip.global_norm(blocks, ord=1), joined)
        else:  # moduli of numbers on an axis are their magnitudes
            joined = np.where(np.arange(joined.size) % 2, joined * 1j, joined + 0j)
            norm, exact = (
                Fraction(gradclip.global_norm(joined, ord=1)),
                oracle.magnitude_sum(joined),
            )
            assert abs(norm - exact) <= exact / 2**51
        assert gradclip.global_norm(joined, ord=math.inf) == float(np.abs(reals(joined)).max())


@pytest.mark.parametrize("p", [1, 3, 1000, math.inf])
def test_norms_at_the_limits_of_each_dtype(p, any_dtype):
    limits = finfo(any_dtype)
    for value in (limits.max, limits.smallest_subnormal, limits.smallest_normal):
        array = np.full(11, value, real_dtype(any_dtype)).astype(any_dtype)
        if powers.norm([array], p) <= np.finfo("f8").max:
            powers.assert_norm_is_right(gradclip.global_norm(array, ord=p), p, array)
        else:
            assert gradclip.global_norm(array, ord=p) == math.inf


@pytest.mark.parametrize("p", [5e-324, 1e-310, 1e-300, 1e-3])
def test_tiny_orders(p):
    assert gradclip.global_norm(np.array([0.0, -7.0, 0.0]), ord=p) == 7.0
    assert gradclip.global_norm(np.array([0.0, 5 - 12j]), ord=p) == 13.0
    assert gradclip.global_norm(np.zeros(5), ord=p) == 0.0
    truth = math.inf if p < 1e-3 else 2.0**1000
    assert gradclip.global_norm([np.ones(1), np.ones(1)], ord=p) == pytest.approx(truth, 2.0**-38)


@pytest.mark.parametrize("p", [1e3, 1e12, 1e18, 1e19, 1e25, 1e300])
def test_huge_orders(p, any_dtype, rng):
    for size in (1, 2, 40):
        for _ in range(10):
            values = normals(rng, size, any_dtype)
            powers.assert_norm_is_right(gradclip.global_norm(values, ord=p), p, values)
