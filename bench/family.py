"""All that is not a clip by the global norm: by array, row, value, example; the SGD step.

Each task is timed as the other benchmarks are, gradclip and its peers in turns, each on fresh
values, and what each leaves behind is compared.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from statistics import median
from time import perf_counter, perf_counter_ns
from typing import Any

import numpy as np
from rich.table import Table

import gradclip
from bench import family_peers as peers
from bench import models, report
from bench.cases import short
from bench.ceiling import Ceiling
from bench.exact import Array
from bench.family_peers import Call, Jitted, Make
from bench.gradients import Gradients, standard_normal
from bench.measure import FEWEST_ROUNDS, quartiles, settle
from bench.models import Shapes

SAME = 2e-4  # what two results may differ by, relative to the largest element


@dataclass(frozen=True)
class Task:
    """What is done, by whom, and which passes over the gradients' memory it takes at least.

    `makers`: the contenders by name, gradclip first. `changes`: what they leave their result in,
    of gradients ("grads") and parameters ("params"), or what they return (""), as those that JAX
    compiles always do. `rewrites` tells whether the gradients are written.
    """

    name: str
    shapes: Shapes
    makers: dict[str, Make]
    changes: str = "grads"
    rewrites: bool = True
    dtype: str = "float32"


@dataclass
class Timed:
    """A task's times in seconds by contender, one per round, and the memory's."""

    task: Task
    times: dict[str, list[float]] = field(default_factory=dict)
    passes: list[float] = field(default_factory=list)
    wrong: set[str] = field(default_factory=set)


def tasks() -> list[Task]:
    """Return all tasks, with those peers that are installed."""
    resnet = models.resnet50()
    rows: Shapes = [(256, 100_000)]
    small: Shapes = [(256,)] * 1000
    returned = partial(Task, changes="", rewrites=False)
    step = partial(Task, changes="params", rewrites=False)
    made = [
        Task("per array, ResNet-50", resnet, peers.PER_ARRAY),
        Task("per row, 256 × 100 k", rows, peers.PER_ROW),
        Task("per column, 25 k × 1 k", [(25_000, 1_000)], peers.PER_COLUMN),
        Task("per example, 256 × 100 k", rows, peers.PER_EXAMPLE),
        Task("per example, nonfinite='raise'", rows, peers.PER_EXAMPLE_STRICTLY),
        returned("sum of clipped examples", rows, peers.PER_EXAMPLE_SUM),
        Task("by value, 25 M, 5 % outside", [(25_000_000,)], peers.BY_VALUE),
        Task("adaptive, ResNet-50", resnet, peers.ADAPTIVE),
        returned("statistics, ResNet-50", resnet, peers.STATISTICS),
        step("clip + SGD step, ResNet-50", resnet, peers.SGD),
        step("the same with momentum", resnet, peers.SGD_WITH_MOMENTUM),
    ]
    rows = [(256, 50_000)]
    made += [
        replace(task, dtype="float64")
        for task in (
            Task("float64: per row, 256 × 50 k", rows, peers.PER_ROW),
            Task("per example", rows, peers.PER_EXAMPLE),
            returned("sum of clipped examples", rows, peers.PER_EXAMPLE_SUM),
            Task("by value, 12.5 M, 5 % outside", [(12_500_000,)], peers.BY_VALUE),
            step("clip + SGD step, 12.5 M", [(12_500_000,)], peers.SGD),
        )
    ]
    if find_spec("torch"):
        made += [
            Task("Parameters, 1,000 × 256: per array", small, peers.PARAMETERS_PER_ARRAY),
            Task("by value", small, peers.PARAMETERS_BY_VALUE),
            step("clip + SGD step", small, peers.PARAMETERS_SGD),
        ]
    return made


def contenders(task: Task) -> dict[str, Make]:
    """Return those that are installed."""
    missing = {name for name in ("torch", "optax") if find_spec(name) is None}
    return {name: make for name, make in task.makers.items() if name not in missing}


def measure(task: Task, seconds: float) -> Timed:
    """Compare the contenders' results, then time them in turns for about so many seconds."""
    grads = Gradients(task.shapes, standard_normal(task.dtype))
    params = [np.full(shape, 0.5, task.dtype) for shape in task.shapes]
    calls = {name: make(grads.arrays, params) for name, make in contenders(task).items()}
    timed = Timed(task, {name: [] for name in calls})

    def fresh(call: Call) -> None:
        for param in params:
            param[...] = 0.5
        grads.refill()
        if isinstance(call, Jitted):
            call.prepare()

    results = {}
    for name, call in calls.items():
        fresh(call)
        returned = _arrays(call())
        left = {"grads": grads.arrays, "params": params, "": returned}[task.changes]
        if isinstance(call, Jitted):
            left = returned
        results[name] = np.concatenate([np.ravel(a) for a in left]).astype(np.float64)
    ours = next(iter(results.values()))
    for name, result in results.items():
        if not np.allclose(result, ours, SAME, SAME * float(np.abs(ours).max())):
            timed.wrong.add(name)

    ceiling = Ceiling(grads, gradclip.get_num_threads(), clips=task.rewrites, cached=False)
    order, end = list(calls), perf_counter() + seconds
    while len(timed.passes) < FEWEST_ROUNDS or perf_counter() < end:
        random.Random(len(timed.passes)).shuffle(order)
        for name in order:
            settle()
            fresh(calls[name])
            start = perf_counter_ns()
            calls[name]()
            timed.times[name].append((perf_counter_ns() - start) / 1e9)
        settle()
        timed.passes.append(ceiling.seconds()[-1])
    return timed


def _arrays(returned: Any) -> list[Array]:
    """Return the numbers that a call answers, as arrays."""
    if isinstance(returned, tuple | list):
        return [array for item in returned for array in _arrays(item)]
    return [np.asarray(returned)]


def table(found: Sequence[Timed]) -> Table:
    """Return gradclip's times, their share of the memory's speed, and the others' multiples."""
    made = Table(title="The other calls: gradclip's time, and how many times as long others take")
    made.add_column("task", no_wrap=True)
    names = list(dict.fromkeys(name for timed in found for name in timed.times))
    for column in (names[0], "one pass", *names[1:]):
        made.add_column(column, justify="right", no_wrap=True)
    for timed in found:
        own = timed.times[names[0]]
        share = median(p / t for p, t in zip(timed.passes, own, strict=True))
        cells = [report.duration(median(own)), "" if math.isnan(share) else f"{share:.0%}"]
        cells += [_ratio(timed, name, own) for name in names[1:]]
        made.add_row(timed.task.name, *cells)
    return made


def _ratio(timed: Timed, name: str, own: Sequence[float]) -> str:
    if name in timed.wrong:
        return "WRONG"
    if name not in timed.times:
        return "-"
    ratios = [t / o for t, o in zip(timed.times[name], own, strict=True)]
    low, high = quartiles(ratios)
    mark = report.NOISY if high > 1.5 * low else ""
    mark = report.SLOWER + mark if median(ratios) < 1 else mark
    return mark + report.times(median(ratios))


def run(seconds: float) -> int:
    """Measure and print all tasks; return 1 if results differ."""
    console = report.console()
    found = []
    for task in tasks():
        elements = short(models.count(task.shapes))
        console.print(f"{task.name}: {elements} {task.dtype}", style="dim")
        found.append(measure(task, seconds))
    console.print(table(found))
    console.print(
        "one pass: the time of a plain read, or rewrite where gradients are written, of the "
        f"gradients by a native probe, over gradclip's. {report.SLOWER} gradclip is slower; "
        f"{report.NOISY} noisy. Medians of pairs. Every result is compared.",
        style="dim",
    )
    return int(any(timed.wrong for timed in found))
