"""What the figures depend on: machine, versions, instruction set, threads."""

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from subprocess import DEVNULL
from time import perf_counter, process_time
from typing import Any

import numpy as np

import gradclip


@dataclass(frozen=True)
class Machine:
    """Where and with what the benchmark runs."""

    cpu: str
    cores: int
    system: str
    versions: dict[str, str]
    blas: list[str]
    isa: str
    threads: int
    peer_threads: dict[str, int]  # of those that tell
    compiler: str
    commit: str | None  # of the checkout that the harness lies in, and whether it has changes
    dirty: bool | None


def describe(packages: Iterable[str], peer_threads: Mapping[str, int]) -> Machine:
    """Return a description of this machine and of what is used on it: these packages, too."""
    config: dict[str, Any] = gradclip.show_config(mode="dicts")
    isa = config.get("isa", "?")
    return Machine(
        cpu=cpu_name(),
        cores=usable_cores(),
        system=f"{platform.system()} {platform.machine()}",
        versions={
            "gradclip": str(config.get("version", "?")),
            "Python": platform.python_version(),
            "numpy": np.__version__,
            **{name: version(name) for name in sorted(packages) if name != "gradclip"},
        },
        blas=blas_libraries(),
        isa=str(isa.get("in_use", "?") if isinstance(isa, dict) else isa),
        threads=gradclip.get_num_threads(),
        peer_threads=dict(peer_threads),
        compiler=str(config.get("compiler", "?")),
        commit=git("rev-parse", "HEAD"),
        dirty=None if (changes := git("status", "--porcelain")) is None else bool(changes),
    )


def git(*command: str) -> str | None:
    """Return what git says of the checkout that the harness lies in, None outside of one."""
    try:
        where = ["git", "-C", str(Path(__file__).parent)]
        return subprocess.check_output([*where, *command], text=True, stderr=DEVNULL).strip()
    except (OSError, subprocess.SubprocessError):
        return None


def cpu_name() -> str:
    """Return the processor's name as the system gives it."""
    try:
        if platform.system() == "Darwin":
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.check_output(command, text=True).strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def blas_libraries() -> list[str]:
    """Return the BLAS libraries that NumPy and SciPy have loaded, with their thread counts."""
    from threadpoolctl import threadpool_info

    return [
        f"{lib['internal_api']} {lib['version']}, {lib['num_threads']} threads"
        for lib in threadpool_info()
        if lib["user_api"] == "blas"
    ]


class Neighbours:
    """Measures how many cores other processes keep busy (Linux; None elsewhere)."""

    def __init__(self) -> None:
        """Start to measure."""
        self._start = self._seconds()

    def cores(self) -> float | None:
        """Return the number of cores that others kept busy, on average since the start."""
        if self._start is None or (end := self._seconds()) is None:
            return None
        (wall, busy), (wall_end, busy_end) = self._start, end
        return max(0.0, (busy_end - busy) / (wall_end - wall))

    @staticmethod
    def _seconds() -> tuple[float, float] | None:
        """Return the time, and the processor time that others have used since boot."""
        try:
            ticks = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
            user, nice, system, _, _, irq, soft_irq, steal = map(int, ticks)
        except (OSError, ValueError):
            return None
        busy = (user + nice + system + irq + soft_irq + steal) / os.sysconf("SC_CLK_TCK")
        return perf_counter(), busy - process_time()
