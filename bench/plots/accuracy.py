"""How far the norms are from the truth as arrays grow."""

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, LogLocator, NullLocator

from bench.accuracy import BOUND, HUGE, Accuracy
from bench.cases import power_of_two
from bench.contenders import OURS
from bench.plots import style
from bench.record import Run

FLOOR = 1e-18  # exact results are drawn here


def draw(run: Run, folder: Path) -> None:
    """Draw a line for each contender, gradclip's promise, and a table of norms near overflow."""
    found = run.accuracy
    figure, (axes, beside) = plt.subplots(1, 2, figsize=(13, 6.6), width_ratios=(1, 0.36))
    figure.subplots_adjust(left=0.075, right=0.99, top=0.87, bottom=0.13, wspace=0.36)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    lines = []
    for name, errors in found.errors.items():
        points = [
            (n, max(error, FLOOR))
            for n, error in zip(found.elements, errors, strict=True)
            if error is not None
        ]
        if points:
            lines.append(style.plot_line(axes, name, *zip(*points, strict=True)))
            exact = [n for n, error in points if error == FLOOR]
            axes.plot(exact, [FLOOR] * len(exact), "o", color="white", markersize=2.5, zorder=5)
    axes.axhline(BOUND, color=style.look(OURS.name)[0], linestyle="--", linewidth=1.3)
    axes.text(
        found.elements[0],
        BOUND * 1.5,
        f"{OURS.name}'s promise, whatever the length: 2⁻⁴⁴",
        color=style.look(OURS.name)[0],
    )
    axes.set_xlim(found.elements[0], found.elements[-1])
    axes.set_ylim(FLOOR / 3, 1)
    axes.yaxis.set_major_locator(LogLocator(100, numticks=12))
    axes.xaxis.set_major_locator(FixedLocator(found.elements[::2]))
    axes.xaxis.set_major_formatter(
        FixedFormatter([power_of_two(n.bit_length() - 1) for n in found.elements[::2]])
    )
    axes.xaxis.set_minor_locator(NullLocator())
    style.grid(axes)
    axes.set_xlabel("elements: standard normal float32")
    axes.set_ylabel(f"relative error of the norm (exact ones at {FLOOR:g}, hollow)")
    style.label_ends(axes, lines)
    near_overflow(beside, found)
    style.head(figure, title(found), "Lower is better; both axes are logarithmic")
    style.save(figure, run, folder / "accuracy.png")


def near_overflow(axes: Axes, found: Accuracy) -> None:
    """Write what each contender takes for the norm of two values whose squares are too large."""
    axes.axis("off")
    axes.set_ylim(max(11, len(found.huge) + 2), 0)  # in lines of text
    axes.text(0, 0.3, "The norm of [1e20, 1e20]", fontweight="bold", fontsize=11)
    axes.text(0, 0.95, "fits float32; the squares do not", color="0.3")
    truth = float(np.hypot(*HUGE.astype(np.float64)))
    for y, (name, text) in enumerate(found.huge.items(), start=2):
        right = abs(float(text) / truth - 1) < 1e-6
        axes.text(0, y, name, color=style.look(name)[0], fontsize=10.5)
        mark, colour = ("✓", "#006000") if right else ("✗", "#B00000")
        axes.text(0.5, y, f"{text} {mark}", color=colour, fontsize=10.5)


def title(found: Accuracy) -> str:
    """Return the finding: gradclip's worst error beside the worst of the others."""

    def worst(name: str) -> float:
        return max((e for e in found.errors[name] if e is not None), default=0.0)

    ours = worst(OURS.name)
    others = max((worst(name) for name in found.errors if name != OURS.name), default=0.0)
    if not others:
        return f"{OURS.name}'s norms are right to {ours:.0e}"
    return f"{OURS.name}'s norms are right to {ours:.0e}; others are off by up to {others:.0e}"
