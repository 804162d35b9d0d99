"""Clips in orders other than 2: close to the threshold, and not clipped a second time."""

import math

import numpy as np
import powers
import pytest
from buffers import same_bits, unchanged
from dtypes import EXACT, finfo, normals, reals
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import gradients, thresholds

import gradclip

pytestmark = pytest.mark.usefixtures("isa")

ORDERS = [0.1, 0.5, 1, 1.5, 2, 3, 10, 1000, math.inf]


def clip_twice(grads, max_norm, p, **options):
    """Clip, and assert that a second clip in the same order writes nothing; return the norm."""
    before = [reals(array) for array in grads]
    norm = gradclip.clip_by_global_norm_(grads, max_norm, ord=p, **options)
    for new, old in zip(grads, before, strict=True):
        assert (np.abs(reals(new)) <= np.abs(old)).all()
    with unchanged(*grads):
        assert gradclip.clip_by_global_norm_(grads, max_norm, ord=p) <= max_norm
    return norm


@given(gradients(), st.sampled_from(ORDERS) | st.floats(0.05, 100), st.data())
def test_any_gradients_any_threshold(grads, p, data):
    norm = gradclip.global_norm(grads, ord=p)
    assume(0 < norm < math.inf)
    clip_twice(grads, data.draw(thresholds(norm)), p)


@pytest.mark.parametrize("p", ORDERS)
@pytest.mark.parametrize("dtype", EXACT, ids=str)
def test_a_threshold_just_below_the_norm(p, dtype, rng):
    for count in (1, 2, 7, 300, 20_000):
        values = normals(rng, count, dtype)
        norm = gradclip.global_norm(values, ord=p)
        max_norm = norm
        for _ in range(5):
            max_norm = math.nextafter(max_norm, 0.0)
            clip_twice([values.copy()], max_norm, p)
        for step in range(1, 60, 3):
            clip_twice([values.copy()], norm * (1 - 2.0**-step), p)


@pytest.mark.parametrize("p", ORDERS)
def test_equal_elements(p, rng):
    for count in (1, 2, 3, 1000):
        for value in rng.uniform(0.1, 10, 20):
            grads = [np.full(count, value, dtype) for dtype in ("f4", "f8")]
            for max_norm in (1.0, 0.1, math.pi / 100):
                clip_twice([array.copy() for array in grads], max_norm, p)
                clip_twice([grads[1].copy()], max_norm, p)


@pytest.mark.parametrize("p", ORDERS)
def test_the_norm_comes_close_to_the_threshold(p, any_dtype, rng):
    grads = [normals(rng, size, any_dtype) for size in (3, 50, 150)]
    max_norm = gradclip.global_norm(grads, ord=p) / 3
    gradclip.clip_by_global_norm_(grads, max_norm, ord=p)
    exact = powers.norm(grads, p)
    error = 4 * float(finfo(any_dtype).eps) + 2.0**-41 * max(1, 1 / p)
    assert abs(exact - max_norm) <= error * max_norm


@pytest.mark.parametrize("p", [5e-324, 1e-300, 1e-6, 0.001, 1e18, 1e300])
def test_one_number_is_clipped_to_the_threshold_in_any_order(p, any_dtype):
    grads = [np.zeros(3, any_dtype), np.array([-6.0], any_dtype)]
    assert gradclip.clip_by_global_norm_(grads, 0.75, ord=p) == 6.0
    error = 4 * float(finfo(any_dtype).eps) + 2.0**-35
    np.testing.assert_allclose(reals(grads[1])[0], -0.75, rtol=error)


@pytest.mark.parametrize("p", [1, 3, math.inf])
@pytest.mark.parametrize("dtype", EXACT, ids=str)
def test_the_true_norm_is_not_above_the_threshold_either(p, dtype, rng):
    for _ in range(5):
        grads = [normals(rng, size, dtype) for size in (3, 50)]
        max_norm = float(rng.uniform(0.1, 1))
        gradclip.clip_by_global_norm_(grads, max_norm, ord=p)
        powers.assert_norm_is_at_most(grads, max_norm, p)


@pytest.mark.parametrize("p", ORDERS)
@pytest.mark.parametrize(
    "options", [{"eps": 0.5}, {"inv_scale": 1 / 3}, {"inv_scale": 8.0}], ids=str
)
def test_options(p, options, any_dtype, rng):
    grads = [normals(rng, size, any_dtype) for size in (3, 50, 150)]
    before = [reals(array) for array in grads]
    inv_scale, eps = options.get("inv_scale", 1.0), options.get("eps", 0.0)
    plain = gradclip.global_norm(grads, ord=p) * inv_scale
    max_norm = plain / 5
    norm = gradclip.clip_by_global_norm_(grads, max_norm, ord=p, **options)
    assert norm == pytest.approx(plain, rel=2.0**-51)
    factor = inv_scale * max_norm / (norm + eps)
    error = 4 * float(finfo(any_dtype).eps) + 2.0**-41 * max(1, 1 / p)
    for new, old in zip(grads, before, strict=True):
        least = float(finfo(any_dtype).smallest_subnormal)
        np.testing.assert_allclose(reals(new), old * factor, error, least)


@pytest.mark.parametrize("p", [0.5, 1, 3, math.inf])
def test_functional_clip_gives_the_bits_of_the_one_in_place(p, any_dtype, rng):
    grads = [normals(rng, size, any_dtype)[::-1] for size in (3, 50, 20_000)]
    with unchanged(*grads):
        clipped, norm = gradclip.clip_by_global_norm(grads, 0.5, ord=p)
    assert gradclip.clip_by_global_norm_(grads, 0.5, ord=p) == norm
    assert all(map(same_bits, clipped, grads))


@pytest.mark.parametrize("p", [0.5, 1, 3, math.inf])
def test_a_callable_gets_the_norm_in_that_order(p, any_dtype, rng):
    grads = [normals(rng, size, any_dtype) for size in (3, 50)]
    norms = []
    returned = gradclip.clip_by_global_norm_(grads, lambda norm: norms.append(norm) or norm, ord=p)
    assert norms == [returned] == [gradclip.global_norm(grads, ord=p)]
