"""What a contender is, and the first one: gradclip.

A contender is one function that gets the gradients and returns `clip(max_norm) -> norm before`.
What it does before it returns (views, look-ups, compilation) is not timed.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import gradclip
from bench import dtypes
from bench.gradients import Gradients

Clip = Callable[[float], float]
Setting = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Contender:
    """A way to clip: its short name, the code that the legend shows, and how to make it.

    `needs` names the packages it is made of, `storage` where it wants the gradients, `setting`
    what is in force around its batches, `epsilon` what it adds to the norm before it divides,
    `threads` tells how many it uses.
    """

    name: str
    idiom: str
    prepare: Callable[[Gradients], Clip]
    needs: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = dtypes.ALL
    most_arrays: float = math.inf
    storage: type[Gradients] = Gradients
    setting: Setting = nullcontext
    epsilon: float = 0.0
    threads: Callable[[], int] | None = None

    @property
    def key(self) -> str:
        """The name as the command line takes it."""
        return self.name.lower().replace(" ", "-")

    def takes(self, dtype: str, arrays: int) -> bool:
        """Whether it can clip so many arrays of this dtype."""
        return dtype in self.dtypes and arrays <= self.most_arrays


def _gradclip(grads: Gradients) -> Clip:
    return partial(gradclip.clip_by_global_norm_, grads.arrays)


OURS = Contender("gradclip", "clip_by_global_norm_(grads, max_norm)", _gradclip, ("gradclip",))


def with_threads(threads: int) -> Contender:
    """Return gradclip with so many threads, as a further contender."""
    name = f"{OURS.name}, {threads} thread" + "s" * (threads > 1)
    idiom = f"with gradclip.threads({threads}): …"
    return replace(OURS, name=name, idiom=idiom, setting=partial(gradclip.threads, threads))


def is_ours(name: str) -> bool:
    """Whether gradclip goes by this name, with however many threads."""
    return name.partition(",")[0] == OURS.name
