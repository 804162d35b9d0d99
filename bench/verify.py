"""Each contender clips fresh gradients once, and every element that it wrote is checked."""

from dataclasses import dataclass

import numpy as np

from bench.contenders import Clip
from bench.exact import Array, relative_error
from bench.gradients import Gradients

WORST_NORM = 1e-3  # a norm further off than this is a wrong result, not rounding
ULPS = 8.0  # float32 idioms round the norm, the scale and the product; gradclip rounds down


@dataclass(frozen=True)
class Verdict:
    """The relative error of the norm, and what is wrong, if anything is."""

    error: float | None
    problem: str | None


def verify(clip: Clip, grads: Gradients, *, clips: bool) -> Verdict:
    """Clip to half the norm (or, if not `clips`, to twice the norm) and check norm and arrays."""
    grads.refill()
    max_norm = float(grads.norm) * (0.5 if clips else 2.0)
    try:
        norm = clip(max_norm)
    except Exception as reason:  # a peer that cannot do it is a result, not the end of the run
        return Verdict(None, f"{type(reason).__name__}: {reason}")
    error = relative_error(norm, grads.norm)
    if not error <= WORST_NORM:
        return Verdict(error, f"the norm is off by {error:.0e}")
    # Scaled by the contender's own norm: `error` has judged that one already.
    scale = max_norm / norm if clips else 1.0
    wrong = sum(_wrong(piece, values, scale) for piece, values in grads.pieces)
    return Verdict(error, f"{wrong:,} elements are wrong" if wrong else None)


def _wrong(piece: Array, values: Array, scale: float) -> int:
    """Count the elements that are not scale · value (a few ulp; to the bit where scale is 1)."""
    if scale == 1.0:
        return int(np.count_nonzero(piece != values))
    expected = values.astype(np.float64) * scale
    limits = np.finfo(piece.dtype)
    allowed = ULPS * float(limits.eps) * np.abs(expected) + float(limits.smallest_subnormal)
    return int(np.count_nonzero(~(np.abs(piece - expected) <= allowed)))
