"""Norms in orders other than 2: accuracy against exact sums and 160-bit powers."""

import functools
import math
from fractions import Fraction

import numpy as np
import oracle
import powers
import pytest
from dtypes import ALL, normals, reals
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import arrays
from test_norm_accuracy import ADVERSARIES, values_of

import gradclip

pytestmark = pytest.mark.usefixtures("isa")

SIZES = [0, 1, 31, 32, 33, 16383, 16384, 16385, 100_000]
POWERS = [0.01, 0.1, 0.5, 1.5, math.nextafter(2, 3), 3, 7.25, 100, 1e4, 1e20, 1e300]
REALS = [dtype for dtype in ALL if dtype.kind != "c"]


@pytest.fixture(params=REALS, ids=str)
def dtype(request):
    return request.param


def assert_sum_is_right(norm, *arrays):
    """Assert the accuracy that is promised for order 1."""
    exact = oracle.magnitude_sum(*arrays)
    error = Fraction(math.ulp(oracle.floor_sqrt(exact**2)))
    if oracle.is_narrow(*arrays):
        error = max(error, exact / 2**43)
    assert abs(Fraction(norm) - exact) <= error, f"norm {norm!r}, truth {float(exact)!r}"


@functools.cache
def exact_magnitudes(adversary, dtype):
    return oracle.magnitude_sum(values_of(adversary, dtype))


@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_orders_one_and_inf_of_adversarial_values(adversary, dtype):
    values, exact = values_of(adversary, dtype), exact_magnitudes(adversary, dtype)
    error = exact / 2**43 if oracle.is_narrow(values) else Fraction(math.ulp(float(exact)))
    assert abs(Fraction(gradclip.global_norm(values, ord=1)) - exact) <= error
    assert gradclip.global_norm(values, ord=math.inf) == float(np.abs(reals(values)).max())


@pytest.mark.parametrize("size", SIZES)
def test_orders_one_and_inf_at_every_length(size, dtype, rng):
    values = normals(rng, size, dtype)
    assert_sum_is_right(gradclip.global_norm(values, ord=1), values)
    most = float(np.abs(reals(values)).max(initial=0))
    assert gradclip.global_norm(values, ord=math.inf) == most


@pytest.mark.parametrize("size", SIZES[1:])
def test_the_largest_magnitude_is_found_at_any_position(size, any_dtype):
    for position in {0, 1 % size, size // 2, size // 3, size - 1}:
        values = np.full(size, -0.5, any_dtype)
        values[position] = -7
        assert gradclip.global_norm(values, ord=math.inf) == 7
        assert gradclip.global_norm(values, ord=1) == 6.5 + size / 2


@functools.cache
def root_of(size, p):
    return powers.mpf(size) ** (1 / powers.mpf(p)) if size else 0


@pytest.mark.parametrize("size", SIZES)
def test_every_element_counts_once_in_every_order(size, any_dtype):
    values = np.full(size, -2, any_dtype)
    for p in (0.5, 1, 3, 4, math.inf):
        exact = 2 * root_of(size, p)
        norm = gradclip.global_norm(values, ord=p)
        assert abs(norm - exact) <= powers.error(p, values) * exact, p


SAMPLES = {
    "normals": lambda rng: rng.standard_normal(200),
    "many magnitudes": lambda rng: np.ldexp(rng.uniform(1, 2, 200), rng.integers(-14, 15, 200)),
    "one large": lambda rng: np.append(rng.uniform(1e-3, 1e-2, 199), 1e4),
    "all equal": lambda rng: np.full(200, rng.uniform(1, 2)),
    "nearly equal": lambda rng: 1 + rng.uniform(0, 1e-3, 200),
}


@functools.cache
def sample(name, dtype):
    values = SAMPLES[name](np.random.default_rng(23))
    if dtype.kind == "c":
        values = values * np.exp(1j * np.arange(200))
    return values.astype(dtype)


@functools.cache
def exact_norm(name, dtype, p):
    return powers.norm([sample(name, dtype)], p)


@pytest.mark.parametrize("name", SAMPLES)
def test_powers(name, any_dtype):
    values = sample(name, any_dtype)
    pieces = [values[:7], values[150:], values[149:6:-1]]
    for p in POWERS:
        exact = exact_norm(name, any_dtype, p)
        for grads in (values, pieces):
            norm = gradclip.global_norm(grads, ord=p)
            assert abs(norm - exact) <= powers.error(p, values) * exact, p


ORDERS = st.sampled_from([1, math.inf, 0.5, 3]) | st.floats(0.05, 60.0)


@given(st.lists(arrays(ALL), min_size=1, max_size=3), ORDERS)
def test_anything_finite_in_any_order(grads, p):
    grads = [array[:20] for array in grads]
    exact = powers.norm(grads, p)
    assume(exact < np.finfo("f8").max * (1 - 2.0**-40))
    powers.assert_norm_is_right(gradclip.global_norm(grads, ord=p), p, *grads)
