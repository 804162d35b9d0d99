"""A recurrent network that learns to predict the next character, in NumPy and nothing else.

The text is Python's own help (`pydoc_data.topics`). The network is the plain one,
h ← tanh(W·h + U·x + b), whose gradients explode: they are products of as many matrices as the
text has steps.
"""

from collections.abc import Callable, Iterator
from pydoc_data.topics import topics

import numpy as np
from numpy.typing import NDArray

import gradclip
from gradclip.monitor import NormHistory

Floats = NDArray[np.float32]
Weights = dict[str, Floats]

HIDDEN, STEPS, BATCH = 128, 50, 32


def text() -> tuple[NDArray[np.intp], int]:
    """Return the characters as numbers, and how many different ones there are."""
    characters = "".join(topics[key] for key in sorted(topics))
    different, numbers = np.unique(np.array(list(characters)), return_inverse=True)
    return numbers, len(different)


def pieces(numbers: NDArray[np.intp], rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Yield random pieces of the text, BATCH at once, as columns."""
    while True:
        starts = rng.integers(0, len(numbers) - STEPS - 1, BATCH)
        yield numbers[starts + np.arange(STEPS + 1)[:, None]]


def new_weights(count: int, rng: np.random.Generator) -> Weights:
    """Return random weights; those from state to state keep a state's length."""

    def normal(rows: int, columns: int, scale: float) -> Floats:
        return (scale * rng.standard_normal((rows, columns))).astype(np.float32)

    return {
        "recurrent": normal(HIDDEN, HIDDEN, HIDDEN**-0.5),
        "input": normal(count, HIDDEN, 0.3),
        "bias": np.zeros(HIDDEN, np.float32),
        "output": normal(HIDDEN, count, HIDDEN**-0.5),
        "output bias": np.zeros(count, np.float32),
    }


def loss_and_gradients(weights: Weights, piece: NDArray[np.intp]) -> tuple[float, Weights]:
    """Return the mean loss of a piece, and its gradients by backpropagation through time."""
    states = [np.zeros((piece.shape[1], HIDDEN), np.float32)]
    for characters in piece[:-1]:
        inner = states[-1] @ weights["recurrent"] + weights["input"][characters] + weights["bias"]
        states.append(np.tanh(inner))
    hidden = np.stack(states[1:])
    scores = hidden @ weights["output"] + weights["output bias"]
    scores -= scores.max(axis=-1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    right = np.take_along_axis(scores, piece[1:, :, None], axis=-1)
    loss = float(-right.mean())

    grads = {name: np.zeros_like(array) for name, array in weights.items()}
    errors = np.exp(scores)
    np.put_along_axis(errors, piece[1:, :, None], np.exp(right) - 1, axis=-1)
    errors /= right.size
    grads["output"] += np.tensordot(hidden, errors, ((0, 1), (0, 1)))
    grads["output bias"] += errors.sum(axis=(0, 1))
    from_output = errors @ weights["output"].T
    back = np.zeros_like(states[0])
    for step in reversed(range(len(hidden))):
        back = (from_output[step] + back) * (1 - hidden[step] ** 2)
        grads["recurrent"] += states[step].T @ back
        np.add.at(grads["input"], piece[step], back)
        grads["bias"] += back.sum(axis=0)
        back = back @ weights["recurrent"].T
    return loss, grads


def train(
    seed: int, steps: int, lr: float, threshold: float | Callable[[float], float]
) -> tuple[list[float], NormHistory]:
    """Train with plain SGD; inf as the threshold never clips.

    Return the loss of each step, in nats per character, and the norms before clipping.
    """
    rng = np.random.default_rng(seed)
    numbers, count = text()
    weights = new_weights(count, rng)
    losses, history = [], NormHistory()
    max_norm = history.threshold(threshold)
    for piece, _ in zip(pieces(numbers, rng), range(steps), strict=False):
        loss, grads = loss_and_gradients(weights, piece)
        losses.append(loss)
        gradclip.clip_by_global_norm_(grads, max_norm)
        for name, grad in grads.items():
            weights[name] -= np.float32(lr) * grad
    return losses, history
