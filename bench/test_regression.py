"""Guards the speed: gradclip against NumPy on a few cases, interleaved, with generous floors.

``nox -s bench``, or ``pytest bench/test_regression.py`` with pytest-benchmark; plain ``pytest``
leaves it out, because a busy machine may fail it.
"""

from statistics import median
from time import perf_counter
from typing import Any

from bench import models
from bench.cases import Case, many, model, one
from bench.contenders import OURS, Clip, Contender
from bench.gradients import Gradients
from bench.measure import STEP, settle
from bench.peers.numpy import DOT, SQUARE

ROUNDS = 25
BATCH = 1e-3  # seconds: the first call of a batch, which finds nothing in a cache, is one of many

# The floors are about half of what was measured on 2 cores.
GUARDS: tuple[tuple[Case, Contender, float], ...] = (
    (one(1000), DOT, 2.0),
    (many(1000, 256), DOT, 5.0),
    (many(1000, 256, clips=False), DOT, 4.0),
    (one(1_000_000), SQUARE, 1.7),
    (one(1_000_000, "float64"), SQUARE, 1.3),
    (one(4_000_000, "float16"), SQUARE, 40.0),
    (model("ResNet-50", models.resnet50()), SQUARE, 1.3),
    (model("ResNet-50", models.resnet50(), clips=False), SQUARE, 1.8),
)


def pytest_generate_tests(metafunc: Any) -> None:
    """Make one test for each guard."""
    ids = [case.name.replace("×", "x") + ", clips" * case.clips for case, _, _ in GUARDS]
    metafunc.parametrize(("case", "peer", "floor"), GUARDS, ids=ids)


def batch(clip: Clip, norm: float, calls: int, *, clips: bool) -> float:
    """Clip so many times, each by another 1 % (or not at all), and return the seconds it took."""
    thresholds = [norm * STEP ** (k + 1) if clips else 2 * norm for k in range(calls)]
    start = perf_counter()
    for max_norm in thresholds:
        found = clip(max_norm)
    seconds = perf_counter() - start
    assert abs(found / (norm * STEP ** (calls - 1) if clips else norm) - 1) < 1e-3
    return seconds


def test_lead_over_numpy(benchmark: Any, case: Case, peer: Contender, floor: float) -> None:
    """NumPy has its turn before each of gradclip's; the median of the pairs' ratios counts."""
    grads = Gradients(case.shapes, case.values)
    norm = float(grads.norm)
    theirs, ours = peer.prepare(grads), OURS.prepare(grads)
    grads.refill()
    one_call = batch(ours, norm, 3, clips=case.clips) / 3
    calls = max(1, min(100, round(BATCH / one_call)))
    times = []

    def numpys_turn() -> None:
        settle()
        grads.refill()
        times.append(batch(theirs, norm, calls, clips=case.clips))
        settle()
        grads.refill()

    def gradclips_turn() -> None:
        batch(ours, norm, calls, clips=case.clips)

    benchmark.pedantic(gradclips_turn, setup=numpys_turn, rounds=ROUNDS)
    pairs = zip(times, benchmark.stats.stats.data, strict=True)
    ratio = median(numpy / own for numpy, own in pairs)
    benchmark.extra_info.update(peer=peer.name, ratio=ratio, floor=floor, calls=calls)
    assert ratio >= floor, f"{peer.name} takes {ratio:.2f} times as long, not {floor} times"
