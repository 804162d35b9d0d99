"""The run in the terminal: what is compared, a table per group of cases, the smallest lead."""

from collections.abc import Sequence

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bench.contenders import OURS, PEERS
from bench.machine import Machine
from bench.results import Row, leads

SLOWER = "▼"  # stands out without colour, too
NOISY = "~"
BUSY = 0.15  # cores: what other processes may use before the report warns


def intro(machine: Machine) -> Group:
    """Return the first lines: what this is, on what it runs, who competes."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column()
    grid.add_row("machine", f"{machine.cpu}, {machine.cores} cores, {machine.system}")
    grid.add_row(
        "gradclip", f"{machine.gradclip}, ISA {machine.isa}, {_count(machine.threads, 'thread')}"
    )
    grid.add_row(
        "others",
        f"NumPy {machine.numpy}, SciPy {machine.scipy}, Python {machine.python}; "
        f"BLAS: {'; '.join(machine.blas) or 'unknown'}",
    )
    grid.add_row()
    for contender in (OURS, *PEERS):
        grid.add_row(contender.name, escape(contender.idiom))
    title = Text("gradclip: global norm and clip, in place, against NumPy and SciPy", "bold")
    return Group(title, Text(), grid, Text())


def how_to_read() -> Text:
    """Return the caption of all the tables."""
    return Text(
        "Upper line: gradclip's time per call and its share of the speed that memory and caches "
        "allow, for a plain read and, where it clips, a plain multiplication in place; then "
        f"how many times as long the others take (median of pairs; {SLOWER} gradclip is slower; "
        f"{NOISY} noisy: the middle half of the pairs spans more than a factor of 1.5). Lower "
        "line: GB/s of the bytes that must move (one read; where it clips, another read and a "
        "write), then the relative error of the norm, against the exact one. Every result is "
        "verified.",
        "dim",
    )


def table(title: str, rows: Sequence[Row]) -> Table:
    """Return the table of one group of cases."""
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    made.add_column("", no_wrap=True, min_width=18)
    made.add_column(OURS.name, justify="right", no_wrap=True, min_width=13)
    for contender in PEERS:
        made.add_column(contender.name, justify="right", no_wrap=True, min_width=10)
    for row in rows:
        clips = "clips" if row.case.clips else "no clip"
        label = Text.assemble(row.case.name, "\n", (f"{row.case.dtype}, {clips}", "dim"))
        made.add_row(label, *(_cell(row, c.name) for c in (OURS, *PEERS)))
    return made


def problems(rows: Sequence[Row]) -> list[str]:
    """Return a line for every contender that failed verification."""
    return [
        f"{name} failed on {row.case.name} ({row.case.dtype}): {outcome.problem}"
        for row in rows
        for name, outcome in row.outcomes.items()
        if outcome.problem
    ]


def last_words(rows: list[Row]) -> Text:
    """Return the summary: how often gradclip is slower, and where its lead is smallest."""
    found = leads(rows)
    wrong = [name for row in rows for name, one in row.outcomes.items() if one.problem]
    whose = ", ".join(sorted(set(wrong)))
    verdict: tuple[str, str] | str = "All results are right. "
    if wrong:
        verdict = (f"{_count(len(wrong), 'result')} WRONG, of: {whose}. ", "bold red")
    if not found:
        return Text.assemble(verdict, "Nothing to compare.")
    smallest = found[0]
    losses = sum(lead.ratio < 1 for lead in found)
    case = smallest.case
    clips = "clips" if case.clips else "nothing to clip"
    return Text.assemble(
        verdict,
        f"gradclip is slower in {losses} of {len(found)} comparisons. Smallest lead: ",
        (f"{times(smallest.ratio)}", "bold red" if losses else "bold green"),
        f" against {smallest.peer}, {case.name} ({case.dtype}, {clips}).",
    )


def aftermath(seconds: float, others: float | None) -> Text:
    """Return how long the run took, and a warning if others kept the machine busy meanwhile."""
    text = Text(f"{seconds:.0f} s in all; --help lists the options.", "dim")
    if others is not None and others > BUSY:
        text.append(
            f" Other processes kept {others:.1f} cores busy meanwhile: the figures, those of "
            "threaded contenders above all, are worth less than on an idle machine.",
            "yellow not dim",
        )
    return text


def duration(seconds: float) -> str:
    """Write a time with three digits: 412 ns, 28.4 µs, 1.23 ms."""
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= unit:
            return f"{_three_digits(seconds / unit)} {name}"
    return f"{seconds * 1e9:.0f} ns"


def times(ratio: float) -> str:
    """Write a ratio: 0.94×, 5.21×, 12.3×."""
    return f"{_three_digits(ratio)}×"


def error(value: float | None) -> str:
    """Write a relative error with one digit; the reference itself is good to about 1e-30."""
    if value is None:
        return "?"
    return "exact" if value < 1e-25 else f"{value:.0e}"


def _cell(row: Row, name: str) -> Text:
    outcome = row.outcomes[name]
    if outcome.problem:
        return Text.assemble(("WRONG", "bold red"), "\n", (error(outcome.error), "red"))
    if name == OURS.name and outcome.seconds is not None:
        share = "" if row.of_ceiling is None else f" {row.of_ceiling:4.0%}"
        top = Text.assemble((duration(outcome.seconds), "bold"), share)
    elif outcome.ratio is None:
        top = Text("-")
    else:
        slower = outcome.ratio < 1
        marks = f"{SLOWER} " * slower + NOISY * outcome.noisy
        top = Text(f"{marks}{times(outcome.ratio)}", "bold red" if slower else "green")
    speed = row.gb_per_s(name)
    rate = "?" if speed is None else _three_digits(speed)
    return Text.assemble(top, "\n", (f"{rate} {error(outcome.error):>5}", "dim"))


def _three_digits(x: float) -> str:
    return f"{x:.2f}" if x < 9.995 else f"{x:.1f}" if x < 99.95 else f"{x:.0f}"


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" + ("" if n == 1 else "s")


def console() -> Console:
    """Return the console: plain text, without control characters, unless it is a terminal."""
    return Console(highlight=False)
