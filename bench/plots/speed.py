"""Throughput against size for one float32 array, below what the memory allows."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator

from bench.cases import SIZES, short
from bench.contenders import OURS, is_ours
from bench.plots import style
from bench.record import Run
from bench.results import Row, contender_names

LARGE = 2**24  # elements, 64 MiB
PASSES = {
    False: "Nothing to clip: the norm alone, one read",
    True: "Clipped: a read for the norm, then a read and a write",
}


def draw(run: Run, folder: Path) -> None:
    """Draw a panel for norms alone and one for clips, as far as the run has timed them."""
    sizes = [r for r in run.rows if r.group == SIZES and r.dtype == "float32"]
    panels = {c: rows for c in PASSES if len(rows := [r for r in sizes if r.clips == c]) > 1}
    if not panels:
        return
    width = 7.6 * len(panels)
    figure, (all_axes,) = plt.subplots(1, len(panels), figsize=(width, 6.4), squeeze=False)
    figure.subplots_adjust(
        left=0.95 / width, right=1 - 1.75 / width, wspace=0.44, top=0.84, bottom=0.13
    )
    for axes, (clips, rows) in zip(all_axes, panels.items(), strict=True):
        panel(axes, sorted(rows, key=lambda row: row.elements))
        axes.set_title(PASSES[clips], loc="left", fontsize=11.5, fontweight="bold")
    style.head(
        figure,
        title(sizes),
        "One float32 array. Higher is faster; both axes are logarithmic; the grey area is what "
        "memory and caches allow",
    )
    style.save(figure, run, folder / "speed.png")


def panel(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw GB/s against the number of elements, and the ceiling as an area."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    lines = []
    for name in contender_names(rows):
        points = [(r.elements, rate) for r in rows if (rate := r.gb_per_s(name)) is not None]
        if points and (name == OURS.name or not is_ours(name)):
            lines.append(style.plot_line(axes, name, *zip(*points, strict=True)))
    style.grid(axes)
    lines += ceiling(axes, rows)
    axes.xaxis.set_major_locator(LogLocator(10, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: short(int(n))))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.set_xlabel("elements")
    axes.set_ylabel("GB/s of the bytes that must move")
    axes.set_xlim(rows[0].elements, rows[-1].elements)
    style.label_ends(axes, lines)


def ceiling(axes: Axes, rows: Sequence[Row]) -> list[style.Line]:
    """Shade what the memory and the caches allow."""
    points = [(r.elements, r.bytes_moved / sum(r.passes) / 1e9) for r in rows if r.passes]
    if not points:
        return []
    xs, ys = zip(*points, strict=True)
    bottom = axes.get_ylim()[0]
    axes.fill_between(xs, ys, bottom, color="0.5", alpha=0.12, linewidth=0, zorder=1)
    axes.plot(xs, ys, color="0.45", linewidth=1.2, linestyle="--", zorder=2)
    axes.set_ylim(bottom=bottom)
    label = "limit: read + rewrite" if rows[0].clips else "limit: a plain read"
    return [style.Line(label, xs[-1], ys[-1], "0.35")]


def title(rows: Sequence[Row]) -> str:
    """Return the finding: what share of the memory's speed gradclip reaches beyond the caches."""
    shares = [r.of_ceiling for r in rows if r.of_ceiling is not None and r.elements >= LARGE]
    if not shares:
        return f"How fast {OURS.name} and the others are, and how fast memory is"
    reached = " to ".join(f"{share:.0%}" for share in dict.fromkeys((min(shares), max(shares))))
    return f"On arrays of 64 MiB and more {OURS.name} reaches {reached} of the memory's speed"
