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
from instrument import build_with, configure

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


def main(options: Namespace) -> int:
    """Hunt; return 1 if a change survives that nobody has explained."""
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        kept = _built(options, work)
        print(f"{len(kept)} changes compile", flush=True)
        _use(work)
        hunt.import_all()
        with _workers() as pool:
            tests = list(pool.map(hunt.measured, _tests(work)))
        tests = [test for test in tests if test.is_program or test.seconds <= options.slow]
        with options.results.open("a") as file:
            for result in _results(kept, tests):
                file.write(json.dumps(asdict(result)) + "\n")
                file.flush()
    return report(options.results)


def _built(options: Namespace, work: Path) -> list[Change]:
    """Build, unless that has been done; return the changes that compile."""
    kept = work / "changes.json"
    if not kept.exists():
        changes = build_with(_chosen(options, work), ROOT, work)
        kept.write_text(json.dumps([asdict(change) for change in changes]))
    return [Change(**change) for change in json.loads(kept.read_text())]


def report(results: Path) -> int:
    """Print the score and the survivors that are not explained; return 1 if there are any."""
    explained = json.loads(EXPLAINED.read_text())
    latest = {}
    for line in results.read_text().splitlines():
        result = Result(**json.loads(line))
        latest[result.file, result.name] = result
    survivors = [result for result in latest.values() if result.killer is None]
    known = [result for result in survivors if explained.get(result.name)]
    for result in sorted(survivors, key=lambda result: (result.file, result.line)):
        if result not in known:
            print(f"SURVIVED: {result.file}:{result.line}: {result.name}")
    killed = len(latest) - len(survivors)
    print(f"{killed} of {len(latest)} changes killed, {len(known)} explained")
    return int(len(known) < len(survivors))


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
    return [hunt.Test(path) for path in [*programs, *files]]


def _results(kept: Sequence[Change], tests: Sequence[hunt.Test]) -> Iterator[Result]:
    numbers = random.sample(range(len(kept)), len(kept))
    with _workers() as pool:
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
