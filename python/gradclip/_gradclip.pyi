from collections.abc import Callable, Mapping, Sequence
from typing import (
    Any,
    Literal,
    Protocol,
    SupportsFloat,
    SupportsIndex,
    TypeAlias,
    TypeVar,
    overload,
)

import numpy as np
from numpy.typing import NDArray

class _Tensor(Protocol):  # in CPU memory, such as torch.Tensor
    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...

# At run time containers must be lists, tuples or dicts, or subclasses of them.
# Floating or complex; but bfloat16 is neither to NumPy's types.
_Array: TypeAlias = NDArray[Any]
_Arrays: TypeAlias = _Array | Sequence[_Arrays | None] | Mapping[Any, _Arrays | None]
_ArraysT = TypeVar("_ArraysT", bound=_Arrays)
_Leaf: TypeAlias = _Array | _Tensor
_Grads: TypeAlias = _Leaf | Sequence[_Grads | None] | Mapping[Any, _Grads | None]
_GradsT = TypeVar("_GradsT", bound=_Grads)
_MaxNorm: TypeAlias = SupportsFloat | Callable[[float], SupportsFloat]
_NonFinite: TypeAlias = Literal["raise", "skip", "zero", "propagate"]

__version__: str

class NonFiniteNormError(ArithmeticError):
    path: str | None
    norm: float

def global_norm(grads: _Grads, *, ord: SupportsFloat = 2.0) -> float: ...
def array_norms(grads: _Grads, *, ord: SupportsFloat = 2.0) -> NDArray[np.float64]: ...
def clip_by_global_norm_(
    grads: _Grads,
    max_norm: _MaxNorm,
    *,
    ord: SupportsFloat = 2.0,
    eps: SupportsFloat = 0.0,
    inv_scale: SupportsFloat = 1.0,
    nonfinite: _NonFinite = "raise",
) -> float: ...
def clip_by_global_norm(
    grads: _ArraysT,
    max_norm: _MaxNorm,
    *,
    ord: SupportsFloat = 2.0,
    eps: SupportsFloat = 0.0,
    inv_scale: SupportsFloat = 1.0,
    nonfinite: _NonFinite = "raise",
) -> tuple[_ArraysT, float]: ...
@overload
def clip_by_norm_(
    grads: _Grads,
    max_norm: SupportsFloat,
    *,
    ord: SupportsFloat = 2.0,
    axis: None = None,
    eps: SupportsFloat = 0.0,
    nonfinite: _NonFinite = "raise",
) -> NDArray[np.float64]: ...
@overload
def clip_by_norm_(
    grads: _Grads,
    max_norm: SupportsFloat,
    *,
    ord: SupportsFloat = 2.0,
    axis: SupportsIndex | tuple[SupportsIndex, ...],
    eps: SupportsFloat = 0.0,
    nonfinite: _NonFinite = "raise",
) -> list[NDArray[np.float64]]: ...
@overload
def clip_by_norm(
    grads: _ArraysT,
    max_norm: SupportsFloat,
    *,
    ord: SupportsFloat = 2.0,
    axis: None = None,
    eps: SupportsFloat = 0.0,
    nonfinite: _NonFinite = "raise",
) -> tuple[_ArraysT, NDArray[np.float64]]: ...
@overload
def clip_by_norm(
    grads: _ArraysT,
    max_norm: SupportsFloat,
    *,
    ord: SupportsFloat = 2.0,
    axis: SupportsIndex | tuple[SupportsIndex, ...],
    eps: SupportsFloat = 0.0,
    nonfinite: _NonFinite = "raise",
) -> tuple[_ArraysT, list[NDArray[np.float64]]]: ...
def clip_by_value_(grads: _Grads, low: SupportsFloat, high: SupportsFloat) -> int: ...
def clip_by_value(
    grads: _ArraysT, low: SupportsFloat, high: SupportsFloat
) -> tuple[_ArraysT, int]: ...
def adaptive_grad_clip_(
    grads: _Grads,
    params: _Grads,
    clipping: SupportsFloat = 0.01,
    *,
    eps: SupportsFloat = 1e-3,
    axis: SupportsIndex | tuple[SupportsIndex, ...] | None = None,
) -> int: ...
def clip_per_example_(
    grads: _Grads, max_norm: SupportsFloat, *, nonfinite: _NonFinite = "raise"
) -> NDArray[np.float64]: ...
def clip_per_example_sum(
    grads: _GradsT, max_norm: SupportsFloat, *, nonfinite: _NonFinite = "raise"
) -> tuple[_GradsT, NDArray[np.float64]]: ...
def sgd_step_(
    params: _Grads,
    grads: _Grads,
    lr: SupportsFloat,
    *,
    max_norm: _MaxNorm | None = None,
    momentum: SupportsFloat = 0.0,
    nesterov: bool = False,
    velocity: _Grads | None = None,
    weight_decay: SupportsFloat = 0.0,
    inv_scale: SupportsFloat = 1.0,
    nonfinite: _NonFinite = "raise",
) -> float: ...
def _grad_stats(grads: _Grads) -> tuple[Any, ...]: ...
def clip_with_norm_(
    grads: _Grads,
    max_norm: SupportsFloat,
    total_norm: SupportsFloat,
    *,
    eps: SupportsFloat = 0.0,
) -> float: ...
def scale_(grads: _Grads, factor: SupportsFloat) -> None: ...
def set_num_threads(n: SupportsIndex) -> None: ...
def get_num_threads() -> int: ...
def _clip_grad_norm(
    parameters: list[Any], max_norm: Any, norm_type: Any, error_if_nonfinite: Any
) -> Any: ...
def _get_total_norm(tensors: list[Any], norm_type: Any, error_if_nonfinite: Any) -> Any: ...
def _clip_grads_with_norm(parameters: list[Any], max_norm: Any, total_norm: Any) -> None: ...
def _clip_grad_value(parameters: list[Any], clip_value: Any) -> None: ...
def _config() -> dict[str, Any]: ...
def _set_thread_limit(n: SupportsIndex | None) -> int: ...
def _set_isa(name: str) -> None: ...
