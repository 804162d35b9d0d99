"""A recurrent network that diverges without clipping, and learns with it.

    python3 examples/divergence.py [--quick] [--out docs/divergence.png]

The same network, text, batches and learning rate, from several seeds; the only difference is
max_norm. What it prints: the loss over the last steps, in nats per character, for each seed.
"""

import math
from pathlib import Path

import numpy as np
from char_rnn import text, train
from command import CLIPPED, UNCLIPPED, level, options, save, tidy
from matplotlib import pyplot as plt

from gradclip.monitor import NormHistory

Run = tuple[list[float], NormHistory]

LR, MAX_NORM = 1.0, 1.0
KINDS = {
    f"clipped at {MAX_NORM:g}": (MAX_NORM, CLIPPED),
    "not clipped": (math.inf, UNCLIPPED),
}


def main() -> None:
    """Train, print the table, draw."""
    chosen = options(__doc__, "docs/divergence.png")
    seeds, steps = (range(1), 8) if chosen.quick else (range(5), 600)
    curves = {
        kind: [train(seed, steps, LR, max_norm) for seed in seeds]
        for kind, (max_norm, _) in KINDS.items()
    }
    guess = math.log(text()[1])
    print(f"plain SGD, learning rate {LR:g}, {steps} steps; a blind guess has loss {guess:.2f}")
    last = max(1, steps // 12)
    for kind, runs in curves.items():
        losses = [np.mean(losses[-last:]) for losses, _ in runs]
        worst = max(history.norms.max() for _, history in runs)
        print(
            f"{kind:>14}: loss over the last {last} steps "
            + " ".join(f"{loss:.2f}" for loss in losses)
            + f" (seeds {seeds.start}..{seeds.stop - 1}); largest norm {worst:.3g}"
        )
    draw(curves, guess, chosen.out)


def draw(curves: dict[str, list[Run]], guess: float, path: Path) -> None:
    """Draw loss and norm over the steps, a line for each seed."""
    figure, (losses, norms) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for kind, runs in curves.items():
        looks = {"color": KINDS[kind][1], "alpha": 0.6, "linewidth": 0.9}
        for of_run, history in runs:
            losses.plot(of_run, **looks)
            norms.plot(history.norms, **looks)
    level(losses, guess, "blind guess")
    level(norms, MAX_NORM, "max_norm")
    losses.set_yscale("log")
    norms.set_yscale("log")
    tidy(losses, "Loss", "training step", "nats per character")
    tidy(norms, "Gradient norm, before clipping", "training step", "‖g‖")
    losses.set_yticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    losses.minorticks_off()
    for height, (kind, (_, colour)) in zip((0.2, 0.97), KINDS.items(), strict=True):
        place = {"ha": "right", "va": "top", "transform": losses.transAxes}
        losses.text(0.98, height, kind, color=colour, weight="bold", backgroundcolor="w", **place)
    save(figure, path)


if __name__ == "__main__":
    main()
