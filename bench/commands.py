"""What the command line asks for: a run, a comparison of two, the pictures of one."""

import argparse

from bench import compare, peers, record, report
from bench.cases import MODES
from bench.contenders import OURS
from bench.run import run


def do(options: argparse.Namespace) -> int:
    """Do it and return the exit status; 1 if a result of gradclip's was wrong.

    Raises
    ------
    Refused
        If a peer is unknown or not installed, or a file holds no run.
    """
    if options.command == "compare":
        report.console().print(compare.table(*map(record.read, (options.before, options.after))))
        return 0
    if options.command == "plot":
        found = record.read(options.file)
    else:
        (mode,) = (mode for mode in MODES if mode.name == options.mode)
        found = run(mode, peers.choose(options.peers, mode.peers), options.threads)
        if options.json:
            record.write(found, options.json)
    if options.plot:
        from bench.plots import draw  # matplotlib takes its time to load

        draw(found, options.plot)
    return int(any(row.outcomes[OURS.name].problem for row in found.rows))
