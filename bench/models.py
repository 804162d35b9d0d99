"""The parameter shapes of well-known networks, generated from their architecture."""

from itertools import pairwise
from math import prod

Shapes = list[tuple[int, ...]]


def count(shapes: Shapes) -> int:
    """Return the number of elements in arrays of these shapes."""
    return sum(prod(shape) for shape in shapes)


def resnet50() -> Shapes:
    """Return torchvision's ResNet-50: 161 arrays, 25,557,032 parameters."""

    def conv(out: int, inner: int, kernel: int) -> Shapes:
        return [(out, inner, kernel, kernel), (out,), (out,)]  # batch norm: weight and bias

    shapes = conv(64, 3, 7)
    inner = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            shapes += conv(width, inner, 1) + conv(width, width, 3) + conv(4 * width, width, 1)
            if block == 0:
                shapes += conv(4 * width, inner, 1)  # the shortcut changes the channels
            inner = 4 * width
    shapes += [(1000, inner), (1000,)]
    assert (len(shapes), count(shapes)) == (161, 25_557_032)
    return shapes


def gpt2_small() -> Shapes:
    """Return GPT-2 small, its head tied to the embedding: 148 arrays, 124,439,808 parameters."""
    d = 768
    shapes: Shapes = [(50_257, d), (1024, d)]
    for _ in range(12):
        shapes += [(d,), (d,)]
        shapes += [(d, 3 * d), (3 * d,), (d, d), (d,)]
        shapes += [(d,), (d,)]
        shapes += [(d, 4 * d), (4 * d,), (4 * d, d), (d,)]
    shapes += [(d,), (d,)]
    assert (len(shapes), count(shapes)) == (148, 124_439_808)
    return shapes


def lstm() -> Shapes:
    """Return a 2-layer LSTM language model: 11 arrays, 12,257,200 parameters.

    Penn Treebank's vocabulary of 10,000 words; embedding and hidden state of 450; a decoder of
    its own. Layers are laid out as in PyTorch: four gates stacked, two biases.
    """
    words, d = 10_000, 450
    shapes: Shapes = [(words, d)]
    for _ in range(2):
        shapes += [(4 * d, d), (4 * d, d), (4 * d,), (4 * d,)]
    shapes += [(words, d), (words,)]
    assert (len(shapes), count(shapes)) == (11, 12_257_200)
    return shapes


# The widths of an actor and a critic for 17 observations and 6 actions, MuJoCo's HalfCheetah.
POLICY = ((17, 64, 64, 64, 64, 6), (17, 64, 64, 64, 64, 1))


def rl_policy() -> Shapes:
    """Return a small policy for reinforcement learning: 20 arrays, 27,719 parameters."""
    shapes: Shapes = []
    for widths in POLICY:
        for inner, out in pairwise(widths):
            shapes += [(out, inner), (out,)]
    assert (len(shapes), count(shapes)) == (20, 27_719)
    return shapes
