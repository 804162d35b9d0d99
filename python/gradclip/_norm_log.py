"""A file with a line for each training step, which a crash can only cut short."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Step(NamedTuple):
    """What a line says."""

    step: int
    norm: float
    max_norm: float
    factor: float
    clipped: bool


class Format(NamedTuple):
    """How a file begins, how a step becomes a line, and a line norm and max_norm."""

    header: str
    to_line: Callable[[Step], str]
    to_norms: Callable[[str], tuple[float, float]]


def _to_csv(step: Step) -> str:
    return f"{step.step},{step.norm},{step.max_norm},{step.factor},{int(step.clipped)}\n"


def _from_csv(line: str) -> tuple[float, float]:
    _, norm, max_norm, _, _ = line.split(",")
    return float(norm), float(max_norm)


def _to_json(step: Step) -> str:
    # JSON has neither inf nor NaN; as strings, float() takes them all the same.
    values = step._asdict().items()
    return json.dumps({key: v if math.isfinite(v) else str(v) for key, v in values}) + "\n"


def _from_json(line: str) -> tuple[float, float]:
    values = json.loads(line)
    return float(values["norm"]), float(values["max_norm"])


FORMATS = {
    ".csv": Format(",".join(Step._fields) + "\n", _to_csv, _from_csv),
    ".jsonl": Format("", _to_json, _from_json),
}


def _format_of(path: Path) -> Format:
    if path.suffix not in FORMATS:
        raise ValueError(f"the file's name must end in .csv or .jsonl: {str(path)!r}")
    return FORMATS[path.suffix]


def _complete_lines(path: Path) -> bytes:
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1]


def read(path: Path) -> list[tuple[float, float]]:
    """Return norm and max_norm of each step, but for a last line that was cut short."""
    form = _format_of(path)
    content = _complete_lines(path).decode("utf-8", "replace")
    if content and not content.startswith(form.header):
        raise ValueError(f"{path} is no history of norms: its first line must be {form.header!r}")
    return [_norms(line, form, path) for line in content[len(form.header) :].splitlines()]


def _norms(line: str, form: Format, path: Path) -> tuple[float, float]:
    try:
        return form.to_norms(line)
    except (ValueError, TypeError, LookupError):
        raise ValueError(f"{path} is no history of norms: it has the line {line!r}") from None


class Log:
    """A file that steps are appended to, after its last complete line."""

    def __init__(self, path: Path) -> None:
        self._format = _format_of(path)
        self._file = open(path, "a", buffering=1, encoding="utf-8", newline="\n")  # noqa: SIM115
        complete = len(_complete_lines(path))
        os.truncate(path, complete)
        if not complete:
            self._file.write(self._format.header)

    def append(self, step: Step) -> None:
        """Write a line, and hand it over to the operating system."""
        self._file.write(self._format.to_line(step))

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._file.close()
