"""The run in the terminal: what is compared, a table per group of cases, the smallest lead."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bench.accuracy import Accuracy
from bench.cases import power_of_two
from bench.contenders import OURS
from bench.machine import Machine
from bench.results import Lead, Row, contender_names, leads
from bench.step import Share

SLOWER = "▼"  # stands out without colour, too
NOISY = "~"
BUSY = 0.15  # cores: what other processes may use before the report warns


def intro(machine: Machine, idioms: Mapping[str, str], absent: Sequence[str]) -> Group:
    """Return the first lines: what this is, on what it runs, who competes and who is absent."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column()
    grid.add_row("machine", f"{machine.cpu}, {machine.cores} cores, {machine.system}")
    grid.add_row("gradclip", f"ISA {machine.isa}, {_count(machine.threads, 'thread')}")
    grid.add_row("BLAS", "; ".join(machine.blas) or "unknown")
    if machine.peer_threads:
        counts = machine.peer_threads.items()
        grid.add_row("others", ", ".join(f"{k}: {_count(n, 'thread')}" for k, n in counts))
    grid.add_row("versions", ", ".join(f"{k} {v}" for k, v in machine.versions.items()))
    grid.add_row()
    for name, idiom in idioms.items():
        grid.add_row(name, escape(idiom))
    if absent:
        grid.add_row("not installed", ", ".join(absent), style="dim")
    title = Text("gradclip: global norm and clip, in place, against what else there is", "bold")
    return Group(title, Text(), grid, Text())


def how_to_read() -> Text:
    """Return the caption of all the tables."""
    return Text(
        "Upper line: gradclip's time per call and its share of the speed that memory and caches "
        "allow, for a plain read and, where it clips, a plain rewrite in place; then "
        f"how many times as long the others take (median of pairs; {SLOWER} gradclip is slower; "
        f"{NOISY} noisy: the middle half of the pairs spans more than a factor of 1.5). Lower "
        "line: GB/s of the bytes that must move (one read; where it clips, another read and a "
        "write), then the relative error of the norm, against the exact one. Every result is "
        "verified. -: cannot clip these.",
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
    names = contender_names(rows)
    for name in names:
        made.add_column(name, justify="right", no_wrap=True, min_width=10)
    for row in rows:
        clips = "clips" if row.clips else "no clip"
        label = Text.assemble(row.name, "\n", (f"{row.dtype}, {clips}", "dim"))
        made.add_row(label, *(_cell(row, name) for name in names))
    return made


def accuracy(found: Accuracy) -> Table:
    """Return the errors of the norms at a few lengths, and the norms at the brink of overflow."""
    made = Table(
        title="Relative error of the norm of so many float32 values; the norm of [1e20, 1e20]",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    made.add_column("", no_wrap=True)
    shown = range(0, len(found.elements), 2)
    for k in shown:
        made.add_column(power_of_two(found.elements[k].bit_length() - 1), justify="right")
    made.add_column("[1e20, 1e20]", justify="right")
    for name, errors in found.errors.items():
        made.add_row(name, *(error(errors[k]) for k in shown), found.huge[name])
    return made


def training_step(shares: Mapping[str, Share]) -> Table:
    """Return the table of whole training steps: how long they take, and clipping in them."""
    made = Table(
        title="A whole training step of the RL policy: forward, backward, clip, Adam",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    made.add_column("", no_wrap=True)
    for heading in ("step", "of it clipping", "share"):
        made.add_column(heading, justify="right", no_wrap=True)
    for name, share in shares.items():
        part = f"{share.clip / share.step:.1%}"
        made.add_row(name, duration(share.step), duration(share.clip), part)
    return made


def problems(rows: Sequence[Row]) -> list[str]:
    """Return a line for every contender that failed verification."""
    return [
        f"{name} is {'wrong' if outcome.seconds is None else 'imprecise'} on {row.label}: "
        f"{outcome.problem}"
        for row in rows
        for name, outcome in row.outcomes.items()
        if outcome.problem
    ]


def last_words(rows: list[Row]) -> Text:
    """Return the summary: how often gradclip is slower, and where its lead is smallest."""
    found = leads(rows)
    verdict = Text(" ").join(_verdicts(rows)) if any(problems(rows)) else "All results are right."
    if not found:
        return Text.assemble(verdict, " Nothing to compare.")
    smallest = found[0]
    losses = sum(lead.ratio < 1 for lead in found)
    return Text.assemble(
        verdict,
        f" gradclip is slower in {losses} of {len(found)} comparisons. Smallest lead: ",
        (f"{times(smallest.ratio)}", "bold red" if losses else "bold green"),
        f" against {smallest.peer}, {smallest.row.label}.",
    )


def _verdicts(rows: Sequence[Row]) -> Iterator[Text]:
    """Yield whose results are wrong, and whose norms are only imprecise."""
    bad = [(name, one) for row in rows for name, one in row.outcomes.items() if one.problem]
    for word, timed, style in (("WRONG", False, "bold red"), ("imprecise", True, "red")):
        whose = [name for name, one in bad if (one.seconds is not None) == timed]
        if whose:
            named = ", ".join(sorted(set(whose)))
            yield Text(f"{_count(len(whose), 'result')} {word}, of: {named}.", style)


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


def ratio(lead: Lead) -> str:
    """Write a lead with its marks: ▼ ~0.94×."""
    marks = f"{SLOWER} " * (lead.ratio < 1) + NOISY * lead.outcome.noisy
    return f"{marks}{times(lead.ratio)}"


def _cell(row: Row, name: str) -> Text:
    outcome = row.outcomes.get(name)
    if outcome is None:
        return Text("-")
    if outcome.seconds is None:
        return Text.assemble(("WRONG", "bold red"), "\n", (error(outcome.error), "red"))
    if name == OURS.name:
        share = "" if row.of_ceiling is None else f" {row.of_ceiling:4.0%}"
        top = Text.assemble((duration(outcome.seconds), "bold"), share)
    elif outcome.ratio is None:
        top = Text("-")
    else:
        style = "bold red" if outcome.ratio < 1 else "green"
        top = Text(ratio(Lead(outcome.ratio, name, row)), style)
    speed = row.gb_per_s(name)
    rate = "?" if speed is None else _three_digits(speed)
    err = (f" {error(outcome.error):>5}", "bold red" if outcome.problem else "dim")
    return Text.assemble(top, "\n", (rate, "dim"), err)


def _three_digits(x: float) -> str:
    return f"{x:.2f}" if x < 9.995 else f"{x:.1f}" if x < 99.95 else f"{x:.0f}"


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" + ("" if n == 1 else "s")


def console() -> Console:
    """Return the console: plain text, without control characters, unless it is a terminal."""
    return Console(highlight=False)
