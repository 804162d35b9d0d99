"""The norm that is returned is a tensor of its own, like any other."""

import copy
import math
import pickle

import pytest
from exact_references import flat_memory
from fp_environment import ROUNDING, SUPPORTED, changed
from torch_cases import OURS, TORCHS, parameters

torch = pytest.importorskip("torch")

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def norm_of(module, *values, dtype=torch.float32):
    return module.clip_grad_norm_(parameters([torch.tensor(values, dtype=dtype)]), 1e9)


def traits(tensor):
    properties = ["dtype", "shape", "layout", "device", "requires_grad", "grad_fn", "is_leaf"]
    methods = [
        "stride",
        "storage_offset",
        "is_contiguous",
        "is_inference",
        "is_pinned",
        "is_shared",
        "is_conj",
    ]
    return (
        type(tensor),
        tensor.untyped_storage().nbytes(),
        *(getattr(tensor, name) for name in properties),
        *(getattr(tensor, name)() for name in methods),
    )


@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_it_is_what_torch_returns(dtype, context):
    with context():
        ours, torchs = (norm_of(module, 3.0, 4.0, dtype=dtype) for module in (OURS, TORCHS))
    assert traits(ours) == traits(torchs)
    assert ours.item() == 5.0


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_it_can_be_used_as_any_other(dtype):
    norm = norm_of(OURS, 3.0, 4.0, dtype=dtype)
    norm += 1
    assert norm._version == 1
    norm.requires_grad_()
    (norm * 3).backward()
    assert norm.grad.item() == 3.0
    norm = norm.detach()
    for other in (copy.deepcopy(norm), pickle.loads(pickle.dumps(norm)), norm.clone()):
        assert other.data_ptr() != norm.data_ptr()
        assert (other.item(), other.dtype) == (6.0, dtype)
    assert torch.stack([norm, norm * 2]).tolist() == [6.0, 12.0]
    assert norm.to(torch.float64).fill_(7.0).item() == 7.0
    if dtype != torch.bfloat16:  # NumPy has none
        norm.numpy()[...] = 8.0
        assert norm.item() == 8.0
    assert norm.share_memory_().is_shared()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_each_has_its_own_memory_while_it_lives(dtype):
    norms = [norm_of(OURS, float(i), dtype=dtype) for i in range(300)]
    del norms[::2]
    others = [norm_of(OURS, -1.0, dtype=dtype) for _ in range(300)]
    assert [norm.item() for norm in norms] == list(range(1, 300, 2))
    assert {norm.item() for norm in others} == {1.0}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_its_memory_is_freed(dtype, record_property):
    gradient = parameters([torch.ones(3, dtype=dtype)])
    count = 100_000
    for _ in range(1000):
        OURS.clip_grad_norm_(gradient, 1e9)
    with flat_memory(spare=1 << 20):  # ten bytes a call
        for _ in range(count):
            OURS.clip_grad_norm_(gradient, 1e9)
    record_property("cases", count)


@pytest.mark.skipif(not SUPPORTED, reason="the floating-point environment is known on Linux only")
@pytest.mark.parametrize("rounding", ROUNDING)
def test_it_is_rounded_to_nearest_in_any_mode(rounding):
    below, above = (parameters([torch.ones(n)]) for n in (2, 5))  # √2 and √5: down and up
    subnormal = parameters([torch.tensor([3e-42])])
    with changed(rounding=rounding, flush=True):
        norms = [OURS.clip_grad_norm_(weights, 1e9) for weights in (below, above, subnormal)]
    assert [norm.item() for norm in norms] == [
        torch.tensor(math.sqrt(2.0)).item(),
        torch.tensor(math.sqrt(5.0)).item(),
        torch.tensor(3e-42).item(),
    ]


def test_a_norm_past_float32_is_inf():
    largest = torch.finfo(torch.float32).max
    assert norm_of(OURS, largest, 1e30).item() == largest  # less than half an ulp more
    assert norm_of(OURS, largest, largest).item() == math.inf
    assert norm_of(OURS, largest, largest, dtype=torch.float64).item() > largest
