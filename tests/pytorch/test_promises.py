"""What torch does not promise: a bound that holds exactly, and no write where none is needed."""

import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
from torch_cases import (
    DTYPES,
    LAYOUTS,
    OURS,
    REAL,
    as_arrays,
    exact_norm,
    handing_over,
    numbers,
    parameters,
    same_tensor,
)

torch = pytest.importorskip("torch")

EXACT = [torch.float32, torch.float64, torch.complex64, torch.complex128]


@pytest.fixture(autouse=True)
def nothing_is_left_to_torch():
    with handing_over(0):
        yield


def clip_in_one(weights, max_norm):
    OURS.clip_grad_norm_(weights, max_norm)


def clip_in_two(weights, max_norm):
    total_norm = OURS.get_total_norm([w.grad for w in weights])
    OURS.clip_grads_with_norm_(weights, max_norm, total_norm)


CLIPS = pytest.mark.parametrize("clip", [clip_in_one, clip_in_two])


# A norm is above max_norm if it is computed to be: to 2^-44, or to a float32 handed on.
UNDECIDED = {clip_in_one: Fraction(1, 2**44), clip_in_two: Fraction(1, 2**24)}


def clip_checked(clip, grads, max_norm):
    """Clip, and hold the exact norm of what is written to the bound, and close to it."""
    norm = Fraction(oracle.floor_sqrt(oracle.square_sum(*as_arrays(grads))))
    weights = parameters(grads)
    clip(weights, max_norm)
    bound = Fraction(max_norm)
    if all(g._version == 0 for g in grads):
        assert norm <= bound * (1 + UNDECIDED[clip])
        return
    written = oracle.square_sum(*as_arrays(grads))
    assert written <= bound**2
    # The factor is max_norm / (norm + 1e-6); it and the products are rounded toward zero.
    short = 5 * max(Fraction(torch.finfo(g.dtype).eps) for g in grads)
    target = bound * norm / (norm + Fraction(1e-6))
    assert written >= ((1 - short) * target) ** 2


@CLIPS
@pytest.mark.parametrize("dtypes", [*([dtype] for dtype in EXACT), EXACT], ids=str)
@pytest.mark.parametrize("below", [1e-9, 1e-3, 0.3, 0.99, 1 - 2**-23, 1 - 2**-52, 1.0])
def test_the_bound_is_exact(clip, dtypes, below, rng):
    for _ in range(10):
        grads = [numbers(rng, (int(rng.integers(1, 300)),), d) for d in dtypes]
        norm = exact_norm(as_arrays(grads), 2)
        clip_checked(clip, grads, below * norm)


@CLIPS
def test_the_bound_is_exact_where_the_norm_is_large(clip, rng):
    # 1e-6 is nothing beside these norms, and leaves no room for errors.
    for exponent in range(0, 120, 3):
        grads = [numbers(rng, (77,), torch.float32) * 2.0**exponent]
        norm = exact_norm(as_arrays(grads), 2)
        for max_norm in (norm * 0.37, math.nextafter(norm, 0.0)):
            clip_checked(clip, [g.clone() for g in grads], max_norm)


@pytest.mark.parametrize("exponent", range(0, 100, 5))
def test_a_rounded_norm_is_taken_for_the_largest_that_it_may_stand_for(exponent, rng):
    # float32 norms that were rounded down, clipped by what a float32 holds.
    for size in range(2, 30):
        grads = [numbers(rng, (size,), torch.float32) * 2.0**exponent]
        max_norm = float(OURS.get_total_norm(grads)) / 2
        clip_checked(clip_in_two, grads, max_norm)


NOT_CLIPPING = {
    "norm": lambda weights: OURS.clip_grad_norm_(weights, 1e4),
    "inf": lambda weights: OURS.clip_grad_norm_(weights, math.inf),
    "order inf": lambda weights: OURS.clip_grad_norm_(weights, 1e4, math.inf),
    "known norm": lambda weights: OURS.clip_grads_with_norm_(weights, 1e4, torch.tensor(9e3)),
    "no clip": lambda weights: OURS.get_total_norm([w.grad for w in weights]),
    "value": lambda weights: OURS.clip_grad_value_(weights, 100.0),
}
CLIPPING = {
    "norm": lambda weights: OURS.clip_grad_norm_(weights, 0.25),
    "known norm": lambda weights: OURS.clip_grads_with_norm_(weights, 1.0, torch.tensor(4.0)),
    "value": lambda weights: OURS.clip_grad_value_(weights, 1 / 16),
}


def each_dtype(calls):
    """Run a test for each call and dtype; complex numbers have no order."""
    cases = [(c, d) for c in calls for d in (REAL if c == "value" else DTYPES)]
    ids = [f"{call}-{dtype}" for call, dtype in cases]
    return pytest.mark.parametrize(("call", "dtype"), cases, ids=ids)


@pytest.mark.parametrize("layout", LAYOUTS)
@each_dtype(NOT_CLIPPING)
def test_what_is_not_clipped_is_not_written(call, dtype, layout, rng):
    grads = [LAYOUTS[layout](numbers(rng, shape, dtype)) for shape in ((2, 3, 4, 5), (), (33,))]
    before, versions = [g.clone() for g in grads], [g._version for g in grads]
    NOT_CLIPPING[call](parameters(grads))
    assert [g._version for g in grads] == versions
    assert all(map(same_tensor, grads, before))


@pytest.mark.parametrize("layout", LAYOUTS)
@each_dtype(CLIPPING)
def test_a_write_raises_the_versions_and_spares_the_gaps(call, dtype, layout, rng):
    values = [numbers(rng, shape, dtype) for shape in ((2, 3, 4, 5), (), (0,), (33,))]
    grads = [LAYOUTS[layout](v.clone()) for v in values]
    memory = [torch.empty(0, dtype=dtype).set_(g.untyped_storage()) for g in grads]
    gaps = [torch.ones_like(m, dtype=torch.bool) for m in memory]
    for gap, g in zip(gaps, grads, strict=True):
        gap.as_strided(g.shape, g.stride(), g.storage_offset()).fill_(False)
    before = [m[gap] for m, gap in zip(memory, gaps, strict=True)]
    versions = [g._version for g in grads]
    CLIPPING[call](parameters(grads))
    assert [g._version for g in grads] == [v + 1 for v in versions]
    assert all(same_tensor(m[gap], b) for m, gap, b in zip(memory, gaps, before, strict=True))
    assert not same_tensor(grads[0], values[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_nothing_but_the_factor_is_rounded(dtype):
    grad = torch.tensor([3.0, -4.0, 0.0, -0.0, 8.0], dtype=dtype)
    OURS.clip_grads_with_norm_(parameters([grad]), -0.5, torch.tensor(1.0 - 1e-6))
    expected = torch.tensor([-1.5, 2.0, -0.0, 0.0, -4.0], dtype=dtype)
    np.testing.assert_allclose(grad.double(), expected.double(), rtol=2e-7, atol=0)
    assert torch.equal(grad.signbit(), expected.signbit())
