"""Tensors of random numbers, and the memory under them."""

import pytest
from dtypes import BFLOAT16

torch = pytest.importorskip("torch")


def normals(dtype, *shape, seed=7):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype) * 3


def array_of(tensor):
    """Return a tensor's memory as an array that shares it."""
    plain = tensor.detach()
    if plain.dtype == torch.bfloat16:
        return plain.view(torch.int16).numpy().view(BFLOAT16)
    return plain.numpy()


def bytes_of(*tensors):
    """Return all that the tensors' storages hold."""
    storages = [tensor.detach().untyped_storage() for tensor in tensors]
    return [torch.empty(0, dtype=torch.uint8).set_(s).numpy().tobytes() for s in storages]
