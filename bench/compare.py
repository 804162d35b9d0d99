"""Two runs side by side: how gradclip's speed has changed, measured by the same peers.

Only ratios within one run count, so what is compared is gradclip's time relative to a peer's, in
one run and in the other. The plain times stand beside it for what they are worth.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bench.contenders import OURS, is_ours
from bench.record import Run
from bench.report import NOISY, times
from bench.results import Row

NOTEWORTHY = 1.05  # changes of more than 5 % stand out


@dataclass(frozen=True)
class Change:
    """One case in both runs: gradclip's time in the second over that in the first.

    `by_peer` takes either time relative to the peer's in the same run; `plain` as they are.
    `noisy` are the peers whose ratio was noisy in one of the runs.
    """

    label: str
    by_peer: dict[str, float]
    noisy: set[str]
    plain: float

    @property
    def overall(self) -> float:
        """The median over the quiet peers; else over all; without any, the plain ratio."""
        quiet = [ratio for name, ratio in self.by_peer.items() if name not in self.noisy]
        return median(quiet or [*self.by_peer.values()] or [self.plain])

    def cell(self, peer: str) -> str:
        """Write the change relative to one peer."""
        if peer not in self.by_peer:
            return "-"
        return NOISY * (peer in self.noisy) + times(self.by_peer[peer])


def changes(before: Run, after: Run) -> list[Change]:
    """Return the changes in all cases that both runs have timed, the slowed-down ones first."""
    earlier = {row.key: row for row in before.rows}
    pairs = [(earlier[row.key], row) for row in after.rows if row.key in earlier]
    found = [change for pair in pairs if (change := _change(*pair)) is not None]
    return sorted(found, key=lambda change: -change.overall)


def _change(a: Row, b: Row) -> Change | None:
    own_a, own_b = a.outcomes[OURS.name].seconds, b.outcomes[OURS.name].seconds
    if own_a is None or own_b is None:
        return None
    by_peer: dict[str, float] = {}
    noisy: set[str] = set()
    for name in a.outcomes.keys() & b.outcomes.keys():
        one, other = a.outcomes[name], b.outcomes[name]
        if one.ratio is not None and other.ratio is not None and not is_ours(name):
            by_peer[name] = one.ratio / other.ratio
            if one.noisy or other.noisy:
                noisy.add(name)
    return Change(b.label, by_peer, noisy, own_b / own_a)


def table(before: Run, after: Run) -> Group:
    """Return warnings, the changes and the cases that only one of the runs has."""
    found = changes(before, after)
    compared = {name for change in found for name in change.by_peer}
    peers = [name for name in before.contenders if name in compared]
    made = Table(
        title="gradclip's time in B over its time in A, each relative to the same peer's",
        title_justify="left",
        title_style="bold",
        caption="Above 1× B is slower. ~: noisy in A or B. Overall: the median over the peers that "
        "are not. Time: not relative.",
        caption_justify="left",
        box=None,
        pad_edge=False,
    )
    made.add_column("", no_wrap=True)
    for heading in ("overall", *peers, "time"):
        made.add_column(heading, justify="right", no_wrap=True)
    for change in found:
        cells = map(change.cell, peers)
        made.add_row(change.label, _overall(change), *cells, times(change.plain))
    return Group(*_differences(before, after), made, *_alone(before, after))


def _overall(change: Change) -> Text:
    style = ""
    if change.overall > NOTEWORTHY:
        style = "bold red"
    elif change.overall < 1 / NOTEWORTHY:
        style = "green"
    return Text(times(change.overall), style)


def _differences(before: Run, after: Run) -> Iterator[Text]:
    """Warn of machines that differ; name the versions that do."""
    a, b = dataclasses.asdict(before.machine), dataclasses.asdict(after.machine)
    for name in ("cpu", "cores", "system", "isa", "threads", "blas", "compiler"):
        if a[name] != b[name]:
            yield Text(f"Not the same {name}: A {a[name]}, B {b[name]}", "bold yellow")
    a, b = before.machine.versions, after.machine.versions
    for name in sorted(a.keys() & b.keys()):
        if a[name] != b[name]:
            yield Text(f"{name}: A {a[name]}, B {b[name]}")
    for which, machine in (("A", before.machine), ("B", after.machine)):
        if machine.commit:
            changed = " with changes" * bool(machine.dirty)
            yield Text(f"{which}: commit {machine.commit[:12]}{changed}", "dim")


def _alone(before: Run, after: Run) -> Iterator[Text]:
    """Name the cases that only one run has."""
    runs = {"A": before, "B": after}
    labels = {which: {row.key: row.label for row in run.rows} for which, run in runs.items()}
    for which, other in (("A", "B"), ("B", "A")):
        only = [label for key, label in labels[which].items() if key not in labels[other]]
        if only:
            yield Text(f"Only in {which}: {'; '.join(only)}", "dim")
