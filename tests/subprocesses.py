"""Python code in a process of its own, for what only a fresh or a doomed process can show."""

import os
import subprocess
import sys
import textwrap

TIMEOUT = 120  # seconds: a hang fails its test, far above what any of them needs

_OURS = ("GRADCLIP_ISA", "GRADCLIP_NUM_THREADS", "OMP_NUM_THREADS")


def run_python(code, **environment):
    """Run code with these variables, and none of ours from outside; return the process."""
    inherited = {name: value for name, value in os.environ.items() if name not in _OURS}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def output_of(code, **environment):
    """Run code that has to succeed; return what it printed, stripped."""
    done = run_python(code, **environment)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()
