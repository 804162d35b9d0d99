"""Gradient norms and clipping on the CPU: exact, fused, at the speed of memory.

>>> import numpy as np, gradclip
>>> grads = [np.array([3.0, 4.0]), np.array([12.0])]
>>> gradclip.clip_by_global_norm_(grads, max_norm=1.0)
13.0
>>> round(gradclip.global_norm(grads), 12)
1.0
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from gradclip._config import show_config
from gradclip._gradclip import (
    NonFiniteNormError,
    __version__,
    adaptive_grad_clip_,
    array_norms,
    clip_by_global_norm,
    clip_by_global_norm_,
    clip_by_norm,
    clip_by_norm_,
    clip_by_value,
    clip_by_value_,
    clip_per_example_,
    clip_per_example_sum,
    clip_with_norm_,
    get_num_threads,
    global_norm,
    scale_,
    set_num_threads,
    sgd_step_,
)
from gradclip._stats import GradStats, grad_stats
from gradclip._threads import threads

if TYPE_CHECKING:
    from gradclip import monitor, thresholds

__all__ = [
    "GradStats",
    "NonFiniteNormError",
    "__version__",
    "adaptive_grad_clip_",
    "array_norms",
    "clip_by_global_norm",
    "clip_by_global_norm_",
    "clip_by_norm",
    "clip_by_norm_",
    "clip_by_value",
    "clip_by_value_",
    "clip_per_example_",
    "clip_per_example_sum",
    "clip_with_norm_",
    "get_num_threads",
    "global_norm",
    "grad_stats",
    "monitor",
    "scale_",
    "set_num_threads",
    "sgd_step_",
    "show_config",
    "threads",
    "thresholds",
]

# Public names are this package's, wherever they are defined.
GradStats.__module__ = grad_stats.__module__ = __name__
show_config.__module__ = threads.__module__ = __name__


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> ModuleType:
    # Loaded when asked for: they import more of the standard library, or their namesakes.
    if name in ("monitor", "thresholds", "threadpoolctl", "torch"):
        return import_module(f"gradclip.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
