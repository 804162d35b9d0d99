"""One run: train, show what clipping does, time case after case, print, write the files."""

import dataclasses
import json
from itertools import groupby
from pathlib import Path
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
from bench import cases, digits, lesson, machine, report
from bench.contenders import OURS, PEERS
from bench.measure import Tick, measure
from bench.results import Row

SCHEMA = 1  # of the JSON file; raised when a reader of the old one would misread the new one


def run(mode_name: str, threads: int | None, json_file: Path | None, plot_file: Path | None) -> int:
    """Run a mode with so many threads; return 1 if a result of gradclip's was wrong, else 0."""
    console = report.console()
    start = perf_counter()
    neighbours = machine.Neighbours()
    with gradclip.threads(threads or gradclip.get_num_threads()):
        where = machine.describe()
        console.print(report.intro(where))
        training = digits.train()
        real = cases.digits(training)
        console.print(lesson.table(training, real))
        console.print(report.how_to_read())
        console.print()
        mode = cases.mode(mode_name)
        rows = time_all([*real, *mode.cases], mode.seconds, console)
    elapsed = perf_counter() - start
    others = neighbours.cores()
    console.print(report.aftermath(elapsed, others))
    console.print(report.last_words(rows))
    if json_file:
        facts = {"mode": mode_name, "seconds": elapsed, "cores_used_by_others": others}
        write_json(json_file, where, rows, facts)
    if plot_file:
        from bench.plot import draw  # matplotlib takes its time to load

        draw(rows, where, plot_file)
    return int(any(row.outcomes[OURS.name].problem for row in rows))


def time_all(todo: list[cases.Case], seconds: float, console: Console) -> list[Row]:
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
                done.append(measure(case, OURS, PEERS, seconds, tick))
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


def write_json(
    file: Path, where: machine.Machine, rows: list[Row], facts: dict[str, object]
) -> None:
    """Write everything that was measured, and some facts about the run."""
    found = {
        "schema": SCHEMA,
        **facts,
        "machine": dataclasses.asdict(where),
        "contenders": {c.name: c.idiom for c in (OURS, *PEERS)},
        "rows": [row.as_dict() for row in rows],
    }
    file.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
