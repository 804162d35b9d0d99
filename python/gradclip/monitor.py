"""What clipping did in a training run, and which threshold would have done what.

>>> import gradclip
>>> history = gradclip.monitor.NormHistory()
>>> for norm in (0.5, 2.0, 1.0, 4.0):
...     history.record(norm, max_norm=1.0)
>>> print(history.summary())
steps                 4
clipped           50.0%
not finite            0
<BLANKLINE>
percentile  as max_norm  would clip
50                  1.5       50.0%
90                  3.4       25.0%
95                  3.7       25.0%
99                 3.94       25.0%
100                   4        0.0%
"""

import math
import os
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from gradclip import _norm_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["NormHistory", "NormPercentile", "NormSummary"]

PERCENTILES = (50, 90, 95, 99, 100)


class NormPercentile(NamedTuple):
    """A percentile of the norms, and what it would have done as a threshold.

    Attributes
    ----------
    percentile : int
        From 0 to 100.
    norm : float
        The percentile, which may serve as max_norm.
    clip_rate : float
        The share of steps that this max_norm would have clipped.
    """

    percentile: int
    norm: float
    clip_rate: float


@dataclass(frozen=True)
class NormSummary:
    """What `NormHistory.summary` returns; printed, it is a table.

    Attributes
    ----------
    steps : int
        The number of steps.
    clip_rate : float
        The share of steps that were clipped, of those with a finite norm; 0 if there are none.
    nonfinite : int
        The number of steps with a norm of inf or NaN.
    percentiles : tuple of NormPercentile
        50, 90, 95, 99 and 100 of the finite norms; empty if there are none.
    """

    steps: int
    clip_rate: float
    nonfinite: int
    percentiles: tuple[NormPercentile, ...]

    def __str__(self) -> str:
        lines = [
            f"steps       {self.steps:>11}",
            f"clipped     {self.clip_rate:>11.1%}",
            f"not finite  {self.nonfinite:>11}",
        ]
        if self.percentiles:
            lines += ["", "percentile  as max_norm  would clip"]
        for percentile, norm, clip_rate in self.percentiles:
            lines.append(f"{percentile:<10}  {norm:>11.4g}  {clip_rate:>10.1%}")
        return "\n".join(lines)


class NormHistory:
    """A record of the norm and the threshold of each training step.

    Parameters
    ----------
    path : str or os.PathLike, optional
        A .csv or .jsonl file that gets a line as each step is recorded: step, norm, max_norm,
        factor, clipped. If the process dies, what it recorded stays. If there is such a file
        already, its steps are read and the record goes on after them. One process per file.

    Raises
    ------
    ValueError
        path has another suffix, or is a file of something else.
    OSError
        The file can't be opened, or later written.

    Examples
    --------
    Make a threshold that records, and use it as any other:

    >>> import numpy as np, gradclip
    >>> history = gradclip.monitor.NormHistory()
    >>> max_norm = history.threshold(1.0)
    >>> for grad in ([3.0, 4.0], [0.6, 0.0]):
    ...     norm = gradclip.clip_by_global_norm_(np.array(grad), max_norm)
    >>> history.factors
    array([0.2, 1. ])

    Or record what a call returns, be it finite or not:

    >>> grad = np.array([np.inf, 1.0])
    >>> history.record(gradclip.clip_by_global_norm_(grad, 1.0, nonfinite="skip"), 1.0)
    >>> history
    NormHistory(steps=3, clipped=1)
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._norms = array("d")
        self._max_norms = array("d")
        self._factors = array("d")
        self._log: _norm_log.Log | None = None
        if path is not None:
            file = Path(path)
            self._record_all(_norm_log.read(file) if file.exists() else [])
            self._log = _norm_log.Log(file)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file and leave it alone. Its last line may have been cut short by a crash."""
        history = cls()
        history._record_all(_norm_log.read(Path(path)))
        return history

    def _record_all(self, steps: Iterable[tuple[float, float]]) -> None:
        for norm, max_norm in steps:
            self.record(norm, max_norm)

    def record(self, norm: SupportsFloat, max_norm: SupportsFloat = math.inf) -> None:
        """Record a step: the norm before clipping, which may be inf or NaN, and the threshold."""
        norm, max_norm = float(norm), float(max_norm)
        if norm < 0.0:
            raise ValueError(f"norm must be at least 0, not {norm}")
        if not max_norm >= 0.0:
            raise ValueError(f"max_norm must be at least 0, not {max_norm}")
        clipped = max_norm < norm < math.inf
        factor = max_norm / norm if clipped else 1.0 if norm < math.inf else math.nan
        if self._log is not None:
            self._log.append(_norm_log.Step(len(self), norm, max_norm, factor, clipped))
        self._norms.append(norm)
        self._max_norms.append(max_norm)
        self._factors.append(factor)

    def threshold(
        self, max_norm: SupportsFloat | Callable[[float], SupportsFloat]
    ) -> Callable[[float], float]:
        """Return a max_norm that records each step, from a number or a function of the norm.

        Steps with a norm that is not finite are not seen by it, since no threshold is asked for.
        """

        def recording(norm: float) -> float:
            chosen = float(max_norm(norm) if callable(max_norm) else max_norm)
            self.record(norm, chosen)
            return chosen

        return recording

    @property
    def norms(self) -> NDArray[np.float64]:
        """The norms before clipping, shape (steps,)."""
        return np.array(self._norms)

    @property
    def max_norms(self) -> NDArray[np.float64]:
        """The thresholds, shape (steps,)."""
        return np.array(self._max_norms)

    @property
    def factors(self) -> NDArray[np.float64]:
        """min(1, max_norm / norm), shape (steps,); NaN where the norm is not finite."""
        return np.array(self._factors)

    @property
    def clipped(self) -> NDArray[np.bool_]:
        """Whether norm > max_norm, shape (steps,); False where the norm is not finite."""
        return np.isfinite(self.norms) & (self.norms > self.max_norms)

    def summary(self) -> NormSummary:
        """Return counts, percentiles of the norms, and what these would do as thresholds."""
        finite = self.norms[np.isfinite(self.norms)]
        found = np.percentile(finite, PERCENTILES) if len(finite) else ()
        return NormSummary(
            steps=len(self),
            clip_rate=int(self.clipped.sum()) / max(1, len(finite)),
            nonfinite=len(self) - len(finite),
            percentiles=tuple(
                NormPercentile(percentile, float(norm), float(np.mean(finite > norm)))
                for percentile, norm in zip(PERCENTILES, found, strict=False)
            ),
        )

    def plot(self, axes: Sequence["Axes"] | None = None) -> "Figure":
        """Draw norms, thresholds and clipped steps, and beside them the distribution of norms.

        Parameters
        ----------
        axes : two of matplotlib.axes.Axes, optional
            Where to draw, as from ``plt.subplots(1, 2, sharey=True)``; else in a new figure.

        Returns
        -------
        matplotlib.figure.Figure
            As for ``savefig``.

        Raises
        ------
        ImportError
            matplotlib is not installed: ``python3 -m pip install 'gradclip[plot]'``.
        """
        try:
            from gradclip import _norm_plot
        except ImportError as error:
            error.add_note("A plot needs matplotlib: python3 -m pip install 'gradclip[plot]'")
            raise
        return _norm_plot.draw(self, axes)

    def close(self) -> None:
        """Close the file, if there is one. Nothing can be recorded after that."""
        if self._log is not None:
            self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._norms)

    def __repr__(self) -> str:
        return f"NormHistory(steps={len(self)}, clipped={int(self.clipped.sum())})"
