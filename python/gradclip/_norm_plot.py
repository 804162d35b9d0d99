"""The picture of a `NormHistory`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

if TYPE_CHECKING:
    from gradclip.monitor import NormHistory

# Okabe and Ito's palette, told apart by the colour-blind.
NORM, CLIPPED, THRESHOLD, NONFINITE = "#56B4E9", "#D55E00", "#000000", "#CC79A7"
PERCENTILE_STYLES = ("solid", "dashed", "dashdot", "dotted")
BINS = 50


def draw(history: "NormHistory", axes: Sequence[Axes] | None) -> Figure:
    """Draw norms against steps, and beside them how they are distributed."""
    if axes is None:
        axes = plt.subplots(
            1, 2, sharey=True, width_ratios=(2.2, 1), figsize=(11, 5), layout="constrained"
        )[1]
    over_time, distribution = axes
    _draw_steps(over_time, history)
    _draw_distribution(distribution, history)
    figure = over_time.figure
    return figure.figure if isinstance(figure, SubFigure) else figure


def _draw_steps(axes: Axes, history: "NormHistory") -> None:
    steps, clipped, bad = np.arange(len(history)), history.clipped, ~np.isfinite(history.norms)
    norms, max_norms = _on_a_log_axis(history.norms), _on_a_log_axis(history.max_norms)
    axes.plot(steps, norms, color=NORM, linewidth=0.7, label="before clipping")
    label = f"clipped ({history.summary().clip_rate:.1%} of steps)"
    axes.plot(steps[clipped], norms[clipped], ".", color=CLIPPED, label=label)
    # With a marker: a threshold may stand alone between infs, which are not drawn.
    axes.plot(steps, max_norms, color=THRESHOLD, marker="_", markersize=4, label="max_norm")
    if bad.any():
        label = f"inf or NaN ({bad.sum()} steps)"
        top, height = np.full(bad.sum(), 0.98), axes.get_xaxis_transform()
        axes.plot(steps[bad], top, "x", color=NONFINITE, transform=height, label=label)
    axes.set(yscale="log", xlabel="training step", ylabel="norm of the gradients")
    _finish(axes, ncols=2)


def _draw_distribution(axes: Axes, history: "NormHistory") -> None:
    norms = _on_a_log_axis(history.norms)
    norms = norms[~np.isnan(norms)]
    if len(norms):
        low, high = np.log10([norms.min(), norms.max()])
        bins = np.logspace(low - 0.01, high + 0.01, BINS).tolist()
        axes.hist(norms, bins, orientation="horizontal", color=NORM)
    for row, style in zip(history.summary().percentiles, PERCENTILE_STYLES, strict=False):
        if row.norm > 0:
            label = f"max_norm {row.norm:.3g} would clip {row.clip_rate:.0%}"
            axes.axhline(row.norm, color=THRESHOLD, linestyle=style, linewidth=1, label=label)
    axes.set(yscale="log", xlabel="number of steps")
    _finish(axes, ncols=1)


def _finish(axes: Axes, ncols: int) -> None:
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=ncols, frameon=False)


def _on_a_log_axis(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make gaps of what has no place there."""
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)
