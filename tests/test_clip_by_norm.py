"""Each array clipped by its own norm: as if alone, to an exact bound, or by its own policy."""

import itertools
import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
from buffers import digest, owner, same_bits, unchanged
from dtypes import ALL, normals
from layouts import BUFFER_SIZE, LAYOUTS

import gradclip

ORDERS = [1, 2, 3, math.inf]
POLICIES = ["skip", "zero", "propagate"]


def filled(rng, layout, dtype):
    """Return two views of equal numbers in buffers of equal bytes."""
    buffers = np.full(BUFFER_SIZE, 0xA5, np.uint8), np.full(BUFFER_SIZE, 0xA5, np.uint8)
    views = [LAYOUTS[layout](buffer, dtype) for buffer in buffers]
    views[0][...] = views[1][...] = normals(rng, views[0].shape, dtype)
    return views


def clipped_alone(grads, max_norm, **options):
    return [gradclip.clip_by_global_norm_(grad, max_norm, **options) for grad in grads]


def test_every_layout_is_clipped_as_if_alone(any_dtype, rng, record_property):
    pairs = [filled(rng, layout, any_dtype) for layout in LAYOUTS]
    grads, alone = zip(*pairs, strict=True)
    max_norm = float(np.median(gradclip.array_norms(grads)))
    norms = gradclip.clip_by_norm_(grads, max_norm)
    assert norms.tolist() == clipped_alone(alone, max_norm)
    assert 0 < (norms > max_norm).sum() < len(norms)
    assert digest(*map(owner, grads)) == digest(*map(owner, alone))
    record_property("cases", len(LAYOUTS))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("order", ORDERS)
def test_every_order_and_eps_is_that_of_a_clip_alone(any_dtype, order, rng):
    wholes = [normals(rng, size, any_dtype) for size in (2, 30, 31, 60, 100)]
    grads, alone = [w[::-2] for w in wholes], [w.copy()[::-2] for w in wholes]
    max_norm = float(np.median(gradclip.array_norms(grads, ord=order)))
    norms = gradclip.clip_by_norm_(grads, max_norm, ord=order, eps=0.25)
    assert norms.tolist() == clipped_alone(alone, max_norm, ord=order, eps=0.25)
    assert all(map(same_bits, grads, alone))


def test_all_dtypes_in_one_nesting_are_clipped_as_if_alone(num_threads, rng):
    sizes = 0, 1, 31, 16_385, 300_001
    grads = [normals(rng, size, dtype) for dtype, size in itertools.product(ALL, sizes)]
    alone = [grad.copy() for grad in grads]
    norms = gradclip.clip_by_norm_({"a": [None, *grads[:7]], "b": (grads[7:],)}, 0.7)
    assert norms.shape == (len(grads),)
    assert norms.tolist() == clipped_alone(alone, 0.7)
    assert digest(*grads) == digest(*alone)


def test_no_norm_is_above_the_threshold_beside_arrays_of_16_bits(any_dtype, rng):
    grads = [normals(rng, size, any_dtype) for size in (1, 2, 100, 5000)]
    before = [grad.copy() for grad in grads]
    norms = gradclip.clip_by_norm_([grads, normals(rng, 9, np.dtype("f2"))], 0.3)
    for grad, values, norm in zip(grads, before, norms.tolist(), strict=False):
        oracle.assert_norm_is_right(norm, values)
        oracle.assert_norm_is_bounded([grad], 0.3)
        oracle.assert_norm_is_tight([grad], 0.3 if norm > 0.3 else norm)


def test_eps_lowers_each_bound_by_its_own_norm(dtype, rng):
    grads = [normals(rng, size, dtype) * dtype.type(9) for size in (1, 30, 700)]
    norms = gradclip.clip_by_norm_(grads, 0.5, eps=0.75)
    for grad, norm in zip(grads, norms.tolist(), strict=True):
        target = Fraction(0.5) * Fraction(norm) / (Fraction(norm) + Fraction(0.75))
        error = 1 + 2 * oracle.NORM_ERROR  # of the norm that the target is taken from
        oracle.assert_norm_is_bounded([grad], target * error)
        oracle.assert_norm_is_tight([grad], target / error)


def special_arrays(dtype, rng):
    """Return arrays with a norm of NaN or inf between others."""
    grads = [normals(rng, 40, dtype) * dtype.type(0.1 if i % 2 else 10) for i in range(8)]
    for place, value in ((1, np.nan), (2, np.inf), (4, -np.inf), (5, np.nan)):
        grads[place][-place] = value
    return grads


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_is_for_the_arrays_that_are_not_finite(any_dtype, policy, rng):
    grads = special_arrays(any_dtype, rng)
    alone = [grad.copy() for grad in grads]
    norms = gradclip.clip_by_norm_(grads, 2.0, nonfinite=policy)
    assert same_bits(norms, np.array(clipped_alone(alone, 2.0, nonfinite=policy)))
    assert all(map(same_bits, grads, alone))


def test_arrays_that_are_not_finite_raise_and_nothing_is_written(any_dtype, rng):
    grads = special_arrays(any_dtype, rng)
    with unchanged(*grads), pytest.raises(gradclip.NonFiniteNormError, match="nan") as error:
        gradclip.clip_by_norm_({"w": grads[::-1]}, 2.0)
    assert error.value.path == "grads['w'][2]"
    assert math.isnan(error.value.norm)


def test_a_norm_above_float64_is_nobodys_inf():
    grads = [np.full(4, 3.0), np.full(4, 1e308), np.array([np.nan])]
    with unchanged(*grads), pytest.raises(gradclip.NonFiniteNormError) as error:
        gradclip.clip_by_norm_(grads, 1.0)
    assert "grads[1]" in str(error.value)
    assert error.value.path is None
    assert error.value.norm == math.inf


def test_arrays_within_the_threshold_keep_every_byte(any_dtype):
    payload = np.frombuffer(b"\x01\x02\xf3\x7f\xf7\xff\xf9\xff" * 4, np.uint8)[: any_dtype.itemsize]
    bad = np.ones(50, any_dtype)
    bad[7:8].view(np.uint8)[:] = payload
    bad[-1] = np.nan
    quiet = [np.full(9, -0.0, any_dtype), np.full(4, 0.5, any_dtype), bad, np.ones(0, any_dtype)]
    loud = np.full(9, 2.0, any_dtype)
    with unchanged(*quiet):
        norms = gradclip.clip_by_norm_([*quiet[:2], loud, *quiet[2:]], 1.0, nonfinite="skip")
    assert np.isnan(norms[3])
    assert norms[[0, 1, 2, 4]].tolist() == [0.0, 1.0, 6.0, 0.0]
    assert not same_bits(loud, np.full(9, 2.0, any_dtype))


def test_a_threshold_of_zero_stores_zeros_and_infinity_writes_nothing(any_dtype, rng):
    grads = [normals(rng, (3, 4), any_dtype), np.full(3, -0.0, any_dtype)]
    with unchanged(*grads):
        gradclip.clip_by_norm_(grads, math.inf)
    with unchanged(grads[1]):
        gradclip.clip_by_norm_(grads, 0.0)
    assert same_bits(grads[0], np.zeros((3, 4), any_dtype))


def test_arrays_without_elements_and_without_axes(any_dtype):
    scalar = np.array(3.0, any_dtype)
    empty = np.ones((2, 0, 3), any_dtype)
    assert gradclip.clip_by_norm_([scalar, empty], 2.0).tolist() == [3.0, 0.0]
    oracle.assert_norm_is_bounded([scalar], 2.0)
    for nothing in ([], {}, None, [None, ()]):
        assert same_bits(gradclip.clip_by_norm_(nothing, 1.0), np.zeros(0))


def test_the_functional_form_makes_what_the_other_writes(any_dtype, rng):
    for layout in LAYOUTS:
        grad, twin = filled(rng, layout, any_dtype)
        grad.flags.writeable = False
        with unchanged(grad):
            (clipped, none), norms = gradclip.clip_by_norm((grad, None), 0.3)
        assert none is None
        assert same_bits(norms, gradclip.clip_by_norm_(twin, 0.3))
        assert same_bits(clipped, twin)
        assert clipped.strides == np.empty_like(grad).strides


def test_the_functional_form_makes_new_arrays_of_what_is_not_clipped(any_dtype, rng):
    grad = normals(rng, (7, 3), any_dtype)
    for given in (grad, grad.T, grad[::2, ::-1], np.broadcast_to(grad[0], (3, 3))):
        clipped, _ = gradclip.clip_by_norm(given, math.inf)
        assert same_bits(clipped, given)
        assert not np.shares_memory(clipped, grad)


def test_a_callable_is_no_threshold_here():
    with pytest.raises(TypeError, match="max_norm"):
        gradclip.clip_by_norm_(np.ones(3), lambda norm: 1.0)
