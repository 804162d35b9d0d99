"""Wake one change after another and see which tests notice.

Python's tests are collected once; each trial runs those it needs in a fork of this process.
"""

import contextlib
import ctypes
import gc
import hashlib
import json
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import groupby, zip_longest
from pathlib import Path
from typing import NoReturn

import pytest

try:
    import torch
except ImportError:
    torch = None

NOBODY = -1  # the number of no change
FAILED = 1  # the exit status of a fork in which a test fails
PATIENCE = 10.0  # seconds that a test may always take, besides ten times what it takes unchanged


@dataclass
class Test:
    """A program in C++ or a test of pytest, with the changes it reaches as bits of a number."""

    program: Path | None
    item: pytest.Item | None
    seconds: float = 0.0
    reached: int = 0

    @property
    def path(self) -> Path:
        path = self.program or (self.item and self.item.path)
        assert path
        return path

    @property
    def name(self) -> str:
        return self.item.nodeid if self.item else self.path.name

    @property
    def function(self) -> str:
        """What it shares with the tests that differ from it by parameters."""
        return self.name.partition("[")[0]


TESTS: list[Test] = []  # all; forks find them here, as items cannot be sent


def with_tests(programs: Iterable[Path], folder: Path, body: Callable[[], None]) -> None:
    """Collect the tests, the Python ones below a folder, and call `body`."""

    class Plugin:
        def pytest_runtestloop(self, session: pytest.Session) -> bool:
            TESTS[:] = [Test(path, None) for path in programs]
            TESTS.extend(Test(None, item) for item in session.items)
            gc.freeze()  # so that forks share the memory
            body()
            return True

    if torch:
        torch.set_num_threads(1)  # its pool, if it had one here, would hang in forks
    os.chdir(folder.parent)
    ignored = "test_guarantees.py"  # reads the code, which is no longer what it was
    arguments = ["-s", "-q", "-p", "no:cacheprovider", f"--ignore={folder / ignored}", str(folder)]
    status = pytest.main(arguments, plugins=[Plugin()])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise SystemExit(f"the tests cannot be collected: {status!r}")


def measure(folder: Path, pool: Executor) -> None:
    """Note how long each test takes, and what it reaches; remember that in a folder."""
    file, digests = folder / "measured.jsonl", {p: _digest(p) for p in {t.path for t in TESTS}}
    lines = file.read_text().splitlines() if file.exists() else []
    known = {
        (d, name): (seconds, int(bits, 16)) for d, name, seconds, bits in map(json.loads, lines)
    }
    new = [i for i, test in enumerate(TESTS) if (digests[test.path], test.name) not in known]
    # One process for tests that differ by parameters: what is done only once is in the first.
    groups = [list(group) for _, group in groupby(new, key=lambda i: TESTS[i].function)]
    with file.open("a") as output:
        for group, (found, failed) in zip(groups, pool.map(_measured, groups), strict=True):
            if failed:
                print(f"left out, as it fails without any change: {failed}", flush=True)
            for i, (seconds, bits) in zip(group, found, strict=not failed):
                key = digests[TESTS[i].path], TESTS[i].name
                known[key] = seconds, bits
                output.write(json.dumps([*key, round(seconds, 5), f"{bits:x}"]) + "\n")
            output.flush()
    for test in TESTS:
        test.seconds, test.reached = known.get((digests[test.path], test.name), (0.0, 0))


def killer(change: int, slow: float, budget: float, earlier: str | None = None) -> str | None:
    """Return a test that notices a change; None after `budget` seconds of tests up to `slow`.

    What noticed it earlier comes first, then programs. These are not counted: they are quick, and
    closest to the code.
    """
    for test in TESTS:
        if earlier and f"{earlier},".startswith(f"{test.name},"):
            run = _run_program(test, change) if test.program else _run_items([test], change)
            if run:
                return run
    reaching = [t for t in TESTS if t.reached >> change & 1 and t.seconds <= slow]
    for test in sorted(reaching, key=lambda test: test.seconds):
        if test.program and (failed := _run_program(test, change)):
            return failed
    left, chosen = budget, []
    for test in _various(t for t in reaching if t.item):
        if test.seconds <= left:
            chosen.append(test)
            left -= test.seconds
    return _run_items(chosen, change)


def _digest(path: Path) -> str:
    """What tells a file with tests from another version of itself."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _various(tests: Iterable[Test]) -> list[Test]:
    """Return one test of each function, the quick ones first, then the second of each, ..."""
    quick = sorted(tests, key=lambda test: test.seconds)
    functions: dict[str, list[Test]] = {}
    for test in quick:
        functions.setdefault(test.function, []).append(test)
    return [test for rank in zip_longest(*functions.values()) for test in rank if test]


def _measured(numbers: Sequence[int]) -> tuple[list[tuple[float, int]], str | None]:
    """Run tests without any change, in a process of their own; tell which fails, if one does."""
    tests = [TESTS[i] for i in numbers]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRADCLIP_REACHED"] = folder
        if tests[0].program:
            begin = time.monotonic()
            failed = _run_program(tests[0], NOBODY)
            found = [(time.monotonic() - begin, _union(Path(folder)))]
        else:
            notes = Path(folder) / "notes"
            failed = _run_items(tests, NOBODY, notes)
            found = json.loads(notes.read_text()) if not failed else []
        del os.environ["GRADCLIP_REACHED"]
    return [] if failed else found, failed


def _union(folder: Path) -> int:
    """Return what the processes reached that have ended, and forget it."""
    bits = 0
    for file in folder.glob("[0-9]*"):
        bits |= _bits(file.read_bytes())
        file.unlink()
    return bits


def _bits(reached: bytes) -> int:
    """Return the number whose bit i is set where reached[i] is 1."""
    return int(reached[::-1].translate(bytes.maketrans(b"\0\1", b"01")), 2)


def _run_program(test: Test, change: int) -> str | None:
    environment = {**os.environ, "GRADCLIP_MUTANT": str(change)}
    try:
        done = subprocess.run(
            [test.path, "--minimal"],
            env=environment,
            capture_output=True,
            timeout=None if change == NOBODY else PATIENCE + 10 * test.seconds,
        )
    except subprocess.TimeoutExpired:
        return f"{test.name}, which hangs"
    return f"{test.name}, status {done.returncode}" if done.returncode else None


def _run_items(tests: Sequence[Test], change: int, notes: Path | None = None) -> str | None:
    """Run tests of pytest in a fork until one fails; return which, and how unless it just does."""
    if not tests:
        return None
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        _in_fork(tests, change, writer, notes)
    os.close(writer)
    begun, status = 0, None
    while True:
        known = tests[max(begun - 1, 0)].seconds
        patience = PATIENCE + 10 * known if known else math.inf
        if not select.select([reader], [], [], min(patience, 1000))[0]:
            break
        if not os.read(reader, 1):
            status = os.waitpid(pid, 0)[1]
            break
        begun += 1
    os.close(reader)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if status is None:
        os.waitpid(pid, 0)
        return f"{tests[begun - 1].name}, which hangs"
    if status == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    return tests[begun - 1].name + ("" if code == FAILED else f", status {code}")


def _in_fork(tests: Sequence[Test], change: int, writer: int, notes: Path | None) -> NoReturn:
    """Run tests; write a byte before each, and exit with FAILED at the first that fails."""
    status = 70
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        library = ctypes.CDLL(sys.modules["gradclip._gradclip"].__file__)
        ctypes.c_int.in_dll(library, "gradclip_mutant").value = change
        os.environ["GRADCLIP_MUTANT"] = str(change)
        if torch:
            torch.set_num_threads(os.cpu_count() or 1)
        items = [test.item for test in tests if test.item]
        items[0].config.pluginmanager.register(_ExitsAtFailure())
        found = []
        if notes:
            _reached(library, notes.parent)
        for item, following in zip(items, [*items[1:], None], strict=True):
            os.write(writer, b".")
            begin = time.monotonic()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if notes:
                found.append((time.monotonic() - begin, _reached(library, notes.parent)))
        if notes:
            notes.write_text(json.dumps(found))
        status = 0
    finally:
        os._exit(status)


class _ExitsAtFailure:
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os._exit(FAILED)


def _reached(library: ctypes.CDLL, folder: Path) -> int:
    """Return what this process has reached, and the others that have ended; forget it."""
    library.gradclip_write_reached()
    count = (folder / str(os.getpid())).stat().st_size
    ctypes.memset(ctypes.addressof(ctypes.c_ubyte.in_dll(library, "gradclip_reached")), 0, count)
    return _union(folder)
