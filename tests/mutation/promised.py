"""Break each promise once, and see that the tests it names notice.

Mutants whose tests need torch are skipped without it. --sample takes so many at random: over many
runs all have their turn.
"""

import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pybind11
from promises import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
WORKSHOPS = 2  # at once: a build of one file and its tests keep one core busy
TIMEOUT = 300  # seconds, several times what the tests need: a mutant may make them hang


class Workshop:
    """A copy of the tree that is built and tested in place."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source"
        self.build = folder / "build"
        ignore = shutil.ignore_patterns(".git", "build", "dist", ".*_cache", "__pycache__")
        shutil.copytree(ROOT, self.source, ignore=ignore)
        subprocess.run(
            [
                *("cmake", "-S", self.source, "-B", self.build, "-G", "Ninja"),
                f"-DPython_EXECUTABLE={sys.executable}",
                f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def make(self) -> None:
        subprocess.run(["cmake", "--build", self.build, "--", "--quiet"], check=True)
        for module in self.build.glob("cpp/_gradclip*.so"):
            shutil.copy(module, self.source / "python" / "gradclip")

    def test(self, names: str) -> tuple[int | None, str]:
        """Run tests; return the exit status, None for a hang, and what they printed."""
        pytest = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider")
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                [*pytest, *(f"tests/{name}" for name in names.split())],
                cwd=self.source,
                env=os.environ | {"PYTHONPATH": str(self.source / "python")},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)  # its children too
                    process.wait()
            output.seek(0)
            return status, output.read()

    def first_failure(self, mutant: Mutant) -> str | None:
        """The test that notices the mutant, or None if it survives."""
        file = self.source / mutant.file
        text = file.read_text()
        file.write_text(text.replace(mutant.old, mutant.new))
        self.make()
        status, output = self.test(mutant.tests)
        file.write_text(text)
        if status == 0:
            return None
        if status is None:
            return f"a hang of {mutant.tests}"
        failures = [line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        return failures[0].split(" - ")[0].split(" ", 1)[1] if failures else "a crash"


def main(options: Namespace) -> int:
    """Try the mutants in whose names one of the words occurs; return 1 if one survives."""
    words = options.words or [""]
    mutants = [mutant for mutant in MUTANTS if any(word in mutant.promise for word in words)]
    survivors, skipped = 0, []
    for mutant in mutants:
        if (ROOT / mutant.file).read_text().count(mutant.old) != 1:
            raise SystemExit(f"{mutant.file} has not exactly one {mutant.old!r}")
    if importlib.util.find_spec("torch") is None:
        skipped = [mutant for mutant in mutants if mutant.needs_torch]
        mutants = [mutant for mutant in mutants if not mutant.needs_torch]
        for mutant in skipped:
            print(f"{mutant.promise}\n    SKIPPED: its tests need torch", flush=True)
    left_out = len(skipped) + max(0, len(mutants) - options.sample)
    mutants = random.sample(mutants, min(options.sample, len(mutants)))
    if not mutants:
        return 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(WORKSHOPS) as pool:
        workshops: SimpleQueue[Workshop] = SimpleQueue()

        def open_workshop(i: int) -> None:
            workshop = Workshop(Path(folder) / str(i))
            workshop.make()
            workshops.put(workshop)

        def in_a_workshop(mutant: Mutant) -> str | None:
            workshop = workshops.get()
            try:
                return workshop.first_failure(mutant)
            finally:
                workshops.put(workshop)

        list(pool.map(open_workshop, range(WORKSHOPS)))
        names = " ".join(sorted({name for mutant in mutants for name in mutant.tests.split()}))
        workshop = workshops.get()
        status, output = workshop.test(names)
        workshops.put(workshop)
        if status != 0:
            raise SystemExit(f"the tests fail without any mutation:\n{output}")
        for mutant, failure in zip(mutants, pool.map(in_a_workshop, mutants), strict=True):
            survivors += failure is None
            verdict = f"killed by {failure}" if failure else "SURVIVED"
            print(f"{mutant.promise}\n    {verdict}", flush=True)
    tried = len(mutants)
    print(f"{tried - survivors} of {tried} mutants killed, {left_out} not tried")
    return int(survivors > 0)
