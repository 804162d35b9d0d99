"""PyTorch's clip_grad_norm_, and gradclip in its place, on parameters with these gradients."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bench.contenders import OURS, Clip, Contender
from bench.exact import Array
from bench.gradients import Gradients

EPSILON = 1e-6  # what torch adds to the norm


def parameters(grads: Gradients) -> list[Any]:
    """Return parameters whose gradients are the NumPy arrays themselves."""
    from torch.nn import Parameter

    params = []
    for array in grads.arrays:
        grad = tensor(array)
        param = Parameter(grad)  # nobody reads its values: they need no memory of their own
        param.grad = grad
        params.append(param)
    return params


def tensor(array: Array) -> Any:
    """Return a tensor that shares an array's memory; from_numpy knows no bfloat16."""
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _clip(load: Callable[[], Any], grads: Gradients, **options: Any) -> Clip:
    clip_grad_norm_, params = load(), parameters(grads)

    def clip(max_norm: float) -> float:
        return float(clip_grad_norm_(params, max_norm, **options))

    return clip


def theirs() -> Any:
    """Return torch's function."""
    from torch.nn.utils import clip_grad_norm_

    return clip_grad_norm_


def ours() -> Any:
    """Return gradclip's in its place."""
    from gradclip.torch import clip_grad_norm_

    return clip_grad_norm_


def _threads() -> int:
    import torch

    return int(torch.get_num_threads())


# `foreach` at its default is quickest: 2.2 ms for 1,000 arrays of 256, as is True; False takes 6.8.
# One array of 1 M takes 0.14 ms in any case.
TORCH = Contender(
    "torch",
    "float(torch.nn.utils.clip_grad_norm_(params, max_norm))",
    partial(_clip, theirs),
    ("torch",),
    epsilon=EPSILON,
    threads=_threads,
)

TORCH_FOREACH = Contender(
    "torch foreach",
    "float(torch.nn.utils.clip_grad_norm_(params, max_norm, foreach=True))",
    partial(_clip, theirs, foreach=True),
    ("torch",),
    epsilon=EPSILON,
    threads=_threads,
)

GRADCLIP = Contender(
    OURS.name,
    "float(gradclip.torch.clip_grad_norm_(params, max_norm))",
    partial(_clip, ours),
    ("gradclip", "torch"),
    epsilon=EPSILON,
)
