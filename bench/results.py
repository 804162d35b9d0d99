"""What a run finds out, as plain data that goes into tables, plots and the JSON file."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.contenders import OURS, is_ours

Quartiles = tuple[float, float]


@dataclass(frozen=True)
class Outcome:
    """One contender on one case. Times are None where it failed; `problem` then says why.

    A norm that is imprecise and no worse is a problem, too, but has its times.

    `seconds` is the median over the rounds; `ratio` its time over gradclip's, the median of pairs
    timed in the same round. Each has its lower and upper quartile.
    """

    error: float | None = None
    problem: str | None = None
    seconds: float | None = None
    seconds_quartiles: Quartiles | None = None
    ratio: float | None = None
    ratio_quartiles: Quartiles | None = None

    @property
    def noisy(self) -> bool:
        """Whether the middle half of the ratios spans more than a factor of 1.5."""
        quartiles = self.ratio_quartiles
        return quartiles is not None and quartiles[1] > 1.5 * quartiles[0]


Key = tuple[str, str, str, bool]


@dataclass(frozen=True)
class Row:
    """All contenders on one case, by name; those that don't take it are not there.

    `passes` are the seconds that the memory needs for a read and, where it clips, for a rewrite;
    `of_ceiling` is their sum over gradclip's time, the median of pairs.
    """

    group: str
    name: str
    dtype: str
    clips: bool
    arrays: int
    elements: int
    bytes_moved: int
    rounds: int = 0
    passes: tuple[float, ...] | None = None
    of_ceiling: float | None = None
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """What tells this case from all others of a run."""
        return self.group, self.name, self.dtype, self.clips

    @property
    def label(self) -> str:
        """The case in words."""
        return f"{self.name} ({self.dtype}, {'clips' if self.clips else 'nothing to clip'})"

    def gb_per_s(self, contender: str) -> float | None:
        """Return the bytes that must move over the contender's time, in GB/s."""
        outcome = self.outcomes.get(contender)
        if outcome is None or outcome.seconds is None:
            return None
        return self.bytes_moved / outcome.seconds / 1e9


@dataclass(frozen=True)
class Lead:
    """How gradclip compares with another contender on one case."""

    ratio: float
    peer: str
    row: Row

    @property
    def outcome(self) -> Outcome:
        """The other contender's outcome."""
        return self.row.outcomes[self.peer]


def contender_names(rows: Iterable[Row]) -> list[str]:
    """Return the names of all contenders in these rows, gradclip's first."""
    names = dict.fromkeys(name for row in rows for name in row.outcomes)
    return [OURS.name, *(name for name in names if name != OURS.name)]


def leads(rows: Iterable[Row], *, ours: bool = False) -> list[Lead]:
    """Return gradclip's leads over all peers, or over `ours`: itself with fewer threads.

    The smallest comes first.
    """
    found = [
        Lead(outcome.ratio, name, row)
        for row in rows
        for name, outcome in row.outcomes.items()
        if outcome.ratio is not None and is_ours(name) == ours
    ]
    return sorted(found, key=lambda lead: lead.ratio)
