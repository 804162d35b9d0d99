"""Try every mechanical change of the C++ code, and tell which ones no test notices."""

import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import reduce
from operator import or_
from pathlib import Path

import hunt
from find import Change, changes
from instrument import build_tests, build_with, configure

ROOT = Path(__file__).resolve().parents[2]
EXPLAINED = Path(__file__).with_name("explained.json")
WORKERS = 2


@dataclass(frozen=True)
class Result:
    """A change, where a reader finds it, and the test that notices it, if any."""

    file: str
    line: int
    column: int
    code: str  # the line
    old: str
    new: str
    killer: str | None
    reached: bool = True  # by some test

    @property
    def name(self) -> str:
        """What names the change within its file when lines have moved."""
        return f"{self.code}: {self.old} -> {self.new or 'nothing'}"

    @property
    def place(self) -> tuple[str, int, int, str]:
        """What tells it from all others in one tree."""
        return self.file, self.line, self.column, self.name


def main(options: Namespace) -> int:
    """Hunt; return 1 if a change survives that nobody has explained."""
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        kept = _built(options, work)
        _use(work)
        programs = [p for p in (work / "build" / "tests" / "cpp").glob("test_*") if p.is_file()]
        tests = work / "source" / "tests"
        hunt.with_tests(programs, tests, lambda: _hunt(kept, options, work))
    return report(options.results)


def _built(options: Namespace, work: Path) -> list[Change]:
    """Build, or only the tests if that has been done; return the changes that compile."""
    kept = work / "changes.json"
    if kept.exists():
        build_tests(ROOT, work)
    else:
        changes = build_with(_chosen(options, work), ROOT, work)
        kept.write_text(json.dumps([asdict(change) for change in changes]))
    return [Change(**change) for change in json.loads(kept.read_text())]


def report(results: Path) -> int:
    """Print the score and the survivors that are not explained; return 1 if there are any."""
    latest = _latest(results)
    survivors = [result for result in latest if result.killer is None]
    explained = [result for result in survivors if _explained(result)]
    for result in sorted(survivors, key=lambda result: result.place):
        if result not in explained:
            verdict = "SURVIVED" if result.reached else "NEVER RUN"
            print(f"{verdict}: {result.file}:{result.line}:{result.column}: {result.name}")
    killed = len(latest) - len(survivors)
    never = sum(not result.reached for result in survivors)
    print(f"{killed} of {len(latest)} changes killed, {never} in code that no test runs")
    print(f"{len(explained)} of {len(survivors)} survivors explained")
    return int(len(explained) < len(survivors))


def _latest(results: Path) -> list[Result]:
    found = [Result(**json.loads(line)) for line in results.read_text().splitlines()]
    return list({result.place: result for result in found}.values())


def _killed_or_explained(results: Path) -> set[tuple[str, int, int, str]]:
    return {result.place for result in _latest(results) if result.killer or _explained(result)}


def _explained(result: Result) -> str | None:
    """Return why this change, everywhere or in this file, or any of its line, does no harm."""
    reasons: dict[str, str] = json.loads(EXPLAINED.read_text())
    keys = result.name, f"{result.file}: {result.name}", result.code
    return next((reasons[key] for key in keys if key in reasons), None)


def _chosen(options: Namespace, work: Path) -> list[Change]:
    """Return the changes to try."""
    clang = ("-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", "-DCMAKE_CXX_COMPILER=clang++-14")
    configure(ROOT, work / "found", *clang)
    found = changes(work / "found", ROOT, options.files)
    return sorted(random.Random(options.seed).sample(found, min(options.sample, len(found))))


def _use(work: Path) -> None:
    """Let Python import the package that was built."""
    package = work / "source" / "python" / "gradclip"
    for module in (work / "build").glob("cpp/_gradclip*.so"):
        shutil.copy(module, package)
    sys.path.insert(0, str(package.parent))
    os.environ["PYTHONPATH"] = str(package.parent)


def _hunt(kept: Sequence[Change], options: Namespace, work: Path) -> None:
    """Try what has not been killed or explained yet, in any order."""
    with _workers() as pool:
        hunt.measure(work, pool)
    done = _killed_or_explained(options.results) if options.results.exists() else set()
    todo = [i for i, change in enumerate(kept) if _described(change, None).place not in done]
    reached = reduce(or_, (test.reached for test in hunt.TESTS))
    earlier = (
        {(r.file, r.name): r.killer for r in _latest(options.earlier)} if options.earlier else {}
    )
    with _workers() as pool, options.results.open("a") as file:
        trials = {}
        for number in random.sample(todo, len(todo)):
            hint = earlier.get((kept[number].file, _described(kept[number], None).name))
            trial = pool.submit(hunt.killer, number, options.slow, options.budget, hint)
            trials[trial] = number
        for trial in as_completed(trials):
            number = trials[trial]
            result = _described(kept[number], trial.result(), bool(reached >> number & 1))
            verdict = f"killed by {result.killer}" if result.killer else "SURVIVED"
            print(f"{result.file}:{result.line}: {result.name}\n    {verdict}", flush=True)
            file.write(json.dumps(asdict(result)) + "\n")
            file.flush()


def _workers() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(WORKERS, multiprocessing.get_context("fork"))


def _described(change: Change, killer: str | None, reached: bool = True) -> Result:
    text = (ROOT / change.file).read_bytes()
    line = text.count(b"\n", 0, change.start)
    column = change.start - (text.rfind(b"\n", 0, change.start) + 1)
    code = text.splitlines()[line].decode().strip()
    old = text[change.start : change.end].decode()
    return Result(change.file, line + 1, column + 1, code, old, change.new, killer, reached)
