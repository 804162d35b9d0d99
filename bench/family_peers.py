"""How the tasks of `family` are done: by gradclip, in NumPy, in PyTorch and with optax."""

from collections.abc import Callable
from typing import Any

import numpy as np

import gradclip
from bench.exact import Array

Call = Callable[[], Any]
Make = Callable[[list[Array], list[Array]], Call]  # from gradients and parameters

LR, WEIGHT_DECAY, MOMENTUM = 0.01, 1e-4, 0.9


def _tensors(arrays: list[Array]) -> list[Any]:
    import torch

    return [torch.from_numpy(array) for array in arrays]


def _parameters(grads: list[Array], params: list[Array]) -> list[Any]:
    """Return parameters whose memory, and that of their gradients, is the arrays'."""
    import torch

    parameters = [torch.nn.Parameter(tensor) for tensor in _tensors(params)]
    for parameter, tensor in zip(parameters, _tensors(grads), strict=True):
        parameter.grad = tensor
    return parameters


class Jitted:
    """A function of lists of arrays that JAX compiles; it is given copies, and returns its result.

    The memory of those in `donated` takes the result, as that of gradients and parameters would.
    """

    def __init__(self, step: Any, arrays: list[list[Array]], donated: int | None) -> None:
        """Compile it for arrays like these."""
        import jax

        jax.config.update("jax_enable_x64", True)  # else float64 would become float32
        self._arrays = arrays
        self._held: list[list[Any]] = []
        self._step = jax.jit(step, donate_argnums=() if donated is None else donated)
        self.prepare()
        self()

    def prepare(self) -> None:
        """Copy the arrays as they are now."""
        import jax

        self._held.clear()  # frees them before others take their place
        self._held += [
            [jax.device_put(array, may_alias=False) for array in arrays] for arrays in self._arrays
        ]
        jax.block_until_ready(self._held)

    def __call__(self) -> Any:
        import jax

        return jax.block_until_ready(self._step(*self._held))


# ---- per array


def _array_norms_numpy(grads: list[Array], _: list[Array]) -> Call:
    def call() -> None:
        for grad in grads:
            flat = grad.reshape(-1)
            norm = float(np.dot(flat, flat)) ** 0.5
            if norm > 1.0:
                flat *= flat.dtype.type(1.0 / norm)

    return call


def _array_norms_torch(grads: list[Array], _: list[Array]) -> Call:
    import torch

    tensors = _tensors(grads)

    def call() -> None:
        norms = torch._foreach_norm(tensors)
        torch._foreach_mul_(tensors, [(1.0 / n).clamp(max=1.0) for n in norms])

    return call


PER_ARRAY: dict[str, Make] = {
    "gradclip": lambda grads, _: lambda: gradclip.clip_by_norm_(grads, 1.0),
    "NumPy": _array_norms_numpy,
    "torch": _array_norms_torch,
}

# ---- per row, column, example


def _by_axis_numpy(axis: int, norms: Any) -> Make:
    def make(grads: list[Array], _: list[Array]) -> Call:
        (grad,) = grads

        def call() -> None:
            factors = np.minimum(1.0, 1.0 / norms(grad)).astype(grad.dtype)
            grad[...] *= np.expand_dims(factors, axis)

        return call

    return make


def _by_axis_torch(axis: int) -> Make:
    def make(grads: list[Array], _: list[Array]) -> Call:
        (grad,) = _tensors(grads)
        return lambda: grad.mul_((1.0 / grad.norm(dim=axis, keepdim=True)).clamp_(max=1.0))

    return make


def _row_norms(grad: Array) -> Array:
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", grad, grad)))


def _column_norms(grad: Array) -> Array:
    return np.asarray(np.sqrt(np.einsum("ij,ij->j", grad, grad)))


_ROWS: dict[str, Make] = {"NumPy": _by_axis_numpy(1, _row_norms), "torch": _by_axis_torch(1)}

PER_ROW: dict[str, Make] = {
    "gradclip": lambda grads, _: lambda: gradclip.clip_by_norm_(grads[0], 1.0, axis=1),
    **_ROWS,
}
PER_COLUMN: dict[str, Make] = {
    "gradclip": lambda grads, _: lambda: gradclip.clip_by_norm_(grads[0], 1.0, axis=0),
    "NumPy": _by_axis_numpy(0, _column_norms),
    "torch": _by_axis_torch(0),
}
PER_EXAMPLE: dict[str, Make] = {
    "gradclip": lambda grads, _: (
        lambda: gradclip.clip_per_example_(grads[0], 1.0, nonfinite="zero")
    ),
    **_ROWS,
}
PER_EXAMPLE_STRICTLY: dict[str, Make] = {
    "gradclip": lambda grads, _: lambda: gradclip.clip_per_example_(grads[0], 1.0),
    **_ROWS,
}


def _sum_numpy(grads: list[Array], _: list[Array]) -> Call:
    (grad,) = grads
    return lambda: np.minimum(1.0, 1.0 / _row_norms(grad)).astype(grad.dtype) @ grad


def _sum_torch(grads: list[Array], _: list[Array]) -> Call:
    (grad,) = _tensors(grads)
    return lambda: (1.0 / grad.norm(dim=1)).clamp_(max=1.0) @ grad


def _sum_optax(grads: list[Array], _: list[Array]) -> Call:
    import optax

    return Jitted(lambda grads: optax.per_example_global_norm_clip(grads, 1.0)[0], [grads], None)


PER_EXAMPLE_SUM: dict[str, Make] = {
    "gradclip": lambda grads, _: lambda: gradclip.clip_per_example_sum(grads[0], 1.0)[0],
    "NumPy": _sum_numpy,
    "torch": _sum_torch,
    "optax": _sum_optax,
}

# ---- by value


def _values_torch(grads: list[Array], _: list[Array]) -> Call:
    (grad,) = _tensors(grads)
    return lambda: grad.clamp_(-2.0, 2.0)


def _values_optax(grads: list[Array], _: list[Array]) -> Call:
    import optax

    return Jitted(lambda grads: optax.clip(2.0).update(grads, optax.EmptyState())[0], [grads], 0)


BY_VALUE: dict[str, Make] = {
    "gradclip": lambda grads, _: lambda: gradclip.clip_by_value_(grads, -2.0, 2.0),
    "NumPy": lambda grads, _: lambda: np.clip(grads[0], -2.0, 2.0, out=grads[0]),
    "torch": _values_torch,
    "optax": _values_optax,
}

# ---- adaptive: units are all axes but the first


def _unit_norms(array: Array) -> Array:
    if array.ndim <= 1:
        return np.asarray(np.linalg.norm(array))
    return np.asarray(np.linalg.norm(array.reshape(len(array), -1), axis=1))


def _adaptive_numpy(grads: list[Array], params: list[Array]) -> Call:
    def call() -> None:
        for grad, param in zip(grads, params, strict=True):
            most = 0.01 * np.maximum(_unit_norms(param), 1e-3)
            factors = np.minimum(1.0, most / np.maximum(_unit_norms(grad), 1e-6))
            grad *= factors.astype(grad.dtype).reshape(factors.shape + (1,) * (grad.ndim - 1))[...]

    return call


def _adaptive_torch(grads: list[Array], params: list[Array]) -> Call:
    from torch.linalg import vector_norm

    def norms(tensor: Any) -> Any:
        if tensor.ndim <= 1:
            return vector_norm(tensor)
        return vector_norm(tensor, dim=tuple(range(1, tensor.ndim)), keepdim=True)

    tensors = list(zip(_tensors(grads), _tensors(params), strict=True))

    def call() -> None:
        for grad, param in tensors:
            most = norms(param).clamp_(min=1e-3).mul_(0.01)
            grad.mul_((most / norms(grad).clamp_(min=1e-6)).clamp_(max=1.0))

    return call


ADAPTIVE: dict[str, Make] = {
    "gradclip": lambda grads, params: (
        lambda: gradclip.adaptive_grad_clip_(grads, params, axis=(1, 2, 3))
    ),
    "NumPy": _adaptive_numpy,
    "torch": _adaptive_torch,
}

# ---- statistics


def _statistics_numpy(grads: list[Array], _: list[Array]) -> Call:
    def call() -> tuple[Any, ...]:
        norms = [float(np.linalg.norm(grad)) for grad in grads]
        most = max(float(np.abs(grad).max()) for grad in grads)
        zeros = sum(grad.size - np.count_nonzero(grad) for grad in grads)
        nans = sum(np.count_nonzero(np.isnan(grad)) for grad in grads)
        infs = sum(np.count_nonzero(np.isinf(grad)) for grad in grads)
        return float(np.linalg.norm(norms)), most, zeros, nans, infs

    return call


def _statistics_ours(grads: list[Array], _: list[Array]) -> Call:
    def call() -> tuple[float, ...]:
        stats = gradclip.grad_stats(grads)
        return stats.norm, stats.max_abs, stats.zeros, stats.nans, stats.infs

    return call


STATISTICS: dict[str, Make] = {"gradclip": _statistics_ours, "NumPy": _statistics_numpy}

# ---- the SGD step


def _sgd_ours(momentum: float) -> Make:
    def make(grads: list[Array], params: list[Array]) -> Call:
        velocity = [np.zeros_like(param) for param in params]

        def call() -> None:
            for array in velocity if momentum else ():
                array[...] = 0.0
            gradclip.sgd_step_(
                params,
                grads,
                LR,
                max_norm=1.0,
                momentum=momentum,
                velocity=velocity if momentum else None,
                weight_decay=WEIGHT_DECAY,
            )

        return call

    return make


def _sgd_numpy(momentum: float) -> Make:
    def make(grads: list[Array], params: list[Array]) -> Call:
        velocity = [np.zeros_like(param) for param in params]

        def call() -> None:
            for array in velocity if momentum else ():
                array[...] = 0.0
            squares = sum(float(np.dot(g.reshape(-1), g.reshape(-1))) for g in grads)
            for param, grad, moving in zip(params, grads, velocity, strict=True):
                number = grad.dtype.type
                change = grad * number(min(1.0, 1.0 / squares**0.5))
                change += number(WEIGHT_DECAY) * param
                if momentum:
                    moving *= number(momentum)
                    moving += change
                    change = moving
                param -= number(LR) * change

        return call

    return make


def _sgd_torch(momentum: float) -> Make:
    def make(grads: list[Array], params: list[Array]) -> Call:
        import torch

        parameters = _parameters(grads, params)
        options = {"lr": LR, "momentum": momentum, "weight_decay": WEIGHT_DECAY, "fused": True}
        optimizer = torch.optim.SGD(parameters, **options)
        optimizer.step()  # makes its velocity

        def call() -> None:
            for state in optimizer.state.values() if momentum else ():
                state["momentum_buffer"].zero_()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()

        return call

    return make


def _sgd_optax(momentum: float) -> Make:
    def make(grads: list[Array], params: list[Array]) -> Call:
        import optax

        optimizer = optax.chain(
            optax.clip_by_global_norm(1.0),
            optax.add_decayed_weights(WEIGHT_DECAY),
            optax.sgd(LR, momentum or None),
        )

        def step(params: Any, grads: Any) -> Any:  # its first one
            updates, state = optimizer.update(grads, optimizer.init(params), params)
            return optax.apply_updates(params, updates), state

        class Step(Jitted):
            def __call__(self) -> Any:
                return super().__call__()[0]

        return Step(step, [params, grads], 0)

    return make


def _sgd_of_parameters(grads: list[Array], params: list[Array]) -> Call:
    parameters = _parameters(grads, params)

    def call() -> None:
        tensors = [parameter.grad for parameter in parameters]
        gradclip.sgd_step_(parameters, tensors, LR, max_norm=1.0, weight_decay=WEIGHT_DECAY)

    return call


SGD: dict[str, Make] = {
    "gradclip": _sgd_ours(0.0),
    "NumPy": _sgd_numpy(0.0),
    "torch": _sgd_torch(0.0),
    "optax": _sgd_optax(0.0),
}
SGD_WITH_MOMENTUM: dict[str, Make] = {
    "gradclip": _sgd_ours(MOMENTUM),
    "NumPy": _sgd_numpy(MOMENTUM),
    "torch": _sgd_torch(MOMENTUM),
    "optax": _sgd_optax(MOMENTUM),
}

# ---- of PyTorch's parameters


def _array_norms_of_parameters(grads: list[Array], params: list[Array]) -> Call:
    parameters = _parameters(grads, params)
    return lambda: gradclip.clip_by_norm_([parameter.grad for parameter in parameters], 1.0)


def _values_of_parameters(grads: list[Array], params: list[Array]) -> Call:
    parameters = _parameters(grads, params)
    return lambda: gradclip.clip_by_value_([parameter.grad for parameter in parameters], -2.0, 2.0)


def _values_by_torch(grads: list[Array], params: list[Array]) -> Call:
    import torch

    parameters = _parameters(grads, params)
    return lambda: torch.nn.utils.clip_grad_value_(parameters, 2.0)


PARAMETERS_PER_ARRAY: dict[str, Make] = {
    "gradclip": _array_norms_of_parameters,
    "torch": _array_norms_torch,
}
PARAMETERS_BY_VALUE: dict[str, Make] = {
    "gradclip": _values_of_parameters,
    "torch": _values_by_torch,
}
PARAMETERS_SGD: dict[str, Make] = {"gradclip": _sgd_of_parameters, "torch": _sgd_torch(0.0)}
