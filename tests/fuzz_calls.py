"""The calls that the fuzzer makes: each a function of gradients, drawn with its arguments."""

import math
from typing import NamedTuple

import dlpack_producers as dlpack
import numpy as np
from dtypes import BFLOAT16

import gradclip

try:
    import torch

    import gradclip.torch
except ImportError:
    torch = None

ORDERS = [2, 2, 2, 2, 1, math.inf, 0.5, 3, 10, 1e-3, 500.0]
# Of max_norm and the norm: 1 and its neighbours decide whether anything is written.
PARTS = [0.0, 1e-300, 1e-30, 1e-5, 0.5, 0.75, 1 - 2.0**-53, 1.0, 1 + 2.0**-52, 2.0, math.inf]
FACTORS = [0.0, -0.0, 1.0, -1.0, 0.5, 0.1, 3.0, -7e-39, 1e-45, 1e30, 1e-310, 1e300]
LEAKING = "exchange API, no deleter"
WRITEABLE = {name: make for name, make in dlpack.WRITEABLE.items() if name != LEAKING}
READABLE = {name: make for name, make in dlpack.READABLE.items() if name != LEAKING}


def threshold(rng, norm):
    """Return a threshold around the norm."""
    part = rng.choice([*PARTS, 10 ** rng.uniform(-9, 0)])
    return part * norm if 0 < norm < math.inf and part < math.inf else part


def draw(rng, norm_of):
    """Draw a call: its name, whether it writes, and function(grads) → result.

    `norm_of(order)` is the norm of the gradients, which thresholds refer to.
    """
    order = rng.choice([*ORDERS, rng.uniform(0.3, 20)])
    norm = norm_of(order)
    max_norm = threshold(rng, norm)
    eps = rng.choice([0.0, 0.0, 0.0, 1e-6, rng.random(), 1e300])
    options = {
        "ord": order,
        "eps": eps,
        "inv_scale": rng.choice([1.0, 1.0, 1.0, 2.0**-16, 0.1, 3.0, 1e-40, 2.0**120]),
        "nonfinite": rng.choice(["raise", "skip", "zero", "propagate"]),
    }
    called = rng.random() < 0.2
    factor = rng.choice([*FACTORS, rng.gauss(0, 1)])

    def clip(function, grads):
        seen = []

        def given(norm):
            seen.append(norm)
            return max_norm

        result = function(grads, given if called else max_norm, **options)
        return Clipped(*(result if isinstance(result, tuple) else (None, result)), seen)

    bound = f"{max_norm!r}{' from a function' * called}"
    arguments = f"{bound}, {', '.join(f'{k}={v!r}' for k, v in options.items())}"
    calls = [
        ("global_norm", f"ord={order}", lambda g: gradclip.global_norm(g, ord=order)),
        ("array_norms", f"ord={order}", lambda g: gradclip.array_norms(g, ord=order)),
        ("clip_by_global_norm", arguments, lambda g: clip(gradclip.clip_by_global_norm, g)),
        ("clip_by_global_norm_", arguments, lambda g: clip(gradclip.clip_by_global_norm_, g)),
        ("clip_with_norm_", f"{max_norm!r}, {norm!r}, eps={eps}",
         lambda g: gradclip.clip_with_norm_(g, max_norm, norm, eps=eps)),
        ("scale_", repr(factor), lambda g: gradclip.scale_(g, factor)),
    ]  # fmt: skip
    name, shown, function = rng.choices(calls, weights=[2, 2, 2, 6, 2, 2])[0]
    return (
        name,
        f"{name}(grads, {shown})",
        function,
        {"order": order, "max_norm": max_norm} | options,
    )


def draw_torch(rng, norm_of):
    """Draw a call of gradclip.torch, as `draw` does, for lists of tensors."""
    order = rng.choice(ORDERS)
    norm = norm_of(order)
    max_norm = threshold(rng, norm)
    strict = rng.random() < 0.2

    def clip(grads):
        return gradclip.torch.clip_grad_norm_(weights(grads), max_norm, order, strict)

    def clip_with_norm(grads):
        return gradclip.torch.clip_grads_with_norm_(weights(grads), max_norm, torch.tensor(norm))

    calls = {
        "clip_grad_norm_": clip,
        "get_total_norm": lambda g: gradclip.torch.get_total_norm(g, order, strict),
        "clip_grads_with_norm_": clip_with_norm,
        "clip_grad_value_": lambda g: gradclip.torch.clip_grad_value_(weights(g), max_norm),
    }
    name = rng.choice([*calls])
    return name, f"torch: {name}(…, {max_norm!r}, {order!r}, {strict})", calls[name], {}


def weights(grads):
    """Return parameters that have these gradients."""
    made = [torch.nn.Parameter(torch.empty(g.shape, dtype=g.dtype)) for g in grads]
    for weight, grad in zip(made, grads, strict=True):
        weight.grad = grad
    return made


def as_tensor(array):
    """Return a tensor that shares an array's memory."""
    if array.dtype == BFLOAT16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def nested(rng):
    """Draw a nesting, a function from a list of arrays."""
    half = rng.random()

    def as_dict(grads):
        middle = int(len(grads) * half)
        return {"a": tuple(grads[:middle]), "b": [None, *grads[middle:]]}

    return rng.choice([list, list, tuple, as_dict, lambda g: g[0] if len(g) == 1 else g])


class Outcome:
    """What a call returned (all but arrays as text of every bit) or raised."""

    def __init__(self, function, grads, mode):
        self.norm, self.fresh, self.text = None, [], ""
        try:
            with mode:  # the text needs plain arithmetic
                result = function(grads)
        except (ArithmeticError, TypeError, ValueError, RuntimeError) as error:
            self.text = f"{type(error).__name__}: {error}"
            return
        if isinstance(result, Answer):
            self.fresh, self.text = leaves(result.fresh), str([*map(bits_of, result.rest)])
        elif isinstance(result, Clipped):
            self.fresh, self.norm = leaves(result.grads), result.norm
            self.text = f"{bits_of(result.norm)}, function given {bits_of(result.seen)}"
        else:
            self.norm = result if isinstance(result, float) else None
            self.text = bits_of(result)


class Clipped(NamedTuple):
    grads: object
    norm: float
    seen: list  # what the function that gives max_norm was given


class Answer(NamedTuple):
    fresh: object  # a nesting of new arrays
    rest: list


def leaves(nesting):
    """Return the arrays in a nesting."""
    if isinstance(nesting, np.ndarray):
        return [nesting]
    if torch is not None and torch.is_tensor(nesting):
        return [nesting.numpy()]
    if not isinstance(nesting, dict | list | tuple):
        return []
    inner = nesting.values() if isinstance(nesting, dict) else nesting
    return [leaf for item in inner for leaf in leaves(item)]


def bits_of(result):
    """Return a result as text of every bit."""
    if isinstance(result, float):
        return result.hex()
    if isinstance(result, np.ndarray):
        return f"{result.dtype}:{result.tobytes().hex()}"
    if isinstance(result, list):
        return str([bits_of(value) for value in result])
    return repr(result) if torch is None or not torch.is_tensor(result) else _bits_of_tensor(result)


def _bits_of_tensor(tensor):
    return f"{tensor.dtype}:{tensor.reshape(1).view(torch.uint8).tolist()}"


def left_to_torch():
    """Return how many calls of gradclip.torch so far were left to torch."""
    return gradclip.torch.handed_over() if torch else 0
