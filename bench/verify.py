"""Each contender clips fresh gradients once, and every element that it wrote is checked."""

from dataclasses import dataclass

import numpy as np

from bench import dtypes
from bench.contenders import Clip, Contender, is_ours
from bench.exact import Array, real, relative_error
from bench.gradients import Gradients

FAR_OFF = 0.5  # a norm further off than this is no norm


@dataclass(frozen=True)
class Verdict:
    """The relative error of the norm, and what is wrong, if anything is.

    `usable`: the arrays are scaled as they should be, by a norm that is no more than imprecise.
    """

    error: float | None
    problem: str | None
    usable: bool


def verify(contender: Contender, clip: Clip, grads: Gradients, *, clips: bool) -> Verdict:
    """Clip to half the norm (or, if not `clips`, to twice the norm) and check norm and arrays."""
    grads.refill()
    max_norm = float(grads.norm) * (0.5 if clips else 2.0)
    with contender.setting():
        norm = clip(max_norm)
    error = relative_error(norm, grads.norm)
    grads.fetch()
    ours = is_ours(contender.name)
    # Scaled by the contender's own norm: `error` judges that one.
    scale = max_norm / (norm + contender.epsilon) if clips else 1.0
    wrong = sum(_wrong(real(a), real(b), scale, ours=ours) for a, b in grads.pieces)
    problems = [f"wrong elements: {wrong:,}"] if wrong else []
    if not error <= dtypes.worst_norm(grads.arrays[0].dtype.name, ours=ours):
        problems.append(f"norm off by {error:.0e}")
    return Verdict(error, ", ".join(problems) or None, not wrong and error <= FAR_OFF)


def _wrong(piece: Array, values: Array, scale: float, *, ours: bool) -> int:
    """Count the elements that are not scale · value (a few ulp; to the bit where scale is 1)."""
    if scale == 1.0:
        bits = f"u{piece.itemsize}"
        return int(np.count_nonzero(piece.view(bits) != values.view(bits)))
    expected = values.astype(np.float64) * scale
    relative, absolute = dtypes.tolerance(piece.dtype, ours=ours)
    allowed = relative * np.abs(expected) + absolute
    return int(np.count_nonzero(~(np.abs(piece.astype(np.float64) - expected) <= allowed)))
