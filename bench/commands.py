"""What the command line asks for: a run, a comparison of two, the pictures or tables of one."""

import argparse

from bench import compare, family, markdown, peers, record, report
from bench.cases import MODES
from bench.contenders import OURS
from bench.run import run


def do(options: argparse.Namespace) -> int:
    """Do it and return the exit status; 1 if a run has found a result of gradclip's wrong.

    Raises
    ------
    Refused
        If a peer is unknown or not installed, or a file holds no run.
    """
    if options.command == "compare":
        report.console().print(compare.table(*map(record.read, (options.before, options.after))))
    elif options.command == "plot":
        draw(record.read(options.file), options)
    elif options.command == "family":
        return family.run(options.seconds)
    elif options.command == "table":
        print(markdown.tables(record.read(options.file)))
    else:
        (mode,) = (mode for mode in MODES if mode.name == options.mode)
        peers.require(mode.ours)
        found = run(mode, peers.choose(options.peers, mode.peers), options.threads)
        if options.json:
            record.write(found, options.json)
        if options.plot:
            draw(found, options)
        return int(any(row.outcomes[OURS.name].problem for row in found.rows))
    return 0


def draw(found: record.Run, options: argparse.Namespace) -> None:
    """Draw the pictures of a run."""
    from bench import plots  # matplotlib takes its time to load

    plots.draw(found, options.plot)
