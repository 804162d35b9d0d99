"""Memory that is shared or changes is not written; tensors live as long as the call."""

import gc
import sys

import numpy as np
import pytest
from torch_cases import HAS_EXCHANGE_API
from torch_memory import array_of, normals

import gradclip

torch = pytest.importorskip("torch")


def test_a_tensor_and_the_array_that_shares_its_memory(in_place_call):
    tensor = torch.ones(10)
    for first, second in [
        (tensor, tensor.numpy()),
        (tensor.numpy()[5:], tensor[:6]),
        (tensor, tensor),
        (tensor, tensor.view(2, 5)),
        (tensor[::2], tensor[4:5]),
    ]:
        with pytest.raises(ValueError, match=r"grads\['a'\] and grads\['b'\]\[1\] share memory"):
            in_place_call({"a": first, "b": [None, second]})
    assert tensor.tolist() == [1.0] * 10
    assert tensor._version == 0


def test_interleaved_tensors_work(in_place_call):
    tensor = torch.ones(10, 10)
    in_place_call([tensor[:, ::2], tensor.numpy()[:, 1::2]])


def test_tensors_that_overlap_themselves(in_place_call, torch_dtype):
    row = normals(torch_dtype, 5)
    for tensor in (row.expand(3, 5), row.unfold(0, 3, 1), row.as_strided((3, 3), (1, 1))):
        norm = gradclip.global_norm(tensor)
        assert norm == gradclip.global_norm(array_of(tensor.contiguous()))
        with pytest.raises(ValueError, match=r"^grads\[1\] overlaps itself"):
            in_place_call([np.ones(3), tensor])
    assert row._version == 0


def _swap(tensor):
    tensor.data = tensor.clone()


CHANGES = {
    "resize_": lambda tensor: tensor.resize_(10),
    "set_": lambda tensor: tensor.set_(torch.ones(50_000)),
    "data": _swap,
    "freed": lambda tensor: tensor.untyped_storage().resize_(0),
    "strides": lambda tensor: tensor.as_strided_((25_000,), (2,)),
}


FREED = pytest.mark.skipif(
    not HAS_EXCHANGE_API, reason="older torch: __dlpack__ itself raises where memory was freed"
)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=FREED) if kind == "freed" else kind for kind in CHANGES]
)
def test_a_callable_that_changes_a_tensor(kind):
    grads = [torch.full((3,), 2.0), torch.full((50_000,), 2.0)]
    memory = grads[1][:]  # the storage lives on, if it is not freed itself

    def max_norm(norm):
        CHANGES[kind](grads[1])
        return 1.0

    with pytest.raises(RuntimeError, match=r"grads\[1\]; nothing was written"):
        gradclip.clip_by_global_norm_(grads, max_norm)
    assert grads[0].tolist() == [2.0] * 3
    assert grads[0]._version == 0
    if memory.untyped_storage().size() > 0:
        assert (memory == 2).all()


def test_tensors_live_as_long_as_the_call():
    grads = [torch.full((50_000,), 2.0) for _ in range(3)]
    views = [grad[:] for grad in grads]

    def drop(norm):
        grads.clear()
        gc.collect()
        return 1.0

    gradclip.clip_by_global_norm_(grads, drop)
    assert all((view < 0.1).all() for view in views)


def test_calls_keep_no_references(call):
    tensors = [torch.ones(3), torch.ones(4, 4).T, torch.nn.Buffer(torch.ones(2))]
    call(tensors)
    gc.collect()
    before = [sys.getrefcount(tensor) for tensor in tensors]
    blocks = sys.getallocatedblocks()
    for _ in range(1000):
        call(tensors)
    assert [sys.getrefcount(tensor) for tensor in tensors] == before
    assert sys.getallocatedblocks() - blocks < 200
