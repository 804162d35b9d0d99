"""Wake one change after another and see which tests notice."""

import contextlib
import ctypes
import hashlib
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

NOBODY = -1  # the number of no change


@dataclass
class Test:
    """A program in C++, or a file for pytest."""

    path: Path
    seconds: float = 0.0
    reached: set[int] = field(default_factory=set)

    @property
    def digest(self) -> str:
        """What tells it from another version of itself."""
        return hashlib.sha256(bytes(self.path) + self.path.read_bytes()).hexdigest()

    @property
    def is_program(self) -> bool:
        return self.path.suffix != ".py"


def measured(test: Test) -> Test:
    """Run a test without any change; note how long it takes and which changes it reaches."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRADCLIP_REACHED"] = folder
        begin = time.monotonic()
        failed = run([test], NOBODY, timeout=1000)
        test.seconds = time.monotonic() - begin
        del os.environ["GRADCLIP_REACHED"]
        if failed:
            raise RuntimeError(f"without any change: {failed}")
        for file in Path(folder).iterdir():
            test.reached |= {i for i, seen in enumerate(file.read_bytes()) if seen}
    return test


def killer(change: int, tests: Sequence[Test]) -> str | None:
    """Return the first of the tests that notices a change, quick ones first, or None."""
    order = sorted((t for t in tests if change in t.reached), key=lambda t: t.seconds)
    programs = [t for t in order if t.is_program]
    for test in programs:
        if run([test], change, timeout=30 + 5 * test.seconds):
            return test.path.name
    files = [t for t in order if not t.is_program]
    # A few at first: collecting the tests of all files takes longer than most changes live.
    for some in (files[:4], files[4:16], files[16:]):
        if some and (failed := run(some, change, timeout=60 + 5 * sum(t.seconds for t in some))):
            return failed
    return None


def run(tests: Sequence[Test], change: int, timeout: float) -> str | None:
    """Run a program or files with one change; return what failed, if any."""
    with tempfile.TemporaryFile("w+") as output:
        pid = _start(tests, change, output.fileno())
        status = _wait(pid, timeout)
        if status == 0:
            return None
        output.seek(0)
        lines = output.read().splitlines()
    failures = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    if failures:
        return failures[0].split(" - ")[0].split(" ", 1)[1]
    if status is None:
        return f"{tests[0].path.name} and after: a hang"
    return f"{tests[0].path.name} and after: exit status {status}, {lines[-1] if lines else ''}"


def _start(tests: Sequence[Test], change: int, output: int) -> int:
    """Start a process of its own session; Python files run in a fork of this one."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ["GRADCLIP_MUTANT"] = str(change)
        if tests[0].is_program:
            os.execv(tests[0].path, [tests[0].path, "--minimal"])
        library = _library()
        ctypes.c_int.in_dll(library, "gradclip_mutant").value = change
        status = _pytest([str(test.path) for test in tests])
        library.gradclip_write_reached()
        os._exit(status)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(70)


def _library() -> ctypes.CDLL:
    import gradclip._gradclip

    return ctypes.CDLL(gradclip._gradclip.__file__)


def _pytest(files: list[str]) -> int:
    import pytest

    os.chdir(Path(files[0]).parent.parent)
    imported = "ignore::pytest.PytestAssertRewriteWarning"  # hypothesis, by `import_all`
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-W", imported, *files]))


def _wait(pid: int, timeout: float) -> int | None:
    """Wait for a process and kill its session; return its status, None if it hung."""
    end = time.monotonic() + timeout
    status: int | None = None
    while time.monotonic() < end:
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(code)
            break
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if status is None:
        os.waitpid(pid, 0)
    return status


def import_all() -> None:
    """Import what the tests import, so that forks of this process need not."""
    import hypothesis.extra.numpy
    import ml_dtypes
    import mpmath
    import pytest

    import gradclip

    modules = (gradclip, hypothesis, ml_dtypes, mpmath, pytest)
    assert all(module.__name__ in sys.modules for module in modules)
