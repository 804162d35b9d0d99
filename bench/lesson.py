"""The lesson before the figures: what clipping does to the gradients of a real training run."""

from decimal import Decimal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bench import exact
from bench.cases import Case
from bench.contenders import OURS, Contender
from bench.digits import LAYERS, MAX_NORM, STEPS, Training
from bench.peers.numpy import DOT as BESIDE


def norm_after(case: Case, contender: Contender) -> Decimal:
    """Clip a case's gradients to MAX_NORM and return their norm afterwards, exactly."""
    grads = contender.storage(case.shapes, case.values)
    contender.prepare(grads)(MAX_NORM)
    return exact.global_norm(grads.arrays)


def table(training: Training, cases: list[Case]) -> Group:
    """Return the norms of the snapshots before and after clipping, all computed exactly."""
    network = "-".join(map(str, LAYERS))
    title = f"Training on scikit-learn's digits, gradients clipped to max_norm = {MAX_NORM}"
    caption = (
        f"A {network} network after {max(STEPS)} steps: {training.accuracy:.1%} of unseen images "
        "right. Norms here are recomputed exactly."
    )
    made = Table(
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for heading in (
        "step",
        "loss",
        "norm of the gradients",
        f"after {OURS.name}",
        f"after {BESIDE.name}",
    ):
        made.add_column(heading, justify="right", no_wrap=True)
    for snapshot, case in zip(training.snapshots, cases, strict=True):
        before = exact.global_norm(snapshot.grads)
        made.add_row(
            str(snapshot.step),
            f"{snapshot.loss:.3f}",
            f"{before:.9f}",
            *(_after(before, norm_after(case, c)) for c in (OURS, BESIDE)),
        )
    return Group(Text(title, "bold"), made, Text(caption, "dim"), Text())


def _after(before: Decimal, after: Decimal) -> Text:
    """Write a norm after clipping; one above the threshold stands out."""
    if after > Decimal(MAX_NORM):
        return Text(f"above: {after:.9f}", "bold red")
    return Text("as it was" if after == before else f"{after:.9f}")
