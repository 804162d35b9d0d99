"""PyTorch's gradient clipping for gradients in CPU memory: exact, and several times as fast.

The functions have the names, arguments, results and meanings of those in `torch.nn.utils`, so that
one import is all that changes::

    from gradclip.torch import clip_grad_norm_

or one line at start-up, for libraries that clip by themselves::

    gradclip.torch.install()

Gradients of float16, bfloat16, float32, float64, complex64 and complex128 are clipped here, in any
strided layout, by norms of order 1, 2, inf and any other positive number. Whatever else torch's
functions can do is left to them, call by call: other devices, sparse, nested and quantised
tensors, tensor subclasses such as DTensor, gradients that share memory, orders that are no norms,
and arguments that make no sense; and all calls while a `TorchDispatchMode`, a `TorchFunctionMode`,
`torch.jit.trace` or forward-mode differentiation watches what torch does. `handed_over` counts
these calls.

Norms differ from torch's where those are wrong: torch sums in float32, and squares overflow.
Nothing is written if nothing is clipped. Compiled code (`torch.compile`) calls these functions
between two graphs, so that they cannot be part of one with ``fullgraph=True``.
"""

import logging
import math
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, SupportsFloat

import torch
from torch.autograd import forward_ad
from torch.nn import utils as _utils
from torch.nn.utils import clip_grad as _clip_grad
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext

from gradclip import _gradclip

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "handed_over",
    "install",
    "installed",
    "uninstall",
]

_logger = logging.getLogger(__name__)
_handed_over = 0

_dispatch_modes = torch._C._len_torch_dispatch_stack
_function_modes = torch._C._len_torch_function_stack
_tracing_state = torch._C._get_tracing_state
_torch_get_total_norm = _utils.get_total_norm
_torch_clip_grads_with_norm_ = _utils.clip_grads_with_norm_
_torch_clip_grad_value_ = _utils.clip_grad_value_


def _torch_clip_grad_norm_(
    parameters: list[Any], max_norm: Any, norm_type: Any, error_if_nonfinite: Any, foreach: Any
) -> torch.Tensor:
    # Put together from its halves, as torch does; its own would find these replaced by `install`.
    grads = [p.grad for p in parameters if p.grad is not None]
    total_norm = _torch_get_total_norm(grads, norm_type, error_if_nonfinite, foreach)
    _torch_clip_grads_with_norm_(parameters, max_norm, total_norm, foreach)
    return total_norm


def _leave_to_torch(why: Exception) -> None:
    global _handed_over
    _handed_over += 1
    _logger.debug("left to torch: %s", why)


def _as_list(tensors: Any) -> list[Any]:
    if type(tensors) is list:
        return tensors
    return [tensors] if isinstance(tensors, torch.Tensor) else list(tensors)


def _check_nobody_watches() -> None:
    # Who records, replaces or differentiates what torch does would miss what is done here.
    if _dispatch_modes() > 0 or _tracing_state() is not None or forward_ad._current_level >= 0:
        raise TypeError("a dispatch mode, a trace or forward-mode differentiation is active")
    if _function_modes() > 0:  # one is torch.set_default_device's, which only sees new tensors
        modes = _get_current_function_mode_stack()
        if not all(isinstance(mode, DeviceContext) for mode in modes):
            raise TypeError("a TorchFunctionMode is active")


def _nonfinite(error: _gradclip.NonFiniteNormError, norm_type: Any, place: str) -> RuntimeError:
    failure = RuntimeError(
        f"The total norm of order {float(norm_type)} for gradients from `parameters` is non-finite,"
        " so it cannot be clipped. To disable this error and scale the gradients by the non-finite"
        " norm anyway, set `error_if_nonfinite=False`"
    )
    if error.path is not None:
        failure.add_note(f"The first that holds an inf or NaN is {place.format(error.path[5:])}.")
    return failure


def _clip_by_function(
    parameters: list[Any],
    max_norm: Callable[[float], SupportsFloat],
    norm_type: Any,
    error_if_nonfinite: Any,
    foreach: Any,
) -> torch.Tensor:
    # In halves, either of which may be left to torch: the function is called once in any case, and
    # its errors are nobody else's.
    grads = [p.grad for p in parameters if p.grad is not None]
    total_norm = get_total_norm(grads, norm_type, error_if_nonfinite, foreach)
    norm = float(total_norm)
    threshold = float(max_norm(norm)) if math.isfinite(norm) else 1.0  # any gives zeros or NaN
    if not threshold >= 0.0:
        raise ValueError(
            f"the threshold that max_norm returned must be at least 0, not {threshold}"
        )
    clip_grads_with_norm_(parameters, threshold, total_norm, foreach)
    return total_norm


def clip_grad_norm_(
    parameters: torch.Tensor | Iterable[torch.Tensor],
    max_norm: float | Callable[[float], SupportsFloat],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> torch.Tensor:
    """Scale the gradients of parameters in place so that their norm is at most max_norm.

    As `torch.nn.utils.clip_grad_norm_`: every gradient is multiplied by
    min(1, max_norm / (norm + 1e-6)). If that is 1, no byte is written. If not, and if norm_type is
    2 and no gradient has 16 bits, the exact norm of what is written is never above max_norm.

    Parameters
    ----------
    parameters : torch.Tensor or iterable of torch.Tensor
        Their gradients, of any shapes, dtypes and strides, are clipped; None is skipped.
    max_norm : float or callable
        The threshold. As in torch, 0 gives zeros, and a negative one turns gradients around. Torch
        has no callables: one is given the norm that this call will return, if that is finite, and
        returns the threshold, at least 0; see `gradclip.thresholds`. Gradients are then clipped by
        that norm, as `clip_grads_with_norm_` does it.
    norm_type : float, default 2.0
        The order of the norm; 'inf' for the largest magnitude.
    error_if_nonfinite : bool, default False
        Raise an error for a norm of inf or NaN. Else inf makes finite gradients 0, and NaN makes
        all of them NaN. This is about the norm itself: where that is finite and only too large
        for its dtype, the gradients are clipped by it, and a tensor of inf is returned.
    foreach : bool, optional
        Of no effect, unless the call is left to torch.

    Returns
    -------
    torch.Tensor
        The norm before clipping: 0-d, of the dtype that torch gives it, to which it is rounded.
        The factor is found from the unrounded norm.

    Raises
    ------
    RuntimeError
        The norm is inf or NaN and error_if_nonfinite is true (a note names the first such
        gradient), or torch raises one. Nothing was changed.
    ValueError
        The threshold that max_norm returned is negative or NaN. Nothing was changed, as after any
        error of its own.

    Examples
    --------
    >>> import torch, gradclip.torch
    >>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> gradclip.torch.clip_grad_norm_([weight], max_norm=1.0)
    tensor(5.)
    >>> weight.grad
    tensor([0.6000, 0.8000])
    """
    if isinstance(parameters, types.GeneratorType):
        parameters = list(parameters)
        if not parameters:
            warnings.warn(
                "`parameters` is an empty generator, no gradient clipping will occur.",
                stacklevel=2,
            )
    parameters = _as_list(parameters)
    if callable(max_norm):
        return _clip_by_function(parameters, max_norm, norm_type, error_if_nonfinite, foreach)
    try:
        _check_nobody_watches()
        norm = _gradclip._clip_grad_norm(parameters, max_norm, norm_type, error_if_nonfinite)
        return torch.tensor(0.0) if norm is None else norm
    except _gradclip.NonFiniteNormError as error:
        raise _nonfinite(error, norm_type, "parameters{}.grad") from None
    except (TypeError, ValueError) as why:
        _leave_to_torch(why)
    return _torch_clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def get_total_norm(
    tensors: torch.Tensor | Iterable[torch.Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> torch.Tensor:
    """The norm of all elements of all tensors together, as `torch.nn.utils.get_total_norm`.

    Parameters
    ----------
    tensors : torch.Tensor or iterable of torch.Tensor
        Of any shapes, dtypes and strides.
    norm_type, error_if_nonfinite, foreach
        As for `clip_grad_norm_`.

    Returns
    -------
    torch.Tensor
        The norm: 0-d, of the dtype that torch gives it, to which it is rounded.

    Raises
    ------
    RuntimeError
        As for `clip_grad_norm_`.

    Examples
    --------
    >>> import torch, gradclip.torch
    >>> gradclip.torch.get_total_norm([torch.tensor([3.0]), torch.tensor([[4.0]])])
    tensor(5.)
    """
    tensors = _as_list(tensors)
    try:
        _check_nobody_watches()
        norm = _gradclip._get_total_norm(tensors, norm_type, error_if_nonfinite)
        return torch.tensor(0.0) if norm is None else norm
    except _gradclip.NonFiniteNormError as error:
        raise _nonfinite(error, norm_type, "tensors{}") from None
    except (TypeError, ValueError) as why:
        _leave_to_torch(why)
    return _torch_get_total_norm(tensors, norm_type, error_if_nonfinite, foreach)


def clip_grads_with_norm_(
    parameters: torch.Tensor | Iterable[torch.Tensor],
    max_norm: float,
    total_norm: torch.Tensor,
    foreach: bool | None = None,
) -> None:
    """Clip gradients in place by a norm that is known, as `torch.nn.utils.clip_grads_with_norm_`.

    Parameters
    ----------
    parameters, max_norm, foreach
        As for `clip_grad_norm_`.
    total_norm : torch.Tensor
        The norm, 0-d. If it is what `get_total_norm` returns, what is written is bounded as by
        `clip_grad_norm_`: a float32 norm is taken for the largest one that is rounded to it.

    Examples
    --------
    >>> import torch, gradclip.torch
    >>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> gradclip.torch.clip_grads_with_norm_([weight], 1.0, torch.tensor(10.0))
    >>> weight.grad
    tensor([0.3000, 0.4000])
    """
    parameters = _as_list(parameters)
    try:
        _check_nobody_watches()
        _gradclip._clip_grads_with_norm(parameters, max_norm, total_norm)
    except (TypeError, ValueError) as why:
        _leave_to_torch(why)
    else:
        return
    _torch_clip_grads_with_norm_(parameters, max_norm, total_norm, foreach)


def clip_grad_value_(
    parameters: torch.Tensor | Iterable[torch.Tensor],
    clip_value: float,
    foreach: bool | None = None,
) -> None:
    """Clamp gradients in place to ±clip_value, as `torch.nn.utils.clip_grad_value_`.

    NaN stays NaN. If no element is outside, no byte is written.

    Parameters
    ----------
    parameters, foreach
        As for `clip_grad_norm_`.
    clip_value : float
        The largest magnitude, rounded to each gradient's dtype.

    Examples
    --------
    >>> import torch, gradclip.torch
    >>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> weight.grad = torch.tensor([3.0, -0.5])
    >>> gradclip.torch.clip_grad_value_([weight], 1.0)
    >>> weight.grad
    tensor([ 1.0000, -0.5000])
    """
    parameters = _as_list(parameters)
    try:
        _check_nobody_watches()
        _gradclip._clip_grad_value(parameters, clip_value)
    except (TypeError, ValueError) as why:
        _leave_to_torch(why)
    else:
        return
    _torch_clip_grad_value_(parameters, clip_value, foreach)


def handed_over() -> int:
    """How many calls in this process were left to torch, since they were none of gradclip's.

    The logger ``gradclip.torch`` tells why, at level DEBUG.

    Examples
    --------
    >>> import torch, gradclip.torch
    >>> before = gradclip.torch.handed_over()
    >>> gradclip.torch.get_total_norm([torch.ones(2), torch.zeros(3)], norm_type=0)
    tensor(1.)
    >>> gradclip.torch.handed_over() - before
    1
    """
    return _handed_over


# Where torch keeps its functions, and what stands there while they are replaced. Its private names
# are what torch's own clip_grad_norm_ calls: one imported by name before is quick as well.
_REPLACEMENTS: list[tuple[types.ModuleType, str, Callable[..., Any]]] = [
    (_utils, "clip_grad_norm_", clip_grad_norm_),
    (_utils, "get_total_norm", get_total_norm),
    (_utils, "clip_grads_with_norm_", clip_grads_with_norm_),
    (_utils, "clip_grad_value_", clip_grad_value_),
    (_clip_grad, "clip_grad_norm_", clip_grad_norm_),
    (_clip_grad, "_get_total_norm", get_total_norm),
    (_clip_grad, "_clip_grads_with_norm_", clip_grads_with_norm_),
    (_clip_grad, "clip_grad_value_", clip_grad_value_),
]
_originals: dict[tuple[types.ModuleType, str], Callable[..., Any]] = {}

# As torch.compiler.disable marks functions, which would load the compiler first, for 0.8 s.
for _replacement in _REPLACEMENTS:
    vars(_replacement[2])["_torchdynamo_disable"] = True


def _replace() -> list[tuple[types.ModuleType, str, Callable[..., Any]]]:
    """Replace what is not replaced yet, and return that."""
    changes = []
    for module, name, function in _REPLACEMENTS:
        found = getattr(module, name)
        if found is not function:
            changes.append((module, name, function))
            _originals[module, name] = found
            setattr(module, name, function)
    return changes


def _put_back(changes: Iterable[tuple[types.ModuleType, str, Callable[..., Any]]]) -> None:
    """Undo that where nothing else stands by now."""
    for module, name, function in changes:
        if getattr(module, name) is function and (module, name) in _originals:
            setattr(module, name, _originals.pop((module, name)))


def install() -> None:
    """Put these functions in the place of torch's, in `torch.nn.utils` and its `clip_grad`.

    Libraries that call them there, such as Lightning, Accelerate, Hugging Face's Trainer and
    Stable-Baselines3, then use gradclip. A second call does nothing.

    Examples
    --------
    >>> import torch, gradclip.torch
    >>> gradclip.torch.install()
    >>> torch.nn.utils.clip_grad_norm_ is gradclip.torch.clip_grad_norm_
    True
    >>> gradclip.torch.uninstall()
    """
    _replace()


def uninstall() -> None:
    """Put back the functions that `install` replaced, except where something else stands by now."""
    _put_back(_REPLACEMENTS)


@contextmanager
def installed() -> Iterator[None]:
    """`install` for the length of a ``with`` block, and undo what it changed.

    Examples
    --------
    >>> import torch, gradclip.torch
    >>> with gradclip.torch.installed():
    ...     torch.nn.utils.get_total_norm(torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    outer = dict(_originals)
    changes = _replace()
    try:
        yield
    finally:
        _put_back(changes)
        for place, original in outer.items():
            _originals.setdefault(place, original)
