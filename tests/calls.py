"""The public calls that take gradients, each as a function of the gradients alone."""

import numpy as np
from dtypes import ALL as DTYPES

import gradclip

_DEEPEST = 100


def like(grads, depth=0):
    """Return ones in the same nesting, of the same shapes and dtypes; None for what is no array.

    No code of the arrays runs, and what is in itself has an end.
    """
    if isinstance(grads, list | tuple | dict):
        if depth == _DEEPEST:
            return None
        if isinstance(grads, dict):
            return {key: like(value, depth + 1) for key, value in grads.items()}
        return [like(value, depth + 1) for value in grads]
    grads = getattr(grads, "array", grads)  # of a producer of tensors
    if isinstance(grads, np.ndarray):
        shape, dtype = np.ndarray.shape.__get__(grads), np.ndarray.dtype.__get__(grads)
        return np.ones(shape, dtype) if dtype in DTYPES else None
    try:
        return np.ones([int(length) for length in grads.shape])
    except Exception:
        return None


def _adaptive(grads):
    return gradclip.adaptive_grad_clip_(grads, like(grads), 1e-3, axis=0)


def _numbers_of_stats(grads):
    return np.hstack(gradclip.grad_stats(grads)[:6])


# Of arrays of any dtype and shape.
IN_PLACE = {
    "clip_by_global_norm_": lambda grads: gradclip.clip_by_global_norm_(grads, 1e-3),
    "clip_by_global_norm_, loose": lambda grads: gradclip.clip_by_global_norm_(grads, 1e300),
    "clip_with_norm_": lambda grads: gradclip.clip_with_norm_(grads, 1.0, 10.0),
    "clip_with_norm_, loose": lambda grads: gradclip.clip_with_norm_(grads, 10.0, 1.0),
    "scale_": lambda grads: gradclip.scale_(grads, 0.5),
    "clip_by_norm_": lambda grads: gradclip.clip_by_norm_(grads, 1e-3),
    "adaptive_grad_clip_": _adaptive,
}
READING = {
    "global_norm": gradclip.global_norm,
    "array_norms": gradclip.array_norms,
    "clip_by_global_norm": lambda grads: gradclip.clip_by_global_norm(grads, 1e-3),
    "clip_by_norm": lambda grads: gradclip.clip_by_norm(grads, 1e-3),
    "grad_stats": _numbers_of_stats,
}

# Of real arrays.
REAL_IN_PLACE = {"clip_by_value_": lambda grads: gradclip.clip_by_value_(grads, -0.5, 0.5)}
REAL_READING = {
    "clip_by_value": lambda grads: gradclip.clip_by_value(grads, -0.5, 0.5),
    "sgd_step_": lambda grads: gradclip.sgd_step_(like(grads), grads, 0.1, max_norm=1e-3),
}

# Of arrays whose first axes have one length.
BATCH_IN_PLACE = {"clip_per_example_": lambda grads: gradclip.clip_per_example_(grads, 1e-3)}
BATCH_READING = {"clip_per_example_sum": lambda grads: gradclip.clip_per_example_sum(grads, 1e-3)}

ALL_IN_PLACE = IN_PLACE | REAL_IN_PLACE | BATCH_IN_PLACE
ALL = ALL_IN_PLACE | READING | REAL_READING | BATCH_READING


def taking(dtype):
    """Return the calls that take arrays of a dtype."""
    of_real = REAL_IN_PLACE | REAL_READING
    return {name: call for name, call in ALL.items() if dtype.kind != "c" or name not in of_real}


# Those that make new arrays, and so take NumPy's only.
FRESH = {"clip_by_global_norm", "clip_by_norm", "clip_by_value"}
