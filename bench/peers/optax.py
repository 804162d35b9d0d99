"""optax's clip_by_global_norm, compiled by JAX. It writes no array in place: it returns others."""

from functools import cache
from typing import Any

import numpy as np

from bench.contenders import Clip, Contender
from bench.exact import Array
from bench.gradients import Gradients
from bench.models import Shapes


class OnDevice(Gradients):
    """Gradients that JAX holds copies of, in `device`."""

    def __init__(self, shapes: Shapes, values: Array) -> None:
        """Allocate and fill the arrays, and hand them to JAX."""
        import jax

        jax.config.update("jax_enable_x64", True)  # else float64 would become float32
        self.device: list[Any] = []
        super().__init__(shapes, values)

    def refill(self) -> None:
        """Write fresh values, and copy them."""
        import jax

        super().refill()
        self.device.clear()  # frees them before others take their place
        # The last one first, as they were written, so that JAX finds the first one in the cache.
        self.device += [jax.device_put(a, may_alias=False) for a in reversed(self.arrays)]
        self.device.reverse()
        jax.block_until_ready(self.device)

    def fetch(self) -> None:
        """Copy what JAX holds back."""
        for array, held in zip(self.arrays, self.device, strict=True):
            array[...] = np.asarray(held)


def _optax(grads: Gradients) -> Clip:
    import jax

    assert isinstance(grads, OnDevice)
    step = compiled()

    def clip(max_norm: float) -> float:
        grads.device, norm = step(grads.device, max_norm)
        jax.block_until_ready(grads.device)
        return float(norm)

    clip(float("inf"))  # compiles for these shapes
    return clip


@cache
def compiled() -> Any:
    """Return the function that clips a list of arrays and tells the norm that they had."""
    import jax
    import optax

    def step(grads: Any, max_norm: Any) -> Any:
        clipped, _ = optax.clip_by_global_norm(max_norm).update(grads, optax.EmptyState())
        return clipped, optax.global_norm(grads)

    # Donated, the inputs' memory takes the results: 25 M elements 4.4 ms, otherwise 26 ms.
    return jax.jit(step, donate_argnums=0)


OPTAX = Contender(
    "optax",
    "jax.jit(optax.clip_by_global_norm(max_norm).update), arrays donated",
    _optax,
    ("jax", "optax"),
    most_arrays=1000,  # XLA compiles 1,000 for 5 s, 10,000 for minutes
    storage=OnDevice,
)
