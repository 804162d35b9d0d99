"""Random gradients, clipped by gradclip and by torch, both held to exact arithmetic.

Rounding to nearest goes u = ε/2 far: 2^-8 in bfloat16, 2^-11 in float16, 2^-24, 2^-53. What torch
may be off by, to first order: its sum of n magnitudes to the power of p, one after the other at
worst, n·u of the accumulator, and so the norm n·u/p (16 more for the powers and the root); each
tensor's norm and the total are rounded to their dtypes, 2u; norm + 1e-6 and the quotient are
rounded to the total's, 2u; the factor is rounded to the gradient's, and so is the product, 2u.
"""

import math

import numpy as np
import pytest
from torch_cases import (
    OURS,
    REAL,
    TORCHS,
    any_grads,
    as_array,
    as_arrays,
    clones,
    exact_norm,
    handing_over,
    least,
    norm_dtype,
    parameters,
    real_parts,
    same_tensor,
    tensors,
    unit,
)

torch = pytest.importorskip("torch")

NORM_TYPES = [2, 2.0, 1, math.inf, "inf", 3, 0.5, 1.5]
PARTS = [1e-3, 0.5, 0.999, 1.0, 1.001, 2.0, 1e3, 0.0, -0.5]  # max_norm / norm


@pytest.fixture(autouse=True)
def nothing_is_left_to_torch():
    with handing_over(0):
        yield


def slack(grads, p):
    """What gradclip's norm may be off by, and its factor, doubled: see `precision` in clip.cpp."""
    if p in (1, 2, math.inf) and all(torch.finfo(g.dtype).bits == 64 for g in grads):
        return 2.0**-49
    return 2.0**-41


def own_error(dtype, extra):
    """What gradclip's product may be off by: the factor and the product are rounded toward zero,
    or, in 16 bits, to nearest in float32 and once more."""
    halves = dtype in (torch.float16, torch.bfloat16)
    return extra + (unit(dtype) + 3 * 2.0**-24 if halves else 2 * torch.finfo(dtype).eps)


def torchs_norm_error(grads, p):
    longest = max([len(grads), *(g.numel() for g in grads)])
    accumulator = min(2.0**-24, max(unit(g.dtype) for g in grads))
    return max(1, 1 / p) * (longest + 16) * accumulator + 2 * max(unit(g.dtype) for g in grads)


def fits_float16(grads, p, max_norm):
    """Tell whether nothing on torch's way leaves float16, where that is the dtype it goes in."""
    halves = [exact_norm([as_array(g)], p) for g in grads if g.dtype == torch.float16]
    if norm_dtype(grads) == torch.float16:
        halves.append(exact_norm(as_arrays(grads), p))
    factor = abs(max_norm) / (exact_norm(as_arrays(grads), p) + 1e-6)
    subnormal = halves and 0 < factor < 2.0**-14
    return not subnormal and all(norm == 0 or 2.0**-13 < norm < 65_000 for norm in halves)


def random_case(seed):
    rng = np.random.default_rng(seed)
    grads = any_grads(rng)
    norm_type = NORM_TYPES[rng.integers(len(NORM_TYPES))]
    if float(norm_type) == math.inf:  # torch refuses empty tensors in this order
        grads = [g for g in grads if g is None or g.numel()]
    options = {"foreach": [None, True, False][rng.integers(3)]}
    norm = exact_norm(as_arrays(grads), float(norm_type))
    return grads, norm_type, norm, float(rng.choice(PARTS)) * norm, options


def assert_norm_is_right(found, grads, norm, p):
    assert (found.shape, found.device.type, found.requires_grad) == ((), "cpu", False)
    assert found.dtype == norm_dtype(grads)
    most = torch.finfo(found.dtype).max
    if norm > most * (1 + 2 * unit(found.dtype)):
        assert found.item() == math.inf
    else:
        error = (unit(found.dtype) + slack(grads, p)) * norm + least(found.dtype) / 2
        assert abs(found.item() - norm) <= error


def assert_near(found, expected, relative, absolute):
    assert np.isfinite(found).all()
    error = np.abs(found - expected)
    assert (error <= relative * np.abs(expected) + absolute).all(), (error.max(), relative)


def assert_clip_is_right(written, grads, norm, p, max_norm, known_norm_error=0.0):
    factor = min(1.0, max_norm / (norm + 1e-6))
    for new, old in zip(written, grads, strict=True):
        before, after = real_parts(as_array(old)), real_parts(as_array(new))
        if max_norm > 1.0001 * (norm + 1e-6):
            assert same_tensor(new, old)
        error = own_error(new.dtype, slack(grads, p) + known_norm_error)
        assert_near(after, factor * before, error, least(new.dtype))
        assert (np.signbit(after) == np.signbit(factor * before)).all()


def assert_torch_agrees(written, torchs, grads, norm, p, max_norm):
    factor = min(1.0, max_norm / (norm + 1e-6))
    of_norm = torchs_norm_error(grads, p) + 2 * unit(norm_dtype(grads))
    for ours, theirs, old in zip(written, torchs, grads, strict=True):
        assert ours.dtype == theirs.dtype
        error = own_error(ours.dtype, slack(grads, p)) + of_norm + 2 * unit(ours.dtype)
        expected = factor * real_parts(as_array(old))
        difference = real_parts(as_array(ours)) - real_parts(as_array(theirs))
        assert_near(difference + expected, expected, 1.01 * error, 2 * least(ours.dtype))


@pytest.mark.parametrize("seed", range(300))
def test_clip_grad_norm(seed):
    grads, norm_type, norm, max_norm, options = random_case(seed)
    p = float(norm_type)
    mine, theirs = parameters(grads), parameters(clones(grads))
    grads = clones(grads)
    found = OURS.clip_grad_norm_(mine, max_norm, norm_type, bool(seed % 2), **options)
    expected = TORCHS.clip_grad_norm_(theirs, max_norm, norm_type, **options)
    grads = tensors(grads)
    if not grads:
        assert same_tensor(found, expected)
        return
    written = tensors([w.grad for w in mine])
    assert_norm_is_right(found, grads, norm, p)
    assert_clip_is_right(written, grads, norm, p, max_norm)
    if fits_float16(grads, p, max_norm):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        error = torchs_norm_error(grads, p) + unit(found.dtype) + slack(grads, p)
        assert abs(found.item() - expected.item()) <= 1.01 * error * norm
        torchs = tensors([w.grad for w in theirs])
        assert_torch_agrees(written, torchs, grads, norm, p, max_norm)


@pytest.mark.parametrize("seed", range(300, 420))
def test_get_total_norm_and_clip_grads_with_norm(seed):
    grads, norm_type, norm, max_norm, options = random_case(seed)
    p = float(norm_type)
    mine, theirs = parameters(grads), parameters(clones(grads))
    grads = tensors(clones(grads))
    found = OURS.get_total_norm(
        tensors([w.grad for w in mine]), norm_type, bool(seed % 2), **options
    )
    expected = TORCHS.get_total_norm(grads, norm_type, **options)
    if not grads:
        assert same_tensor(found, expected)
        return
    assert_norm_is_right(found, grads, norm, p)
    if not fits_float16(grads, p, max_norm):
        return
    error = torchs_norm_error(grads, p) + unit(found.dtype) + slack(grads, p)
    assert abs(found.item() - expected.item()) <= 1.01 * error * norm
    assert OURS.clip_grads_with_norm_(mine, max_norm, found, **options) is None
    assert TORCHS.clip_grads_with_norm_(theirs, max_norm, found, **options) is None
    written = tensors([w.grad for w in mine])
    known = found.item()  # and a float32 one may stand for one that is larger by u
    assert_clip_is_right(written, grads, known, p, max_norm, 2.0**-23)
    torchs = tensors([w.grad for w in theirs])
    assert_torch_agrees(written, torchs, grads, known, p, max_norm)


@pytest.mark.parametrize("seed", range(500, 620))
def test_clip_grad_value_gives_torchs_bits(seed):
    rng = np.random.default_rng(seed)
    grads = [g for g in any_grads(rng) if g is None or g.dtype in REAL]
    for g in tensors(grads):
        for special in (math.nan, math.inf, -math.inf, -0.0):
            g.masked_fill_(torch.from_numpy(np.asarray(rng.uniform(size=g.shape) < 0.03)), special)
    value = float(rng.choice([0.0, 0.1, 1.0, 1 / 3, 15.9, 1e-30, 60_000.0]))
    mine, theirs = parameters(grads), parameters(clones(grads))
    foreach = [None, True, False][rng.integers(3)]
    assert OURS.clip_grad_value_(mine, value, foreach) is None
    if tensors(grads):  # torch refuses lists without any
        TORCHS.clip_grad_value_(theirs, value, foreach)
    pairs = zip(mine, theirs, strict=True)
    assert all(a.grad is b.grad is None or same_tensor(a.grad, b.grad) for a, b in pairs)
