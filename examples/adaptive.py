"""AutoClip and ZClip beside a fixed threshold, on the text of `divergence.py`.

    python3 examples/adaptive.py [--quick] [--out docs/adaptive.png]

For each learning rate, the loss over the last steps, in nats per character, from two seeds: how
far a threshold that sets itself carries, against one that was found by trying.
"""

import math
from collections.abc import Callable

import numpy as np
from char_rnn import text, train
from command import CLIPPED, FOURTH, OTHER, UNCLIPPED, level, options, save, tidy
from matplotlib import pyplot as plt

from gradclip.thresholds import AutoClip, ZClip

Threshold = float | Callable[[float], float]

KINDS: dict[str, tuple[Callable[[], Threshold], str]] = {
    "not clipped": (lambda: math.inf, UNCLIPPED),
    "fixed, 1.0": (lambda: 1.0, CLIPPED),
    "AutoClip, 10th percentile": (AutoClip, OTHER),
    "ZClip": (ZClip, FOURTH),
}


def main() -> None:
    """Train, print the table, draw."""
    chosen = options(__doc__, "docs/adaptive.png")
    seeds, steps = (range(1), 6) if chosen.quick else (range(2), 300)
    rates = (0.5, 2.0) if chosen.quick else (0.25, 0.5, 1.0, 2.0, 4.0)
    last = max(1, steps // 10)
    figure, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    print(f"loss over the last {last} of {steps} steps, by learning rate")
    print(f"{'':>26}" + "".join(f"{rate:>8g}" for rate in rates))
    for kind, (make, colour) in KINDS.items():
        means = [
            float(np.mean([train(seed, steps, rate, make())[0][-last:] for seed in seeds]))
            for rate in rates
        ]
        print(f"{kind:>26}" + "".join(f"{mean:8.2f}" for mean in means))
        axes.plot(rates, means, "o-", color=colour, label=kind)
    level(axes, math.log(text()[1]), "blind guess")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axes.set_yticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    axes.minorticks_off()
    tidy(axes, f"Loss after {steps} steps", "learning rate", "nats per character")
    axes.legend(frameon=False)
    save(figure, chosen.out)


if __name__ == "__main__":
    main()
