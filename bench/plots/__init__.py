"""The pictures of a run: speed against size, leads by model, accuracy against length."""

from pathlib import Path

from bench.plots import accuracy, models, speed
from bench.record import Run


def draw(run: Run, folder: Path) -> None:
    """Draw what the run has figures for: speed.png, models.png and accuracy.png."""
    for picture in (speed, models, accuracy):
        picture.draw(run, folder)
