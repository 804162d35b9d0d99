"""A real training run: a small network in plain NumPy learns scikit-learn's digits.

Its gradients, taken before they are clipped, are the first cases of the benchmark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gradclip

Floats = NDArray[np.float32]

LAYERS = (64, 128, 128, 10)
STEPS = (1, 10, 100, 500)
MAX_NORM = 1.0
TRAINING_IMAGES = 1500  # of 1797; the others measure the accuracy


@dataclass(frozen=True)
class Snapshot:
    """The gradients of one training step, before clipping."""

    step: int
    loss: float
    grads: list[Floats]


@dataclass(frozen=True)
class Training:
    """What a training run leaves behind: snapshots, and the accuracy on unseen images."""

    snapshots: list[Snapshot]
    accuracy: float


def initial_params(rng: np.random.Generator) -> list[Floats]:
    """Return weights (He initialisation) and zero biases, alternating, layer by layer."""
    params: list[Floats] = []
    for inner, out in pairwise(LAYERS):
        weights = rng.standard_normal((inner, out), dtype=np.float32)
        params += [weights * np.float32((2 / inner) ** 0.5), np.zeros(out, np.float32)]
    return params


def forward(params: list[Floats], images: Floats) -> list[Floats]:
    """Return the activations of every layer: the images first, the logits last."""
    activations = [images]
    last = len(params) - 2
    for layer in range(0, len(params), 2):
        x = activations[-1] @ params[layer] + params[layer + 1]
        activations.append(x if layer == last else np.maximum(x, 0))
    return activations


def backward(
    params: list[Floats], images: Floats, labels: NDArray[Any]
) -> tuple[float, list[Floats]]:
    """Return the mean cross-entropy and its gradient for every parameter."""
    activations = forward(params, images)
    rows = np.arange(len(labels))
    logits = activations[-1] - activations[-1].max(axis=1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    delta = np.exp(log_p)
    delta[rows, labels] -= 1
    delta /= np.float32(len(labels))
    grads: list[Floats] = []
    for layer in reversed(range(0, len(params), 2)):
        below = activations[layer // 2]
        grads = [below.T @ delta, delta.sum(axis=0), *grads]
        if layer:
            delta = (delta @ params[layer].T) * (below > 0)
    return float(-log_p[rows, labels].mean()), grads


def train(steps: Sequence[int] = STEPS, batch: int = 32, lr: float = 0.2) -> Training:
    """Train by clipped SGD with a fixed seed, keeping the gradients of the given steps."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = (data.images.reshape(-1, 64) / 16).astype(np.float32)
    labels = data.target
    rng = np.random.default_rng(0)
    order = rng.permutation(len(labels))  # the file is sorted by writer
    images, labels = images[order], labels[order]
    params = initial_params(rng)
    snapshots = []
    for step in range(1, max(steps) + 1):
        chosen = rng.integers(0, TRAINING_IMAGES, batch)
        loss, grads = backward(params, images[chosen], labels[chosen])
        if step in steps:
            snapshots.append(Snapshot(step, loss, [g.copy() for g in grads]))
        gradclip.clip_by_global_norm_(grads, MAX_NORM)
        for param, grad in zip(params, grads, strict=True):
            param -= np.float32(lr) * grad
    unseen = slice(TRAINING_IMAGES, None)
    guesses = forward(params, images[unseen])[-1].argmax(axis=1)
    return Training(snapshots, float((guesses == labels[unseen]).mean()))
