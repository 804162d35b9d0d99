"""The cases: what is clipped. A case is one line in one of the lists."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench import models
from bench.contenders import OURS, Contender
from bench.digits import Training
from bench.dtypes import COMPLEX, HALF, WIDE
from bench.exact import Array
from bench.gradients import standard_normal
from bench.models import Shapes
from bench.peers import torch

DIGITS = "Real gradients, scikit-learn's digits"
MODELS = "Parameter shapes of well-known models"
MANY = "Many small arrays"
SIZES = "One array"


@dataclass(frozen=True)
class Case:
    """Gradients of some shapes and one dtype; `clips` False: max_norm lies above the norm."""

    group: str
    name: str
    shapes: Shapes
    dtype: str = "float32"
    clips: bool = True
    real: Array | None = None  # the values; without them, standard normal ones

    @property
    def elements(self) -> int:
        """The number of elements in all arrays."""
        return models.count(self.shapes)

    @property
    def bytes_moved(self) -> int:
        """The bytes that must move: one read for the norm; a read and a write where it clips."""
        return self.elements * np.dtype(self.dtype).itemsize * (3 if self.clips else 1)

    @property
    def values(self) -> Array:
        """The values that fill the arrays."""
        return standard_normal(self.dtype) if self.real is None else self.real


def short(n: int) -> str:
    """Write a count as in 256, 1 k, 25.6 M."""
    for unit, name in ((10**6, "M"), (10**3, "k")):
        if n >= unit:
            return f"{n / unit:.3g} {name}"
    return str(n)


def power_of_two(exponent: int) -> str:
    """Write a power of two: 2²⁰."""
    return "2" + str(exponent).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def one(n: int, dtype: str = "float32", clips: bool = True) -> Case:
    """Return the case of one array of n elements."""
    exponent = n.bit_length() - 1
    size = power_of_two(exponent) if n == 1 << exponent and exponent else short(n)
    return Case(SIZES, f"1 × {size}", [(n,)], dtype, clips)


def many(arrays: int, n: int, dtype: str = "float32", clips: bool = True) -> Case:
    """Return the case of many arrays of n elements each."""
    return Case(MANY, f"{arrays:,} × {n}", [(n,)] * arrays, dtype, clips)


def model(name: str, shapes: Shapes, dtype: str = "float32", clips: bool = True) -> Case:
    """Return the case of a model's parameter shapes."""
    return Case(MODELS, f"{name}, {short(models.count(shapes))}", shapes, dtype, clips)


def digits(training: Training) -> list[Case]:
    """Return one case for each step whose gradients were kept."""
    return [
        Case(
            DIGITS,
            f"digits, step {snapshot.step}",
            [g.shape for g in snapshot.grads],
            real=np.concatenate([g.reshape(-1) for g in snapshot.grads]),
        )
        for snapshot in training.snapshots
    ]


def quick() -> list[Case]:
    """Return what fits into less than a minute."""
    return [
        model("LSTM", models.lstm()),
        model("ResNet-50", models.resnet50()),
        model("ResNet-50", models.resnet50(), clips=False),
        many(1000, 256),
        many(1000, 256, clips=False),
        *(one(n) for n in (1000, 100_000, 1_000_000, 25_000_000)),
        one(1_000_000, "float64"),
    ]


def default() -> list[Case]:
    """Return what fits into two minutes and 3 GB: GPT-2 small's gradients, 0.5 GB, four times."""
    both = (True, False)
    sizes = (1000, 10_000, 100_000, 1_000_000, 4_000_000, 25_000_000)
    return [
        *(model("LSTM", models.lstm(), clips=clips) for clips in both),
        *(model("ResNet-50", models.resnet50(), clips=clips) for clips in both),
        *(model("GPT-2 small", models.gpt2_small(), clips=clips) for clips in both),
        *(many(1000, 256, clips=clips) for clips in both),
        many(1000, 256, "float64"),
        *(one(n) for n in sizes),
        *(one(n, clips=False) for n in (1000, 1_000_000, 25_000_000)),
        *(one(n, "float64") for n in (1000, 100_000, 1_000_000, 25_000_000)),
        *(one(4_000_000, dtype) for dtype in HALF),
    ]


def full() -> list[Case]:
    """Return float32 and float64, clipping and not, from 1 element to 25 M, and all dtypes once."""
    both, dtypes = (True, False), WIDE
    small = ("LSTM", models.lstm()), ("ResNet-50", models.resnet50())
    sizes = [d * 10**k for k in range(7) for d in (1, 4)] + [10**7, 25_000_000]
    counts = ((10, 256), (100, 256), (1000, 16), (1000, 256), (1000, 4096), (10_000, 256))
    return [
        *(model(*named, d, c) for named in small for d in dtypes for c in both),
        *(model("GPT-2 small", models.gpt2_small(), clips=clips) for clips in both),
        *(many(*pair, d, c) for pair in counts for d in dtypes for c in both),
        *(one(n, d, c) for d in dtypes for c in both for n in sizes),
        *(one(4_000_000, d, c) for d in HALF for c in both),
        *(one(1_000_000, d) for d in COMPLEX),
    ]


def sweep() -> list[Case]:
    """Return one array of 1, 2, 4, … 2²⁸ elements (float64: 2²⁷) and 1 to 10,000 of 256."""
    both, dtypes = (True, False), (*WIDE, *HALF)
    counts = [10**k for k in range(5)]
    return [
        *(many(count, 256, d, c) for d in dtypes for c in both for count in counts),
        *(
            one(2**k, d, c)
            for d in dtypes
            for c in both
            for k in range(28 if d == "float64" else 29)
        ),
    ]


@dataclass(frozen=True)
class Mode:
    """A list of cases, the seconds spent on timing each, the peers unless others are asked for.

    `thread_counts`: gradclip is timed with fewer threads, too. `largest`: accuracy is shown for
    arrays of up to 2 to this power. `ours`: how gradclip is called. `step`: whole training steps
    are timed, too.
    """

    name: str
    make: Callable[[], list[Case]]
    seconds: float
    largest: int
    peers: tuple[str, ...] | None = None
    thread_counts: bool = False
    ours: Contender = OURS
    step: bool = False


def from_parameters() -> list[Case]:
    """Return what PyTorch's users clip: gradients of torch.nn.Parameters."""
    networks = (
        ("RL policy", models.rl_policy()),
        ("LSTM", models.lstm()),
        ("ResNet-50", models.resnet50()),
        ("GPT-2 small", models.gpt2_small()),
    )
    both = (True, False)
    return [
        *(model(*network, clips=clips) for network in networks for clips in both),
        *(many(1000, 256, clips=clips) for clips in both),
        *(one(n) for n in (1000, 100_000, 1_000_000)),
    ]


IN_SWEEP = ("np.dot", "one-buffer", "scipy-blas", "torch")
WITH_TORCH = (torch.TORCH.key, torch.TORCH_FOREACH.key)
MODES = (
    Mode("quick", quick, 0.5, 20),
    Mode("default", default, 2.0, 24),
    Mode("full", full, 2.5, 28),
    Mode("sweep", sweep, 2.0, 28, IN_SWEEP, thread_counts=True),
    Mode("torch", from_parameters, 2.0, 24, WITH_TORCH, ours=torch.GRADCLIP, step=True),
)
