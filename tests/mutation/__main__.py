"""Break the library on purpose and see that tests notice.

    python3 tests/mutation promises [--sample N] [words in mutants' names]
    python3 tests/mutation generated [--files REGEX] [--sample N] [--seed N] [--results FILE]
                                      [--work FOLDER] [--slow SECONDS] [--budget SECONDS]
                                      [--earlier FILE]
    python3 tests/mutation report FILE

`promises` breaks each promise once and runs the tests that enforce it: a build for each.
`generated` makes every small mechanical change of the C++ code, one at a time, and runs the tests
that reach it until one fails: those that take up to --slow; Python's together up to --budget. FILE
gets a line of JSON for each change, and FOLDER keeps the build: with both, it goes on where it was,
and tries again what survived, with the tests as they are then. What noticed a change when an
--earlier FILE was written, perhaps of other code, is tried first.
`report` shows what survived and is not explained in explained.json. Both work on copies of the tree
and exit with 1 if a change survives. They need the extra `test` and the dependency group
`mutation`; `generated` also clang-14, doctest-dev and, for the code that serves it, torch.
"""

import math
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path


def main() -> int:
    parser = ArgumentParser(
        prog="mutation", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    promises = commands.add_parser("promises")
    promises.add_argument("--sample", type=int, default=1_000_000, help="so many mutants only")
    promises.add_argument("words", nargs="*")
    hunt = commands.add_parser("generated")
    hunt.add_argument("--files", default="^cpp/", help="a regular expression")
    hunt.add_argument("--sample", type=int, default=1_000_000, help="so many changes only")
    hunt.add_argument("--seed", type=int, default=0)
    hunt.add_argument("--results", type=Path, default=Path("mutation.jsonl"))
    hunt.add_argument("--work", type=Path)
    hunt.add_argument("--earlier", type=Path)
    hunt.add_argument("--slow", type=float, default=math.inf)
    hunt.add_argument("--budget", type=float, default=math.inf)
    report = commands.add_parser("report")
    report.add_argument("results", type=Path)
    options = parser.parse_args()
    if options.command == "promises":
        import promised

        return promised.main(options)
    import generated  # needs libclang

    if options.command == "report":
        return generated.report(options.results)
    return generated.main(options)


if __name__ == "__main__":
    raise SystemExit(main())
