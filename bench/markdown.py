"""A run's tables as Markdown, for the README files."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from bench import report
from bench.contenders import OURS
from bench.record import Run
from bench.results import Row, contender_names


def tables(run: Run) -> str:
    """Return where the figures come from and a table for each group of cases."""
    machine = run.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    lines = [f"{machine.cpu}, {machine.cores} cores, {machine.isa}, {machine.threads} threads."]
    lines += [f"{versions}.", "", *_accuracy(run)]
    for group, rows in groupby(run.rows, key=lambda row: row.group):
        lines += ["", f"### {group}", "", *_table(list(rows))]
    if run.step:
        lines += ["", "### A whole training step of the RL policy", "", *_step(run)]
    return "\n".join(lines)


def _table(rows: Sequence[Row]) -> Iterator[str]:
    peers = contender_names(rows)[1:]
    yield _line(["case", "dtype", "clips", OURS.name, "of the ceiling", *peers])
    yield _line(["---"] * 3 + ["---:"] * (2 + len(peers)))
    for row in rows:
        own = row.outcomes[OURS.name].seconds
        share = "" if row.of_ceiling is None else f"{row.of_ceiling:.0%}"
        cells = [row.name, row.dtype, "yes" if row.clips else "no"]
        cells += ["WRONG" if own is None else report.duration(own), share]
        yield _line([*cells, *(_ratio(row, peer) for peer in peers)])


def _ratio(row: Row, peer: str) -> str:
    """Write how many times as long a peer takes; in bold where it is the quicker one."""
    outcome = row.outcomes.get(peer)
    if outcome is None:
        return "-"
    if outcome.ratio is None:
        return "WRONG"
    text = report.NOISY * outcome.noisy + report.times(outcome.ratio)
    return f"**{text}**" if outcome.ratio < 1 else text


def _accuracy(run: Run) -> Iterator[str]:
    found = run.accuracy
    yield _line(["relative error of the norm of", *(f"{n:,}" for n in found.elements[::4])])
    yield _line(["---"] + ["---:"] * len(found.elements[::4]))
    for name, errors in found.errors.items():
        yield _line([name, *(report.error(error) for error in errors[::4])])


def _step(run: Run) -> Iterator[str]:
    yield _line(["", "step", "of it clipping", "share"])
    yield _line(["---"] + ["---:"] * 3)
    for name, share in run.step.items():
        times = [report.duration(share.step), report.duration(share.clip)]
        yield _line([name, *times, f"{share.clip / share.step:.1%}"])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
