"""What a sweep over all sizes shows: the smallest leads, and whether more threads ever cost."""

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bench import report
from bench.contenders import Contender, with_threads
from bench.results import Lead, Row, contender_names, leads

SMALLEST_LEADS = 3
SLOWER = 0.97  # threads that cost more than 3 % are a fault; less is noise


def fewer_threads(threads: int) -> list[Contender]:
    """Return gradclip with 1, 2, 4, … threads, as long as it is fewer than these."""
    return [with_threads(1 << k) for k in range((threads - 1).bit_length())]


def summary(rows: Sequence[Row]) -> Group:
    """Return each peer's smallest leads, then the cases where fewer threads are quicker."""
    made = Table(title="Smallest leads", title_justify="left", title_style="bold", box=None)
    made.add_column("peer", no_wrap=True)
    made.add_column("slower", justify="right")
    for _ in range(SMALLEST_LEADS):
        made.add_column("lead, case")
    found = leads(rows)
    for peer in contender_names(rows):
        mine = [lead for lead in found if lead.peer == peer]
        if mine:
            losses = sum(lead.ratio < 1 for lead in mine)
            cells = (f"{report.ratio(lead)} {lead.row.label}" for lead in mine[:SMALLEST_LEADS])
            made.add_row(peer, f"{losses} of {len(mine)}", *cells)
    return Group(made, Text(), *threads(leads(rows, ours=True)), Text())


def threads(found: Sequence[Lead]) -> list[Text]:
    """Return a line for every case where all threads take 3 % longer than fewer ones do."""
    slower = [lead for lead in found if lead.ratio < SLOWER]
    title = f"All threads take over 3 % longer than fewer in {len(slower)} of {len(found)} cases"
    lines = [
        Text(f"{report.ratio(lead)} {lead.row.label}, {lead.peer.partition(', ')[2]}")
        for lead in slower
    ]
    return [Text(title, "bold red" if slower else "bold green"), *lines]
