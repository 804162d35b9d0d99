from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, SupportsFloat, SupportsIndex, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

# At run time containers must be lists, tuples or dicts, or subclasses of them.
# Floating or complex; but bfloat16 is neither to NumPy's types.
_Array: TypeAlias = NDArray[Any]
_Grads: TypeAlias = _Array | Sequence[_Grads | None] | Mapping[Any, _Grads | None]
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
    grads: _GradsT,
    max_norm: _MaxNorm,
    *,
    ord: SupportsFloat = 2.0,
    eps: SupportsFloat = 0.0,
    inv_scale: SupportsFloat = 1.0,
    nonfinite: _NonFinite = "raise",
) -> tuple[_GradsT, float]: ...
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
def _config() -> dict[str, Any]: ...
def _set_thread_limit(n: SupportsIndex | None) -> int: ...
def _set_isa(name: str) -> None: ...
