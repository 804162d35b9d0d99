"""Command line: ``python3 -m bench``, and ``… compare``, ``… plot``, ``… table`` for its files."""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

EXTRAS = (
    *("numpy", "rich", "scipy", "sklearn", "threadpoolctl", "matplotlib", "ml_dtypes"),
    "gradclip",
)
INSTALL = "python3 -m pip install '.[bench]'"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python3 -m bench",
        description="Time gradclip against other ways to clip gradients by their global norm, and "
        "verify every result.",
    )
    modes = made.add_mutually_exclusive_group()
    for name, text in (
        ("quick", "the main cases: half a minute"),
        ("full", "float32 and float64 in every group, other dtypes once: a quarter of an hour"),
        ("sweep", "every size, and fewer threads: a quarter of an hour"),
        ("torch", "gradclip.torch against torch, from Parameters: a minute"),
    ):
        modes.add_argument(f"--{name}", action="store_const", dest="mode", const=name, help=text)
    made.add_argument("--threads", type=positive, metavar="N", help="threads for gradclip")
    made.add_argument(
        "--peers",
        type=names,
        metavar="NAMES",
        help="whom to compare with, separated by commas; none: nobody (default: all installed)",
    )
    made.add_argument("--json", type=writable, metavar="FILE", help="write all figures there")
    made.add_argument("--plot", type=folder, metavar="FOLDER", help="draw pictures there")
    made.set_defaults(mode="default", command="run")
    commands = made.add_subparsers(title="what to do with the files of runs", metavar="COMMAND")
    compare = commands.add_parser("compare", help="what changed from one run to another")
    compare.add_argument("before", type=Path, metavar="A.json")
    compare.add_argument("after", type=Path, metavar="B.json")
    compare.set_defaults(command="compare")
    plot = commands.add_parser("plot", help="draw the pictures of a run again")
    plot.add_argument("file", type=Path, metavar="RUN.json")
    plot.add_argument("plot", type=folder, metavar="FOLDER")
    plot.set_defaults(command="plot")
    family = commands.add_parser("family", help="time the calls other than the global norm's")
    family.add_argument("--seconds", type=float, default=3.0, metavar="S", help="for each task")
    family.set_defaults(command="family")
    table = commands.add_parser("table", help="print the tables of a run as Markdown")
    table.add_argument("file", type=Path, metavar="RUN.json")
    table.set_defaults(command="table")
    return made


def positive(text: str) -> int:
    """Return a positive int, or complain as argparse wants it."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def names(text: str) -> list[str]:
    """Return the names in a list separated by commas; `none` stands for no names."""
    return [] if text == "none" else [name.strip().lower() for name in text.split(",")]


def writable(text: str) -> Path:
    """Return the path if a file can be written there: better now than after two minutes."""
    path = Path(text)
    try:
        path.open("a").close()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: {error.strerror}") from None
    return path


def folder(text: str) -> Path:
    """Return the path of a folder, which is made if need be."""
    path = Path(text)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot make {text!r}: {error.strerror}") from None
    return path


def missing() -> list[str]:
    """Return the names of the modules that the benchmark needs and that are not installed."""
    return [name for name in EXTRAS if find_spec(name) is None]


def main() -> int:
    """Do what the command line says; return 1 if a result of gradclip's was wrong."""
    options = parser().parse_args()
    if absent := missing():
        print(f"bench needs {', '.join(absent)}: {INSTALL}", file=sys.stderr)
        return 2
    from bench import Refused, commands  # imports what was looked for above

    try:
        return commands.do(options)
    except Refused as reason:
        parser().error(str(reason))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
