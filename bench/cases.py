"""The cases: what is clipped. A case is one line in one of the three lists."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench import models
from bench.digits import Training
from bench.exact import Array
from bench.gradients import standard_normal
from bench.models import Shapes

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


def one(n: int, dtype: str = "float32", clips: bool = True) -> Case:
    """Return the case of one array of n elements."""
    return Case(SIZES, f"1 × {short(n)}", [(n,)], dtype, clips)


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
    """Return what fits into two minutes and 2 GB: GPT-2 small's gradients, twice, take 1 GB."""
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
    ]


def full() -> list[Case]:
    """Return everything: both dtypes, clipping and not, from 1 element to 25 M."""
    both, dtypes = (True, False), ("float32", "float64")
    small = ("LSTM", models.lstm()), ("ResNet-50", models.resnet50())
    sizes = [d * 10**k for k in range(7) for d in (1, 4)] + [10**7, 25_000_000]
    counts = ((10, 256), (100, 256), (1000, 16), (1000, 256), (1000, 4096), (10_000, 256))
    return [
        *(model(*named, d, c) for named in small for d in dtypes for c in both),
        *(model("GPT-2 small", models.gpt2_small(), clips=clips) for clips in both),
        *(many(*pair, d, c) for pair in counts for d in dtypes for c in both),
        *(one(n, d, c) for d in dtypes for c in both for n in sizes),
    ]


@dataclass(frozen=True)
class Mode:
    """A list of cases and the seconds spent on timing each."""

    name: str
    cases: Sequence[Case]
    seconds: float


def mode(name: str) -> Mode:
    """Return the mode of this name: quick, default or full."""
    make, seconds = {"quick": (quick, 0.5), "default": (default, 2.0), "full": (full, 2.5)}[name]
    return Mode(name, make(), seconds)
