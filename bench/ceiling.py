"""What the memory allows: a native probe's plain passes over the same arrays.

The probe (`probe.c`) is compiled for this machine when the harness starts, and shares nothing with
gradclip: no kernel, no thread, no order of its passes.
"""

import ctypes
import math
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from bench.gradients import Gradients

SOURCE = Path(__file__).with_name("probe.c")
OPTIONS = ("-O3", "-march=native", "-shared", "-fPIC", "-pthread")
READ, REWRITE = 0, 1  # the probe's kinds of passes
LONG_ENOUGH = 1e-3  # seconds: what lies in a cache is passed over again and again for so long


@cache
def library() -> ctypes.CDLL | None:
    """Return the compiled probe, or None where it cannot be compiled."""
    compiler = shutil.which(os.environ.get("CC") or "cc") or shutil.which("gcc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "probe.so"
        command = [compiler, *OPTIONS, str(SOURCE), "-o", str(built)]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            return None
        try:
            loaded = ctypes.CDLL(str(built))
        except OSError:  # nothing may be executed in that folder
            return None
    loaded.probe.restype = ctypes.c_double
    return loaded


class Ceiling:
    """The shortest time that the memory of some gradients allows for a clip."""

    def __init__(self, grads: Gradients, threads: int, *, clips: bool, cached: bool) -> None:
        """Prepare to probe these gradients, which are met in a cache or freshly written."""
        arrays = grads.arrays
        self._grads, self._cached = grads, cached
        self._arguments = (
            ctypes.c_size_t(len(arrays)),
            (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays)),
            (ctypes.c_size_t * len(arrays))(*(a.nbytes for a in arrays)),
            ctypes.c_int(threads),
        )
        self._kinds = (READ, REWRITE) if clips else (READ,)
        self._passes = (1, 1) if cached else (0, 1)
        if cached and math.isfinite(once := min(sum(self.seconds()) for _ in range(3))):
            self._passes = (1, max(1, round(LONG_ENOUGH / max(once, 1e-9))))

    def seconds(self) -> tuple[float, ...]:
        """Return the seconds that one read takes and, if it clips, one addition in place."""
        probe = library()
        if probe is None:
            return (math.nan,) * len(self._kinds)
        if not self._cached:
            self._grads.refill()
        times = [probe.probe(*self._arguments, kind, *self._passes) for kind in self._kinds]
        return tuple(math.nan if t < 0 else float(t) for t in times)
