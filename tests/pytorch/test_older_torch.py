"""Releases of torch without DLPack's C exchange API: its capsules show the same memory."""

import math

import pytest
from torch_cases import (
    DTYPES,
    LAYOUTS,
    OURS,
    REAL,
    TORCHS,
    clones,
    handing_over,
    numbers,
    parameter,
    parameters,
    same_tensor,
    unit,
)

torch = pytest.importorskip("torch")

EXCHANGE_API = "__dlpack_c_exchange_api__"


@pytest.fixture(autouse=True)
def older_torch(monkeypatch):
    monkeypatch.delattr(torch.Tensor, EXCHANGE_API, raising=False)
    with handing_over(0):
        yield


def grads_of(rng, dtype, layout):
    shapes = [(2, 3, 4, 5), (), (0,), (33,), (7, 5)]
    return [LAYOUTS[layout](numbers(rng, shape, dtype)) for shape in shapes]


def assert_close(found, expected):
    for ours, torchs in zip(found, expected, strict=True):
        # See test_differential: 2u for the norm, 2 for the factor, 2 for the product, 1 for ours.
        relative = 8 * max(unit(ours.dtype), 200 * unit(torch.float32) / 8)
        if ours.dtype in (torch.float64, torch.complex128):
            relative = 300 * unit(torch.float64)
        torch.testing.assert_close(ours, torchs, rtol=relative, atol=0)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("max_norm", [0.75, 1e4])
@pytest.mark.parametrize("norm_type", [2, 1, 3])
def test_clip_grad_norm(norm_type, max_norm, dtype, layout, rng):
    grads = grads_of(rng, dtype, layout)
    before, mine, theirs = clones(grads), parameters(grads), parameters(clones(grads))
    found = OURS.clip_grad_norm_(mine, max_norm, norm_type)
    assert_close([found], [TORCHS.clip_grad_norm_(theirs, max_norm, norm_type)])
    assert_close([w.grad for w in mine], [w.grad for w in theirs])
    if max_norm == 1e4:
        assert all(map(same_tensor, grads, before))
        assert not any(g._version for g in grads if layout == "contiguous")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_get_total_norm_and_clip_grads_with_norm(dtype, layout, rng):
    grads = grads_of(rng, dtype, layout)
    mine, theirs = parameters(grads), parameters(clones(grads))
    total_norm = OURS.get_total_norm([w.grad for w in mine])
    assert_close([total_norm], [TORCHS.get_total_norm([w.grad for w in theirs])])
    versions = [g._version for g in grads]
    OURS.clip_grads_with_norm_(mine, 1.0, total_norm)
    TORCHS.clip_grads_with_norm_(theirs, 1.0, total_norm)
    assert_close([w.grad for w in mine], [w.grad for w in theirs])
    assert [g._version for g in grads] == [v + 1 for v in versions]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", REAL, ids=str)
def test_clip_grad_value(dtype, layout, rng):
    grads = grads_of(rng, dtype, layout)
    mine, theirs = parameters(grads), parameters(clones(grads))
    OURS.clip_grad_value_(mine, 0.3)
    TORCHS.clip_grad_value_(theirs, 0.3)
    assert all(same_tensor(a.grad, b.grad) for a, b in zip(mine, theirs, strict=True))


def test_gradients_that_require_grad():
    weight = parameter(torch.tensor([3.0, 4.0], requires_grad=True))
    assert OURS.clip_grad_norm_([weight], 1.0) == 5.0
    torch.testing.assert_close(weight.grad.detach(), torch.tensor([0.6, 0.8]))


def test_errors_name_the_gradient():
    with pytest.raises(RuntimeError, match="non-finite") as caught:
        OURS.clip_grad_norm_(parameters([torch.ones(1), torch.tensor(math.nan)]), 1.0, 2, True)
    assert "parameters[1].grad" in caught.value.__notes__[0]
