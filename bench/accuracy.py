"""How far the norms are from the truth, for longer and longer float32 arrays, and at overflow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from bench.contenders import Contender
from bench.exact import Array, relative_error
from bench.gradients import Gradients, standard_normal

BOUND = 2.0**-44  # what gradclip promises for float32, whatever the length
SMALLEST = 10  # 2¹⁰ elements
HUGE = np.array([1e20, 1e20], np.float32)  # the squares are too large for float32, the norm is not


@dataclass(frozen=True)
class Accuracy:
    """Relative errors of the norms of standard normal float32 values, by contender.

    `errors` has one for each of `elements` (None: no finite norm); `huge`, as text, the norms of
    [1e20, 1e20].
    """

    elements: list[int]
    errors: dict[str, list[float | None]]
    huge: dict[str, str]


def measure(contenders: Sequence[Contender], largest: int) -> Accuracy:
    """Let every contender find the norms of 2¹⁰ to 2**largest elements, one size after another."""
    elements = [2**k for k in range(SMALLEST, largest + 1)]
    fit = [c for c in contenders if c.takes("float32", 1)]
    errors: dict[str, list[float | None]] = {c.name: [] for c in fit}
    for n in elements:
        for name, (norm, truth) in norms(fit, n, standard_normal("float32")).items():
            error = relative_error(norm, truth)
            errors[name].append(error if math.isfinite(error) else None)
    found = norms(fit, HUGE.size, HUGE)
    return Accuracy(elements, errors, {name: f"{norm:.8g}" for name, (norm, _) in found.items()})


def norms(
    contenders: Sequence[Contender], n: int, values: Array
) -> dict[str, tuple[float, Decimal]]:
    """Return each contender's norm of n of these values, by name, and the exact one."""
    made: dict[type[Gradients], Gradients] = {}
    found: dict[str, tuple[float, Decimal]] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for contender in contenders:
            if contender.storage not in made:
                made[contender.storage] = contender.storage([(n,)], values)
            grads = made[contender.storage]
            grads.refill()  # an infinite norm has made the one before clip to zeros
            try:
                norm = contender.prepare(grads)(2 * float(grads.norm))
            except Exception:  # tables and pictures show it as no number
                norm = math.nan
            found[contender.name] = norm, grads.norm
    return found
