"""Parameters with gradients of every dtype and layout, and how gradclip's and torch's clips
compare with exact ones."""

import contextlib
import math

import numpy as np
import pytest
from dtypes import BFLOAT16

import gradclip

torch = pytest.importorskip("torch")

HAS_EXCHANGE_API = hasattr(torch.Tensor, "__dlpack_c_exchange_api__")  # before a test hides it

OURS = gradclip.torch
TORCHS = torch.nn.utils

REAL = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
DTYPES = [*REAL, torch.complex64, torch.complex128]
SHAPES = [(), (0,), (1,), (3, 0, 2), (31,), (32,), (33,), (2, 3, 4, 5), (7, 5), (64, 9), (5, 1, 6)]
BLOCK = 16_384


@contextlib.contextmanager
def handing_over(count):
    """Assert how many calls a block leaves to torch."""
    before = OURS.handed_over()
    yield
    made = OURS.handed_over() - before
    assert made == count, f"{made} calls were left to torch, not {count}"


def parameter(grad):
    """Return a parameter with this very tensor as its gradient."""
    result = torch.nn.Parameter(torch.zeros_like(grad, memory_format=torch.contiguous_format))
    result.grad = grad
    return result


def parameters(grads):
    """Return parameters with these gradients; None stands for none."""
    return [torch.nn.Parameter(torch.ones(2)) if g is None else parameter(g) for g in grads]


def clones(grads):
    """Return copies of gradients; None stays."""
    return [g if g is None else g.detach().clone() for g in grads]


def tensors(grads):
    return [g for g in grads if g is not None]


def as_array(tensor):
    """Return a copy as a NumPy array of the same dtype, in C order."""
    plain = tensor.detach().resolve_conj().resolve_neg()
    plain = plain.clone(memory_format=torch.contiguous_format)
    if plain.dtype == torch.bfloat16:
        return plain.view(torch.int16).numpy().view(BFLOAT16)
    return plain.numpy()


def as_arrays(grads):
    return [as_array(g) for g in tensors(grads)]


def same_tensor(found, expected):
    """Tell whether two tensors agree in dtype, shape and every bit, where one NaN is another."""
    if (found.dtype, found.shape) != (expected.dtype, expected.shape):
        return False
    left, right = (real_parts(as_array(t)) for t in (found, expected))
    nans = np.isnan(left) & np.isnan(right)
    return bool((nans | ((left == right) & (np.signbit(left) == np.signbit(right)))).all())


def real_parts(array):
    """Return the real numbers in an array as a flat copy of float64: exact."""
    flat = array.ravel()
    flat = flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat
    return flat.astype(np.float64)


def numbers(rng, shape, dtype):
    """Return numbers of magnitude 2^-4 to 2^4 with some ±0, so that none is subnormal anywhere."""

    def reals():
        magnitudes = 2.0 ** rng.uniform(-4, 4, shape) * (rng.uniform(size=shape) > 0.05)
        return np.copysign(magnitudes, rng.standard_normal(shape))

    values = reals() + 1j * reals() if dtype.is_complex else reals()
    return torch.tensor(values).to(dtype)


def _placed(values, empty):
    empty.copy_(values)
    return empty


def _channels_last(values):
    return values.contiguous(memory_format=torch.channels_last) if values.ndim == 4 else values


LAYOUTS = {
    "contiguous": lambda values: values,
    "transposed": lambda values: _placed(
        values, values.new_empty(values.shape[::-1]).permute(tuple(range(values.ndim)[::-1]))
    ),
    "channels_last": _channels_last,
    "every second": lambda values: _placed(values, values.new_ones([*values.shape, 2])[..., 0]),
    "columns": lambda values: _placed(values, values.new_ones([*values.shape, 3])[..., 1]),
    "part of a buffer": lambda values: _placed(
        values, values.new_ones(values.numel() + 5)[3 : values.numel() + 3].view(values.shape)
    ),
}


def with_shared_buffer(grads):
    """Return gradients that are views of one buffer for each dtype, side by side."""
    result = []
    for dtype in DTYPES:
        group = [g for g in grads if g.dtype == dtype]
        buffer = torch.cat([g.flatten() for g in group]) if group else []
        for g in group:
            result.append(buffer[: g.numel()].view(g.shape))
            buffer = buffer[g.numel() :]
    return result


def any_grads(rng):
    """Return 0 to 31 gradients: of one dtype or of several, in any layout, some None, at most one
    as long as a block."""
    dtypes = rng.permutation(len(DTYPES))[: rng.choice([1, 1, 2, 6])]
    grads = []
    for _ in range(rng.choice([0, 1, 2, 3, 5, 30], p=[0.05, 0.2, 0.2, 0.2, 0.2, 0.15])):
        shape = SHAPES[rng.integers(len(SHAPES))]
        grads.append(numbers(rng, shape, DTYPES[rng.choice(dtypes)]))
    if rng.random() < 0.3:
        size = BLOCK + int(rng.integers(-1, 2))
        grads.append(numbers(rng, (size,), DTYPES[dtypes[0]]))
    if rng.random() < 0.2:
        return with_shared_buffer(grads)
    layouts = list(LAYOUTS.values())
    grads = [layouts[rng.integers(len(layouts))](g) for g in grads]
    return [None if rng.random() < 0.05 else g for g in grads]


def exact_norm(arrays, p):
    """Return the norm of arrays without extreme numbers, good to 2^-50·max(1, 1/p)."""
    wide = [a.astype(np.complex128 if a.dtype.kind == "c" else np.float64) for a in arrays]
    magnitudes = np.concatenate([np.abs(a).ravel() for a in wide] or [np.zeros(0)])
    if p == math.inf:
        return float(magnitudes.max(initial=0.0))
    return math.fsum(magnitudes**p) ** (1 / p)


def norm_dtype(grads):
    """Return the dtype that torch gives a norm."""
    return torch.stack([torch.ones((), dtype=g.dtype).abs() for g in grads]).dtype


def unit(dtype):
    """Return how far rounding to nearest goes, relatively."""
    return torch.finfo(dtype).eps / 2


def least(dtype):
    """Return the smallest subnormal number."""
    return torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
