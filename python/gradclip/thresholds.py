"""Thresholds that follow the norms of a training run.

An instance is a function of the norm: pass it as ``max_norm`` wherever that may be a function, in
`clip_by_global_norm_`, `clip_by_global_norm`, `sgd_step_` and `gradclip.torch.clip_grad_norm_`. To
`clip_with_norm_`, pass ``threshold(total_norm)``. Call it once per step, from one thread at a time.

>>> import numpy as np, gradclip
>>> threshold = gradclip.thresholds.AutoClip(percentile=50)
>>> [gradclip.clip_by_global_norm_(np.array([norm]), threshold) for norm in (1.0, 5.0, 3.0)]
[1.0, 5.0, 3.0]
>>> threshold.state_dict()
{'percentile': 50.0, 'window': None, 'norms': [1.0, 5.0, 3.0]}
"""

import math
import operator
import statistics
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping
from numbers import Real
from typing import Any

__all__ = ["AutoClip", "ZClip"]

# A standard deviation below this share of the mean is what rounding to float32 makes of constant
# norms (2⁻²⁴), with room to spare.
_NOISE = 2.0**-20

_ABOVE_0 = math.ulp(0.0)
_BELOW_1 = math.nextafter(1.0, 0.0)
_LARGEST = math.nextafter(math.inf, 0.0)


class AutoClip:
    """A percentile of the norms so far, the current one included.

    A step takes a binary search and an insertion into a sorted list: its time hardly grows with
    the number of steps, and not at all with a window. Without a window every norm is kept.

    Parameters
    ----------
    percentile : float, default 10
        From 0 to 100; between two norms it is interpolated, as `numpy.percentile` does. All but
        about this many percent of the steps are clipped, and nothing is by 100.
    window : int, optional
        Look at the last so many norms only.

    Raises
    ------
    TypeError, ValueError
        percentile or window is none of these; later, a norm is negative or not finite.

    Attributes
    ----------
    percentile, window
        As given.

    Notes
    -----
    Source: Seetharaman, Wichern, Pardo and Le Roux, "AutoClip: Adaptive Gradient Clipping for
    Source Separation Networks", MLSP 2020, https://arxiv.org/abs/2007.14469.

    Examples
    --------
    >>> import gradclip
    >>> threshold = gradclip.thresholds.AutoClip(percentile=25, window=3)
    >>> [threshold(norm) for norm in (8.0, 4.0, 6.0, 2.0)]
    [8.0, 5.0, 5.0, 3.0]
    >>> resumed = gradclip.thresholds.AutoClip()
    >>> resumed.load_state_dict(threshold.state_dict())
    >>> resumed, resumed(5.0) == threshold(5.0)
    (AutoClip(percentile=25.0, window=3), True)
    """

    def __init__(self, percentile: float = 10.0, window: int | None = None) -> None:
        self.percentile = _number(percentile, "percentile", "from 0 to 100", 0.0, 100.0)
        self.window = None if window is None else _count(window, "window")
        self._norms: deque[float] = deque()  # as they came
        self._ranked: list[float] = []  # sorted

    def __call__(self, norm: float) -> float:
        """Return the threshold for a gradient of this norm."""
        norm = _norm(norm)
        if len(self._norms) == self.window:
            del self._ranked[bisect_left(self._ranked, self._norms.popleft())]
        self._norms.append(norm)
        insort(self._ranked, norm)
        return _percentile(self._ranked, self.percentile)

    def state_dict(self) -> dict[str, Any]:
        """Return the settings and the norms, in numbers and lists that JSON has."""
        return {"percentile": self.percentile, "window": self.window, "norms": list(self._norms)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned, with its settings. After an error, as before."""
        percentile, window, norms = _values(state, "percentile", "window", "norms")
        loaded = AutoClip(percentile, window)
        loaded._norms.extend(_norms(norms, "norms", loaded.window))
        loaded._ranked = sorted(loaded._norms)
        vars(self).update(vars(loaded))

    def __repr__(self) -> str:
        return f"AutoClip(percentile={self.percentile}, window={self.window})"


class ZClip:
    """Clip spikes: norms that are many standard deviations above a moving average.

    With z = (norm − mean) / std, the threshold is mean + z_thresh · std / (z / z_thresh) where
    z > z_thresh, the lower the larger the spike; else inf, and nothing is clipped. Mean and
    variance then move towards the clipped norm. Nothing is clipped in the warm-up, from whose
    norms they begin, nor while norms have been constant (to 2⁻²⁰), which gives z no meaning.

    Parameters
    ----------
    alpha : float, default 0.97
        The weight of the past in the moving averages, above 0 and below 1.
    z_thresh : float, default 2.5
        The number of standard deviations that makes a spike, above 0.
    warmup_steps : int, default 25
        The number of steps before, at least 1.

    Raises
    ------
    TypeError, ValueError
        A parameter is none of these; later, a norm is negative or not finite.

    Attributes
    ----------
    alpha, z_thresh, warmup_steps
        As given.
    mean, std : float
        Of the norms, as clipped; 0 until the warm-up is over.

    Notes
    -----
    Source: Kumar, Owen, Roy Chowdhury and Güra, "ZClip: Adaptive Spike Mitigation for LLM
    Pre-Training", 2025, https://arxiv.org/abs/2504.02507. Norms that rise at once by many standard
    deviations, and stay there, are spikes to this method for hundreds of steps. For a fixed bound
    too, pass ``lambda norm: min(1.0, zclip(norm))``.

    Examples
    --------
    >>> import gradclip
    >>> threshold = gradclip.thresholds.ZClip(warmup_steps=2)
    >>> [threshold(norm) for norm in (1.0, 3.0, 4.0, 12.0)]
    [inf, inf, inf, 2.7409029175050303]
    """

    def __init__(self, alpha: float = 0.97, z_thresh: float = 2.5, warmup_steps: int = 25) -> None:
        self.alpha = _number(alpha, "alpha", "above 0 and below 1", _ABOVE_0, _BELOW_1)
        self.z_thresh = _number(z_thresh, "z_thresh", "above 0 and finite", _ABOVE_0)
        self.warmup_steps = _count(warmup_steps, "warmup_steps")
        self.mean = self.std = 0.0
        self._warmup_norms: list[float] = []

    def __call__(self, norm: float) -> float:
        """Return the threshold for a gradient of this norm."""
        norm = _norm(norm)
        if len(self._warmup_norms) < self.warmup_steps:
            self._warmup_norms.append(norm)
            if len(self._warmup_norms) == self.warmup_steps:
                self.mean = statistics.mean(self._warmup_norms)
                self.std = statistics.pstdev(self._warmup_norms)
            return math.inf
        threshold = self._threshold(norm)
        self._follow(min(norm, threshold))
        return threshold

    def _threshold(self, norm: float) -> float:
        if self.std <= _NOISE * self.mean:
            return math.inf
        z = (norm - self.mean) / self.std
        if z <= self.z_thresh:
            return math.inf
        return self.mean + self.z_thresh * self.std / (z / self.z_thresh)

    def _follow(self, norm: float) -> None:
        new = 1.0 - self.alpha
        self.mean = self.alpha * self.mean + new * norm
        # The root of α·std² + (1 − α)·(norm − mean)², whose squares may overflow.
        self.std = math.hypot(math.sqrt(self.alpha) * self.std, math.sqrt(new) * (norm - self.mean))

    def state_dict(self) -> dict[str, Any]:
        """Return the settings and the statistics, in numbers and lists that JSON has."""
        return {
            "alpha": self.alpha,
            "z_thresh": self.z_thresh,
            "warmup_steps": self.warmup_steps,
            "warmup_norms": list(self._warmup_norms),
            "mean": self.mean,
            "std": self.std,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned, with its settings. After an error, as before."""
        *settings, norms, mean, std = _values(
            state, "alpha", "z_thresh", "warmup_steps", "warmup_norms", "mean", "std"
        )
        loaded = ZClip(*settings)
        loaded._warmup_norms = _norms(norms, "warmup_norms", loaded.warmup_steps)
        loaded.mean = _number(mean, "mean", "at least 0 and finite")
        loaded.std = _number(std, "std", "at least 0 and finite")
        vars(self).update(vars(loaded))

    def __repr__(self) -> str:
        return (
            f"ZClip(alpha={self.alpha}, z_thresh={self.z_thresh}, warmup_steps={self.warmup_steps})"
        )


def _percentile(ranked: list[float], percentile: float) -> float:
    """As `numpy.percentile`, bit for bit."""
    place = (len(ranked) - 1) * (percentile / 100.0)
    below = int(place)
    low, high = ranked[below], ranked[min(below + 1, len(ranked) - 1)]
    share, step = place - below, high - low
    return low + step * share if share < 0.5 else high - step * (1.0 - share)


def _number(value: Any, name: str, wanted: str, low: float = 0.0, high: float = _LARGEST) -> float:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number {wanted}, not {value!r}")
    number = float(value)
    if not low <= number <= high:
        raise ValueError(f"{name} must be {wanted}, not {number}")
    return number


def _count(value: Any, name: str) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, at least 1, not {value!r}") from None
    if count < 1:
        raise ValueError(f"{name} must be at least 1, not {value!r}")
    return count


def _norm(value: Any) -> float:
    norm = float(value)  # of a tensor, too
    if not 0.0 <= norm < math.inf:
        raise ValueError(f"a norm must be at least 0 and finite, not {norm}")
    return norm


def _norms(values: Any, name: str, most: int | None) -> list[float]:
    if not isinstance(values, list):
        raise TypeError(f"{name} must be a list of numbers, not {values!r}")
    if most is not None and len(values) > most:
        raise ValueError(f"{name} must hold at most {most} numbers, not {len(values)}")
    return [
        _number(value, f"{name}[{i}]", "at least 0 and finite") for i, value in enumerate(values)
    ]


def _values(state: Mapping[str, Any], *keys: str) -> list[Any]:
    if not isinstance(state, Mapping):
        raise TypeError(f"the state must be a dict, as state_dict() returns it, not {state!r}")
    if state.keys() != set(keys):
        raise ValueError(f"the state must have the keys {list(keys)}, not {list(state)}")
    return [state[key] for key in keys]
