"""How many times as long as gradclip the peers take to clip the gradients of known models."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from bench.cases import MODELS
from bench.contenders import OURS, is_ours
from bench.plots import style
from bench.record import Run
from bench.results import Row, contender_names, leads

SMALL = "1,000 × 256"  # stands for a model of many small arrays
WIDTH, LEFT = 3.3, 1.15  # inches: of a panel, of the names


def draw(run: Run, folder: Path) -> None:
    """Draw a panel for each model, a bar for each peer."""
    rows = [
        row
        for row in run.rows
        if (row.group == MODELS or row.name == SMALL) and row.clips and row.dtype == "float32"
    ]
    peers = [name for name in contender_names(rows) if not is_ours(name)]
    if not leads(rows):
        return
    width, height = LEFT + WIDTH * len(rows), 2.2 + 0.34 * len(peers)
    figure, (panels,) = plt.subplots(1, len(rows), figsize=(width, height), squeeze=False)
    figure.subplots_adjust(
        left=LEFT / width, right=0.985, top=1 - 1.15 / height, bottom=0.8 / height, wspace=0.1
    )
    for axes, row in zip(panels, rows, strict=True):
        panel(axes, row, peers)
        axes.set_yticks(range(len(peers)), peers if axes is panels[0] else [], fontsize=10.5)
    style.head(
        figure,
        title(rows),
        f"Time to clip all gradients, in multiples of {OURS.name}'s time (black line). Longer bars "
        "are slower",
    )
    style.save(figure, run, folder / "models.png")


def panel(axes: Axes, row: Row, peers: Sequence[str]) -> None:
    """Draw the bars of one model; peers that were not timed have none."""
    ratios = {name: o.ratio for name, o in row.outcomes.items() if o.ratio is not None}
    axes.set_xlim(0, max(1.5, *ratios.values()) * 1.25)
    for y, peer in enumerate(peers):
        ratio = ratios.get(peer, 0.0)
        axes.barh(y, ratio, 0.72, color=style.look(peer)[0])
        text = f" {ratio:.3g}×" if ratio else " not timed"
        colour = "#B00000" if 0 < ratio < 1 else "black"  # there gradclip is the slower one
        axes.text(max(ratio, 1), y, text, va="center", fontsize=10, color=colour)
    axes.axvline(1, color="black", linewidth=1.6)
    axes.invert_yaxis()
    name = "1,000 arrays of 256" if row.name == SMALL else row.name
    axes.set_title(name, loc="left", fontsize=11.5, fontweight="bold")
    axes.set_xlabel(f"time / {OURS.name}'s time")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)


def title(rows: Sequence[Row]) -> str:
    """Return the finding: how often gradclip is the faster one, and by how much."""
    ratios = [lead.ratio for lead in leads(rows)]
    wins = [ratio for ratio in ratios if ratio > 1]
    text = f"{OURS.name} clips faster in {len(wins)} of {len(ratios)} comparisons"
    return f"{text}, by up to {max(wins):.0f}×" if wins else text
