"""A run as a JSON file: written at its end, read to compare two runs or to draw one again."""

import dataclasses
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import Refused
from bench.accuracy import Accuracy
from bench.machine import Machine
from bench.results import Outcome, Row
from bench.step import Share

SCHEMA = 4  # raised when a reader of the old one would misread the new one


@dataclass(frozen=True)
class Run:
    """Everything that a run has found out."""

    mode: str
    seconds: float
    cores_used_by_others: float | None
    machine: Machine
    contenders: dict[str, str]  # names and idioms
    rows: list[Row]
    accuracy: Accuracy
    step: dict[str, Share]  # by contender; empty unless the mode times training steps


def write(run: Run, file: Path) -> None:
    """Write a run; numbers that JSON cannot hold, NaN and infinities, become null."""
    found = {"schema": SCHEMA, **_finite(dataclasses.asdict(run))}
    text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
    file.write_text(text + "\n", encoding="utf-8")


def read(file: Path) -> Run:
    """Read a run.

    Raises
    ------
    Refused
        If the file cannot be read, is no JSON or has another schema.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        schema = found.pop("schema", None)
        if schema != SCHEMA:
            raise Refused(f"{file}: schema {schema}, but this harness reads {SCHEMA}; run it again")
        found["machine"] = Machine(**found["machine"])
        found["rows"] = [_row(row) for row in found["rows"]]
        found["accuracy"] = Accuracy(**found["accuracy"])
        found["step"] = {name: Share(**share) for name, share in found["step"].items()}
        return Run(**found)
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise Refused(f"{file}: not a run of this harness ({error})") from None


def _row(found: dict[str, Any]) -> Row:
    outcomes = {name: Outcome(**outcome) for name, outcome in found.pop("outcomes").items()}
    return Row(**found, outcomes=outcomes)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
