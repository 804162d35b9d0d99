"""One run: train, show what clipping does, time case after case, print, write the files."""

from collections.abc import Sequence
from itertools import groupby
from time import perf_counter

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

import gradclip
from bench import accuracy, cases, digits, lesson, machine, peers, record, report, step, sweep
from bench.contenders import Contender
from bench.measure import Tick, measure
from bench.results import Row


def run(mode: cases.Mode, others: Sequence[Contender], threads: int | None) -> record.Run:
    """Run a mode against these peers with so many threads, and print what it finds."""
    console = report.console()
    start = perf_counter()
    neighbours = machine.Neighbours()
    with gradclip.threads(threads or gradclip.get_num_threads()):
        fewer = sweep.fewer_threads(gradclip.get_num_threads()) if mode.thread_counts else []
        contenders = [mode.ours, *fewer, *others]
        idioms = {c.name: c.idiom for c in contenders}
        packages = {package for c in contenders for package in c.needs}
        where = machine.describe(packages, {c.name: c.threads() for c in others if c.threads})
        console.print(report.intro(where, idioms, peers.absent()))
        training = digits.train()
        real = cases.digits(training)
        console.print(lesson.table(training, real))
        console.print(report.how_to_read())
        console.print()
        rows = time_all([*real, *mode.make()], contenders, mode.seconds, console)
        errors = accuracy.measure([mode.ours, *others], mode.largest)
        shares = step.measure([mode.ours, *others], mode.seconds) if mode.step else {}
    console.print(report.accuracy(errors))
    console.print()
    if shares:
        console.print(report.training_step(shares))
        console.print()
    if mode.thread_counts:
        console.print(sweep.summary(rows))
    elapsed = perf_counter() - start
    busy = neighbours.cores()
    console.print(report.aftermath(elapsed, busy))
    console.print(report.last_words(rows))
    return record.Run(mode.name, elapsed, busy, where, idioms, rows, errors, shares)


def time_all(
    todo: Sequence[cases.Case], contenders: Sequence[Contender], seconds: float, console: Console
) -> list[Row]:
    """Time all cases and print each group's table as soon as it is done."""
    rows: list[Row] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    # No thread of its own that draws: it would take the GIL while a contender is timed.
    quiet = not console.is_terminal
    bar = Progress(*columns, console=console, transient=True, auto_refresh=False, disable=quiet)
    with bar:
        task = bar.add_task("starting", total=len(todo))
        for group, members in groupby(todo, key=lambda case: case.group):
            done: list[Row] = []
            for case in members:
                bar.update(task, description=f"{case.name}, {case.dtype}")
                tick = ticker(bar, task, len(rows) + len(done))
                done.append(measure(case, contenders, seconds, tick))
            console.print(report.table(group, done))
            for line in report.problems(done):
                console.print(line, style="red")
            console.print()
            rows += done
    return rows


def ticker(bar: Progress, task: TaskID, cases_done: int) -> Tick:
    """Return what redraws the progress bar, five times a second at most."""
    drawn = 0.0

    def tick(part: float) -> None:
        nonlocal drawn
        if perf_counter() - drawn > 0.2:
            bar.update(task, completed=cases_done + part, refresh=True)
            drawn = perf_counter()

    return tick
