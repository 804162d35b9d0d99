"""Interleaved timing: every round times every contender once; ratios are taken within rounds.

Each contender is met in the same state, its own: idle threads, arrays that were just written,
and, where they fit into a cache, one untimed call.
"""

import gc
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from time import perf_counter, perf_counter_ns, process_time, sleep

import gradclip
from bench.cases import Case
from bench.ceiling import Ceiling
from bench.contenders import Clip, Contender
from bench.gradients import Gradients
from bench.results import Outcome, Row
from bench.verify import WORST_NORM, Verdict, verify

BATCH_NS = 1_000_000  # repeat short calls until a batch lasts this long; the clock costs 50 ns
MOST_CALLS = 1000
CACHED_BYTES = 2**24  # up to here some of it may still be in a cache when a call ends
FEWEST_ROUNDS, MOST_ROUNDS = 7, 200
MOST_WAITS = 100  # ms
STEP = 0.99  # each call of a batch clips by 1 %, so that all of them really clip

Tick = Callable[[float], None]  # told which part of a case is done, only while no clock runs


@dataclass
class Runner:
    """A contender bound to its gradients, and its times in seconds per call, one per round."""

    contender: Contender
    grads: Gradients
    clip: Clip
    verdict: Verdict
    untimed: int = 0  # so many calls at the start of a batch
    thresholds: list[float] = field(default_factory=list)  # the max_norm of each call of a batch
    times: list[float] = field(default_factory=list)


def measure(
    case: Case, ours: Contender, peers: Sequence[Contender], seconds: float, tick: Tick
) -> Row:
    """Verify all contenders on this case, then time those that passed for about `seconds`."""
    made: dict[bool, Gradients] = {}
    runners = []
    for contender in (ours, *peers):
        one_buffer = contender.one_buffer
        if one_buffer not in made:
            made[one_buffer] = Gradients(case.shapes, case.values, one_buffer=one_buffer)
        grads = made[one_buffer]
        clip = contender.prepare(grads)
        runners.append(Runner(contender, grads, clip, verify(clip, grads, clips=case.clips)))
        tick(0.0)
    fit = [runner for runner in runners if not runner.verdict.problem]
    grads = made[False]
    cached = grads.nbytes <= CACHED_BYTES
    ceiling = Ceiling(grads, gradclip.get_num_threads(), clips=case.clips, cached=cached)
    shortest = time_rounds(fit, ceiling, seconds, tick, clips=case.clips)
    outcomes = {r.contender.name: outcome(r, runners[0]) for r in runners}
    return Row(case, len(shortest), outcomes, of_ceiling(shortest, runners[0]))


def time_rounds(
    runners: list[Runner], ceiling: Ceiling, seconds: float, tick: Tick, *, clips: bool
) -> list[float]:
    """Time the contenders round by round; return the seconds that the ceiling gave in each."""
    for runner in runners:
        calibrate(runner, clips=clips)
    shortest: list[float] = []
    order = list(runners)
    shuffle = random.Random(0).shuffle
    end = perf_counter() + seconds
    rounds = 0
    collecting = gc.isenabled()
    gc.disable()
    try:
        while rounds < FEWEST_ROUNDS or (rounds < MOST_ROUNDS and perf_counter() < end):
            shuffle(order)  # rotated, a contender would always run after the same neighbour
            for runner in order:
                runner.times.append(time_batch(runner) / 1e9)
            settle()
            shortest.append(ceiling.seconds())
            rounds += 1
            tick(min(1.0, max(rounds / MOST_ROUNDS, 1 - (end - perf_counter()) / seconds)))
    finally:
        if collecting:
            gc.enable()
    return shortest


def calibrate(runner: Runner, *, clips: bool) -> None:
    """Choose how many calls make a batch, and the max_norm of each."""
    norm = float(runner.grads.norm)

    def thresholds(calls: int) -> list[float]:
        return [norm * STEP ** (k + 1) if clips else norm * 2 for k in range(calls)]

    runner.untimed = int(runner.grads.nbytes <= CACHED_BYTES)
    runner.thresholds = thresholds(runner.untimed + 1)
    one_call = min(time_batch(runner) for _ in range(3))
    calls = min(MOST_CALLS, max(1, round(BATCH_NS / one_call)))
    runner.thresholds = thresholds(runner.untimed + calls)


def time_batch(runner: Runner) -> float:
    """Time a batch of calls and return nanoseconds per call."""
    clip, untimed = runner.clip, runner.thresholds[: runner.untimed]
    timed = runner.thresholds[runner.untimed :]
    settle()
    runner.grads.refill()
    for max_norm in untimed:
        clip(max_norm)
    start = perf_counter_ns()
    for max_norm in timed:
        norm = clip(max_norm)
    nanoseconds = perf_counter_ns() - start
    expected = min(float(runner.grads.norm), *runner.thresholds[-2:-1], math.inf)
    if not abs(norm - expected) <= 2 * WORST_NORM * expected:
        problem = f"while timing: norm {norm:.9g}, not {expected:.9g}"
        runner.verdict = Verdict(runner.verdict.error, problem)
    return nanoseconds / len(timed)


def settle() -> None:
    """Wait until no thread of this process works.

    OpenBLAS's threads spin for 2²⁶ clock ticks after a call, and where cores are few the next
    contender's threads wait for them: SciPy's, right after NumPy's, took up to 8 times as long.
    """
    for _ in range(MOST_WAITS):
        cpu, wall = process_time(), perf_counter()
        sleep(0.001)
        if process_time() - cpu < 0.25 * (perf_counter() - wall):
            return


def of_ceiling(shortest: list[float], ours: Runner) -> float | None:
    """Return the share of the memory's speed that gradclip reaches, the median of pairs."""
    if not shortest or not ours.times or math.isnan(shortest[0]):
        return None
    return median(least / own for least, own in zip(shortest, ours.times, strict=True))


def outcome(runner: Runner, ours: Runner) -> Outcome:
    """Summarise a contender's times: the median, and the paired ratios to gradclip's."""
    verdict = runner.verdict
    if verdict.problem:
        return Outcome(verdict.error, verdict.problem)
    seconds = median(runner.times)
    if runner is ours or ours.verdict.problem:
        return Outcome(verdict.error, None, seconds)
    ratios = [theirs / own for theirs, own in zip(runner.times, ours.times, strict=True)]
    low, _, high = quantiles(ratios, n=4)
    return Outcome(verdict.error, None, seconds, median(ratios), (low, high))
