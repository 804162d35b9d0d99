"""What every example takes on the command line, and how its picture looks."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart by the colour-blind.
CLIPPED, UNCLIPPED, OTHER, FOURTH, REFERENCE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#606060"


def options(purpose: str | None, picture: str) -> Namespace:
    """Parse --quick, a run too short to show much, and --out, where the picture goes."""
    parser = ArgumentParser(description=(purpose or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few steps only, for a test")
    parser.add_argument("--out", type=Path, default=Path(picture), help="default: %(default)s")
    return parser.parse_args()


def tidy(axes: Axes, title: str, x: str, y: str) -> None:
    """Label a picture and take away what it does not need."""
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E5E5E5", linewidth=0.7)
    axes.set_axisbelow(True)


def level(axes: Axes, y: float, label: str) -> None:
    """Draw a dashed line across, with its label beside it."""
    axes.axhline(y, color=REFERENCE, linestyle="--")
    axes.text(1.01, y, label, color=REFERENCE, va="center", transform=axes.get_yaxis_transform())


def save(figure: Figure, path: Path) -> None:
    """Write a picture, and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    print(f"picture: {path}")
