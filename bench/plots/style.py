"""What the pictures share: a colour and a marker for each contender, labels at the lines' ends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.contenders import OURS
from bench.peers import PEERS
from bench.record import Run
from bench.report import BUSY

# Okabe and Ito's palette, told apart by the colour-blind, with a darker yellow, a grey and an
# indigo; the markers help in black and white. The strongest colour is gradclip's.
COLOURS = (
    *("#D55E00", "#8A8A8A", "#0072B2", "#56B4E9", "#009E73"),
    *("#B59F00", "#CC79A7", "#332288", "#882255", "#E69F00"),
)
MARKERS = ("o", "s", "^", "v", "D", "P", "X", "*", "d", "h")
NAMES = (OURS.name, *(peer.name for peer in PEERS))
LOOKS = {n: (c, m) for n, c, m in zip(NAMES, COLOURS, MARKERS, strict=True)}
UNKNOWN = ("#606060", ".")  # a peer that only another version of the harness has


def look(name: str) -> tuple[str, str]:
    """Return a contender's colour and marker."""
    return LOOKS.get(name, UNKNOWN)


@dataclass(frozen=True)
class Line:
    """What a line's end is labelled with."""

    label: str
    x: float
    y: float
    colour: str


def plot_line(axes: Axes, name: str, xs: Sequence[float], ys: Sequence[float]) -> Line:
    """Draw a contender's line, gradclip's heavier and on top, and return what labels it."""
    colour, marker = look(name)
    ours = name == OURS.name
    axes.plot(
        xs,
        ys,
        marker=marker,
        color=colour,
        markersize=5 if ours else 4,
        linewidth=3 if ours else 1.3,
        zorder=4 if ours else 3,
    )
    return Line(name, xs[-1], ys[-1], colour)


def grid(axes: Axes) -> None:
    """Draw a faint grid behind the lines."""
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)


def label_ends(axes: Axes, lines: Iterable[Line], *, gap: float = 13.0) -> None:
    """Write the labels right of the lines, at least `gap` points apart.

    Call it when the limits of the axes are set.
    """
    axes.figure.canvas.draw()
    points = 72 / axes.figure.dpi
    right = axes.get_window_extent().x1 * points

    def place(line: Line) -> tuple[float, float]:
        x, y = axes.transData.transform((line.x, line.y)) * points
        return float(x), float(y)

    ordered = sorted(lines, key=lambda line: place(line)[1])
    heights = spread([place(line)[1] for line in ordered], gap)
    for line, height in zip(ordered, heights, strict=True):
        axes.annotate(
            line.label,
            (line.x, line.y),
            xytext=(right + 14, height),
            textcoords="figure points",
            color=line.colour,
            fontsize=10,
            fontweight="bold" if line.label.startswith(OURS.name) else "normal",
            verticalalignment="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": line.colour,
                "linewidth": 0.7,
                "alpha": 0.6,
                "shrinkA": 1,
                "shrinkB": 3,
                "relpos": (0, 0.5),
            },
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move sorted heights apart by at least `gap`, each as little as its neighbours allow."""
    groups: list[list[float]] = []  # heights that touch each other move as one around their mean
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _top(groups[-2], gap) + gap > _bottom(groups[-1], gap):
            last = groups.pop()
            groups[-1] += last
    return [_bottom(group, gap) + gap * k for group in groups for k in range(len(group))]


def _bottom(group: Sequence[float], gap: float) -> float:
    return sum(group) / len(group) - gap * (len(group) - 1) / 2


def _top(group: Sequence[float], gap: float) -> float:
    return _bottom(group, gap) + gap * (len(group) - 1)


def head(figure: Figure, title: str, below: str) -> None:
    """Write what the picture shows, and below it how to read it."""
    top = 1 - 0.12 / figure.get_figheight()
    figure.text(0.012, top, title, fontsize=15, fontweight="bold", verticalalignment="top")
    top -= 0.36 / figure.get_figheight()
    figure.text(0.012, top, below, fontsize=10.5, color="0.3", verticalalignment="top")


def save(figure: Figure, run: Run, file: Path) -> None:
    """Write where the figures come from below the picture, and the picture to its file."""
    machine, others = run.machine, run.cores_used_by_others
    text = f"{machine.cpu}, {machine.cores} cores, {machine.isa}, {machine.threads} threads · "
    text += ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    if others is not None and others > BUSY:
        text += f" · a busy machine: others used {others:.1f} cores"
    figure.text(0.012, 0.1 / figure.get_figheight(), text, fontsize=7.5, color="0.4")
    figure.savefig(file, dpi=130)
    plt.close(figure)
