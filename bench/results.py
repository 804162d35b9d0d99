"""What a run finds out, as plain data that goes into the table, the plot and the JSON file."""

from dataclasses import dataclass, field

from bench.cases import Case


@dataclass(frozen=True)
class Outcome:
    """One contender on one case. Fields are None where it failed, `problem` then says why.

    `ratio` is its time over gradclip's, the median of pairs timed in the same round; `quartiles`
    are the lower and upper quartile of those pairs.
    """

    error: float | None = None
    problem: str | None = None
    seconds: float | None = None
    ratio: float | None = None
    quartiles: tuple[float, float] | None = None

    @property
    def noisy(self) -> bool:
        """Whether the middle half of the ratios spans more than a factor of 1.5."""
        return self.quartiles is not None and self.quartiles[1] > 1.5 * self.quartiles[0]


@dataclass(frozen=True)
class Row:
    """All contenders on one case, by name."""

    case: Case
    rounds: int = 0
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    of_ceiling: float | None = None  # the memory's shortest time over gradclip's

    def gb_per_s(self, contender: str) -> float | None:
        """Return the bytes that must move over the contender's time, in GB/s."""
        seconds = self.outcomes[contender].seconds
        return None if seconds is None else self.case.bytes_moved / seconds / 1e9

    def as_dict(self) -> dict[str, object]:
        """Return the row for the JSON file."""
        case = self.case
        return {
            "group": case.group,
            "name": case.name,
            "dtype": case.dtype,
            "clips": case.clips,
            "arrays": len(case.shapes),
            "elements": case.elements,
            "bytes_moved": case.bytes_moved,
            "rounds": self.rounds,
            "of_ceiling": self.of_ceiling,
            "contenders": {
                name: {
                    "seconds": outcome.seconds,
                    "ratio": outcome.ratio,
                    "ratio_quartiles": outcome.quartiles,
                    "gb_per_s": self.gb_per_s(name),
                    "norm_relative_error": outcome.error,
                    "problem": outcome.problem,
                }
                for name, outcome in self.outcomes.items()
            },
        }


@dataclass(frozen=True)
class Lead:
    """How gradclip compares with one peer on one case."""

    ratio: float
    peer: str
    case: Case


def leads(rows: list[Row]) -> list[Lead]:
    """Return gradclip's lead over every peer on every case, the smallest first."""
    found = [
        Lead(outcome.ratio, peer, row.case)
        for row in rows
        for peer, outcome in row.outcomes.items()
        if outcome.ratio is not None
    ]
    return sorted(found, key=lambda lead: lead.ratio)
