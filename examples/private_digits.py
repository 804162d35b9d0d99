"""Private training: scikit-learn's digits by DP-SGD, with `clip_per_example_sum`.

    python3 examples/private_digits.py [--quick] [--out docs/private_digits.png]

Each example's gradient is clipped to C, the clipped ones are added up, and Gaussian noise of
standard deviation sigma · C is added to the sum (Abadi et al. 2016, "Deep Learning with
Differential Privacy"): what one example can do to the weights is bounded, and drowned. The more
noise, the more private, and the less is learned; a C far too large makes the noise large, one far
too small makes the signal small. (How private that is, an accountant would tell.)
"""

import numpy as np
from command import CLIPPED, FOURTH, OTHER, UNCLIPPED, options, save, tidy
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import gradclip

Floats = NDArray[np.float64]

BATCH, LR = 128, 0.5
NOISES = {0.0: UNCLIPPED, 5.0: CLIPPED, 10.0: OTHER, 20.0: FOURTH}  # sigma


def digits() -> tuple[Floats, NDArray[np.intp], Floats, NDArray[np.intp]]:
    """Return images and labels to train with, and others to test with."""
    images, labels = load_digits(return_X_y=True)
    images = images / 16 - images.mean() / 16
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[:1400], order[1400:]
    return images[train], labels[train], images[test], labels[test]


def gradients(
    weights: Floats, bias: Floats, images: Floats, labels: NDArray[np.intp]
) -> list[Floats]:
    """Return each example's gradients of the logistic loss: a first axis of examples."""
    scores = images @ weights + bias
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    errors = odds / odds.sum(axis=1, keepdims=True)
    errors[np.arange(len(labels)), labels] -= 1
    return [images[:, :, None] * errors[:, None, :], errors]


def accuracy(max_norm: float, noise: float, steps: int, seed: int) -> float:
    """Train privately and return the share of the test's digits that are told right."""
    images, labels, test_images, test_labels = digits()
    rng = np.random.default_rng(seed)
    weights, bias = np.zeros((64, 10)), np.zeros(10)
    for _ in range(steps):
        batch = rng.choice(len(labels), BATCH, replace=False)
        sums, _norms = gradclip.clip_per_example_sum(
            gradients(weights, bias, images[batch], labels[batch]), max_norm
        )
        for array, total in zip((weights, bias), sums, strict=True):
            total += rng.normal(0, noise * max_norm, total.shape)
            array -= LR / max_norm * total / BATCH  # the step's length does not depend on C
    guesses = (test_images @ weights + bias).argmax(axis=1)
    return float((guesses == test_labels).mean())


def main() -> None:
    """Train for every C and sigma, print the table, draw."""
    chosen = options(__doc__, "docs/private_digits.png")
    seeds, steps = (range(1), 5) if chosen.quick else (range(3), 150)
    norms = (0.1, 1.0) if chosen.quick else (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
    figure, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    print(f"accuracy after {steps} steps of {BATCH} examples, mean of {len(seeds)} seed(s), by C")
    print(f"{'':>8}" + "".join(f"{norm:>7g}" for norm in norms))
    for noise, colour in NOISES.items():
        found = [
            float(np.mean([accuracy(norm, noise, steps, seed) for seed in seeds])) for norm in norms
        ]
        print(f"sigma {noise:<2g}" + "".join(f"{share:7.3f}" for share in found))
        label = f"σ = {noise:g}" if noise else "σ = 0: none"
        axes.plot(norms, [100 * share for share in found], "o-", color=colour, label=label)
    axes.set_xscale("log")
    axes.set_xticks(norms, [f"{norm:g}" for norm in norms])
    axes.minorticks_off()
    tidy(
        axes,
        "Digits told right, by threshold and noise",
        "C, the threshold of each example",
        "accuracy, %",
    )
    axes.legend(title="noise", frameon=False)
    save(figure, chosen.out)


if __name__ == "__main__":
    main()
