"""SciPy's BLAS: dot products, and scaling in place."""

import math

from scipy.linalg.blas import get_blas_funcs

from bench import dtypes
from bench.contenders import Clip, Contender
from bench.gradients import Gradients


def _blas(grads: Gradients) -> Clip:
    flat = grads.flat
    # The dot product, not nrm2, which guards against overflow and takes 2 to 8 times as long;
    # scal, since axpy would need a second array.
    dot, scal = get_blas_funcs(("dot", "scal"), (flat[0],))

    def clip(max_norm: float) -> float:
        norm = math.sqrt(math.fsum(map(dot, flat, flat)))
        if norm > max_norm:
            scale = max_norm / norm
            for g in flat:
                scal(scale, g)  # in place for contiguous arrays of its own dtype, as these are
        return norm

    return clip


BLAS = Contender(
    "SciPy BLAS",
    "scipy.linalg.blas: dot and scal, array by array",
    _blas,
    ("scipy",),
    dtypes=(*dtypes.WIDE, *dtypes.COMPLEX),
)
