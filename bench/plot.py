"""The picture: gradclip's lead over every peer in every case, and GB/s against size."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.cases import SIZES, short
from bench.contenders import OURS, PEERS
from bench.machine import Machine
from bench.results import Row

# Okabe and Ito's palette, told apart by the colour-blind; the markers help in black and white.
COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MOST_LINES = 45  # in the left panel; beyond, the single arrays are left out
TICKS = tuple(digit * 10.0**k for k in range(-3, 4) for digit in (1, 2, 5))
NAMES = (OURS.name, *(peer.name for peer in PEERS))
LOOKS = {n: (c, m) for n, c, m in zip(NAMES, COLOURS, MARKERS, strict=False)}


def draw(rows: Sequence[Row], machine: Machine, file: Path) -> None:
    """Draw both panels and write them as a PNG file."""
    sizes = [r for r in rows if r.case.group == SIZES and r.case.dtype == "float32"]
    if len(rows) > MOST_LINES:
        rows = [r for r in rows if r.case.group != SIZES]
    figure, (left, right) = plt.subplots(
        1,
        2,
        figsize=(14, max(6.5, 2.3 + 0.27 * len(rows))),
        width_ratios=(1.25, 1),
        layout="constrained",
    )
    figure.suptitle(
        "Clipping gradients by their global norm: gradclip against NumPy and SciPy",
        fontsize=15,
        fontweight="bold",
    )
    draw_leads(left, rows)
    draw_rates(right, sizes)
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=len(NAMES))
    right.annotate(
        f"{machine.cpu}, {machine.cores} cores · gradclip {machine.gradclip}, {machine.isa}, "
        f"{machine.threads} threads · NumPy {machine.numpy}, SciPy {machine.scipy}",
        (1, 1),
        xycoords="axes fraction",
        xytext=(0, 26),
        textcoords="offset points",
        horizontalalignment="right",
        fontsize=9,
        color="0.35",
    )
    figure.savefig(file, dpi=130)
    plt.close(figure)


def draw_leads(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw a line per case and a dot per peer: its time over gradclip's."""
    for peer in NAMES[1:]:
        colour, marker = LOOKS[peer]
        points = [
            (outcome.ratio, y)
            for y, row in enumerate(rows)
            if (outcome := row.outcomes[peer]).ratio is not None
        ]
        axes.plot(
            *zip(*points, strict=True), marker, color=colour, label=peer, markersize=6, alpha=0.9
        )
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    low, high = min(low, 0.8), max(high, 2.0)
    axes.set_xlim(low, high)
    axes.axvspan(low, 1, color="0.92", zorder=0)
    axes.axvline(1, color="0.2", linewidth=1.2)
    ticks = [t for t in TICKS if low <= t <= high]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda t, _: f"{t:g}×"))
    for y, (above, below) in enumerate(pairwise(rows), start=1):
        if above.case.group != below.case.group:
            axes.axhline(y - 0.5, color="0.6", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [label(row) for row in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(color="0.85", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_title("How many times as long as gradclip the others take", loc="left", fontsize=11)
    axes.set_xlabel("time / gradclip's time (log scale); in the grey area gradclip is slower")


def draw_rates(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw GB/s against the number of elements, a line per contender, for clips that clip."""
    clipping = sorted((r for r in rows if r.case.clips), key=lambda row: row.case.elements)
    for name in NAMES:
        colour, marker = LOOKS[name]
        points = [
            (row.case.elements, rate)
            for row in clipping
            if (rate := row.gb_per_s(name)) is not None
        ]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                marker=marker,
                color=colour,
                label=name,
                linewidth=2.6 if name == OURS.name else 1.4,
            )
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: short(int(n))))
    axes.grid(color="0.85", linewidth=0.6)
    axes.set_title("Speed for one float32 array that is clipped", loc="left", fontsize=11)
    axes.set_xlabel("elements (log scale)")
    axes.set_ylabel("GB/s, counting two reads and a write")


def label(row: Row) -> str:
    """Return the name of a case on the axis."""
    words = [row.case.name]
    if row.case.dtype != "float32":
        words.append(row.case.dtype)
    if not row.case.clips:
        words.append("nothing to clip")
    if any(outcome.problem for outcome in row.outcomes.values()):
        words.append("with WRONG results")
    return ", ".join(words)
