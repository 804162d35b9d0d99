"""Try every mechanical change of the C++ code, and tell which ones no test notices."""

import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
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
    code: str  # the line
    old: str
    new: str
    killer: str | None

    @property
    def name(self) -> str:
        """What names the change within its file when lines have moved."""
        return f"{self.code}: {self.old} -> {self.new or 'nothing'}"

    @property
    def place(self) -> tuple[str, int, str]:
        """What tells it from all others in one tree."""
        return self.file, self.line, self.name


def main(options: Namespace) -> int:
    """Hunt; return 1 if a change survives that nobody has explained."""
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        kept = _built(options, work)
        print(f"{len(kept)} changes compile", flush=True)
        _use(work)
        hunt.import_all()
        tests = _measured(work)
        tests = [test for test in tests if options.quick < test.seconds <= options.slow]
        done = _killed_or_explained(options.results) if options.results.exists() else set()
        todo = [i for i, change in enumerate(kept) if _described(change, None).place not in done]
        with options.results.open("a") as file:
            for result in _results(kept, todo, tests):
                file.write(json.dumps(asdict(result)) + "\n")
                file.flush()
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
            print(f"SURVIVED: {result.file}:{result.line}: {result.name}")
    killed = len(latest) - len(survivors)
    print(f"{killed} of {len(latest)} changes killed, {len(explained)} explained")
    return int(len(explained) < len(survivors))


def _latest(results: Path) -> list[Result]:
    found = [Result(**json.loads(line)) for line in results.read_text().splitlines()]
    return list({result.place: result for result in found}.values())


def _killed_or_explained(results: Path) -> set[tuple[str, int, str]]:
    return {result.place for result in _latest(results) if result.killer or _explained(result)}


def _explained(result: Result) -> str | None:
    reasons: dict[str, str] = json.loads(EXPLAINED.read_text())
    return reasons.get(result.name)


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


def _tests(work: Path) -> list[hunt.Test]:
    programs = [p for p in (work / "build" / "tests" / "cpp").glob("test_*") if p.is_file()]
    files = (work / "source" / "tests").rglob("test_*.py")
    reads_code = "test_guarantees.py"  # which is no longer what it was
    return [hunt.Test(path) for path in [*programs, *files] if path.name != reads_code]


def _measured(work: Path) -> list[hunt.Test]:
    """Return the tests, those that are as they were as they were measured then."""
    file = work / "measured.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    tests = _tests(work)
    new = [test for test in tests if test.digest not in known]
    with _workers() as pool:
        for test in pool.map(hunt.measured, new):
            known[test.digest] = test.seconds, sorted(test.reached)
            file.write_text(json.dumps(known))
    for test in tests:
        test.seconds, reached = known[test.digest]
        test.reached = set(reached)
    return tests


def _results(
    kept: Sequence[Change], todo: Sequence[int], tests: Sequence[hunt.Test]
) -> Iterator[Result]:
    """Try the changes with these numbers in any order."""
    with _workers() as pool:
        numbers = random.sample(todo, len(todo))
        futures = {pool.submit(hunt.killer, number, tests): number for number in numbers}
        for future in as_completed(futures):
            result = _described(kept[futures[future]], future.result())
            verdict = f"killed by {result.killer}" if result.killer else "SURVIVED"
            print(f"{result.file}:{result.line}: {result.name}\n    {verdict}", flush=True)
            yield result


def _workers() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(WORKERS, multiprocessing.get_context("fork"))


def _described(change: Change, killer: str | None) -> Result:
    text = (ROOT / change.file).read_bytes()
    line = text.count(b"\n", 0, change.start)
    code = text.splitlines()[line].decode().strip()
    old = text[change.start : change.end].decode()
    return Result(change.file, line + 1, code, old, change.new, killer)
