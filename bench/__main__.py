"""Command line: ``python3 -m bench [--quick | --full] [--threads N] [--json F] [--plot F]``."""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

EXTRAS = ("numpy", "rich", "scipy", "sklearn", "threadpoolctl", "matplotlib", "gradclip")
INSTALL = "python3 -m pip install '.[bench]'"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python3 -m bench",
        description="Time gradclip against NumPy's and SciPy's ways to clip gradients by their "
        "global norm, and verify every result.",
    )
    mode = parser.add_mutually_exclusive_group()
    for name, text in (
        ("quick", "the main cases: less than a minute"),
        ("full", "every size, dtype and number of arrays: several minutes"),
    ):
        mode.add_argument(f"--{name}", action="store_const", dest="mode", const=name, help=text)
    parser.add_argument("--threads", type=positive, metavar="N", help="threads for gradclip")
    parser.add_argument("--json", type=writable, metavar="FILE", help="write all figures there")
    parser.add_argument("--plot", type=writable, metavar="FILE.png", help="draw a picture there")
    parser.set_defaults(mode="default")
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    """Return a positive int, or complain as argparse wants it."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def writable(text: str) -> Path:
    """Return the path if a file can be written there: better now than after two minutes."""
    path = Path(text)
    try:
        path.open("a").close()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: {error.strerror}") from None
    return path


def missing() -> list[str]:
    """Return the names of the modules that the benchmark needs and that are not installed."""
    return [name for name in EXTRAS if find_spec(name) is None]


def main() -> int:
    """Run the benchmark; return 1 if a result of gradclip's was wrong."""
    options = parse()
    if absent := missing():
        print(f"bench needs {', '.join(absent)}: {INSTALL}", file=sys.stderr)
        return 2
    from bench.run import run  # imports what was looked for above

    try:
        return run(options.mode, options.threads, options.json, options.plot)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
