"""Interleaved timing: every round times every contender once; ratios are taken within rounds.

Each contender is met in the same state, its own: idle threads, arrays that were just written,
and, where they fit into a cache, one untimed call.
"""

import gc
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from os import listdir
from statistics import median, quantiles
from threading import get_native_id
from time import perf_counter, perf_counter_ns, sleep

import gradclip
from bench.cases import Case
from bench.ceiling import Ceiling
from bench.contenders import Clip, Contender
from bench.dtypes import worst_norm
from bench.gradients import Gradients
from bench.results import Outcome, Quartiles, Row
from bench.verify import Verdict, verify

BATCH_NS = 1_000_000  # repeat short calls until a batch lasts this long; the clock costs 50 ns
MOST_CALLS = 250  # clip to 8 % together, so that float16 values stay clear of its subnormals
CACHED_BYTES = 2**24  # up to here some of it may still be in a cache when a call ends
FEWEST_ROUNDS, MOST_ROUNDS = 7, 200
LONG_NS = 50_000_000  # a batch of so long needs no second look to see that one call is enough
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


def measure(case: Case, contenders: Sequence[Contender], seconds: float, tick: Tick) -> Row:
    """Verify the contenders on this case, then time those that passed for about `seconds`.

    The first one is gradclip, whose time the others' are compared with.
    """
    made: dict[type[Gradients], Gradients] = {}
    runners = []
    for contender in contenders:
        if contender.takes(case.dtype, len(case.shapes)):
            if contender.storage not in made:
                made[contender.storage] = contender.storage(case.shapes, case.values)
            runners.append(make_runner(contender, made[contender.storage], clips=case.clips))
            tick(0.0)
    ours = runners[0]
    fit = [runner for runner in runners if runner.verdict.usable]
    cached = ours.grads.nbytes <= CACHED_BYTES
    ceiling = Ceiling(ours.grads, gradclip.get_num_threads(), clips=case.clips, cached=cached)
    passes = time_rounds(fit, ceiling, seconds, tick, clips=case.clips)
    known = bool(passes) and not any(map(math.isnan, passes[0]))
    return Row(
        *(case.group, case.name, case.dtype, case.clips),
        arrays=len(case.shapes),
        elements=case.elements,
        bytes_moved=case.bytes_moved,
        rounds=len(passes),
        passes=tuple(map(median, zip(*passes, strict=True))) if known else None,
        of_ceiling=of_ceiling(passes, ours) if known else None,
        outcomes={r.contender.name: outcome(r, ours) for r in runners},
    )


def make_runner(contender: Contender, grads: Gradients, *, clips: bool) -> Runner:
    """Bind a contender to its gradients and verify it."""
    try:
        clip = contender.prepare(grads)
        return Runner(contender, grads, clip, verify(contender, clip, grads, clips=clips))
    except Exception as reason:  # a peer that cannot do it is a result, not the end of the run
        verdict = Verdict(None, f"{type(reason).__name__}: {reason}", usable=False)
        return Runner(contender, grads, float, verdict)  # nobody will call it


def time_rounds(
    runners: list[Runner], ceiling: Ceiling, seconds: float, tick: Tick, *, clips: bool
) -> list[tuple[float, ...]]:
    """Time the contenders round by round; return the seconds of the ceiling's passes in each."""
    for runner in runners:
        calibrate(runner, clips=clips)
    passes: list[tuple[float, ...]] = []
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
            passes.append(ceiling.seconds())
            rounds += 1
            tick(min(1.0, max(rounds / MOST_ROUNDS, 1 - (end - perf_counter()) / seconds)))
    finally:
        if collecting:
            gc.enable()
    return passes


def calibrate(runner: Runner, *, clips: bool) -> None:
    """Choose how many calls make a batch, and the max_norm of each."""
    norm = float(runner.grads.norm)

    def thresholds(calls: int) -> list[float]:
        return [norm * STEP ** (k + 1) if clips else norm * 2 for k in range(calls)]

    runner.untimed = int(runner.grads.nbytes <= CACHED_BYTES)
    runner.thresholds = thresholds(runner.untimed + 1)
    one_call = time_batch(runner)
    if one_call < LONG_NS:
        one_call = min(one_call, time_batch(runner), time_batch(runner))
    calls = min(MOST_CALLS, max(1, round(BATCH_NS / one_call)))
    runner.thresholds = thresholds(runner.untimed + calls)


def time_batch(runner: Runner) -> float:
    """Time a batch of calls and return nanoseconds per call."""
    clip, untimed = runner.clip, runner.thresholds[: runner.untimed]
    timed = runner.thresholds[runner.untimed :]
    settle()
    runner.grads.refill()
    with runner.contender.setting():
        for max_norm in untimed:
            clip(max_norm)
        sum(timed)  # fetches them: one contender's lay where each call waited 5 ns for its own
        start = perf_counter_ns()
        for max_norm in timed:
            norm = clip(max_norm)
        nanoseconds = perf_counter_ns() - start
    expected = min(float(runner.grads.norm), *runner.thresholds[-2:-1], math.inf)
    error = runner.verdict.error or 0.0
    allowed = 2 * max(error, worst_norm(runner.grads.arrays[0].dtype.name)) * expected
    if not abs(norm - expected) <= allowed:
        problem = f"while timing: norm {norm:.9g}, not {expected:.9g}"
        runner.verdict = Verdict(error, problem, usable=False)
    return nanoseconds / len(timed)


def settle() -> None:
    """Wait until no thread of this process works.

    OpenBLAS's threads spin for 2²⁶ clock ticks after a call, others' for a while, too, and where
    cores are few the next contender's threads wait for them: SciPy's, right after NumPy's, took up
    to 8 times as long.
    """
    for _ in range(MOST_WAITS):
        sleep(0.001)
        if not _others_run():
            return


def _others_run() -> bool:
    """Return whether another thread of this process runs; without Linux's /proc, False.

    The process's CPU time would not do: it learns of a thread on another processor once a tick, 1
    to 10 ms, and PyTorch's workers spin for 7 ms after each call.
    """
    try:
        tasks = set(listdir("/proc/self/task"))
    except OSError:
        return False
    return any(_state(task) == "R" for task in tasks - {str(get_native_id())})


def _state(task: str) -> str | None:
    """Return the state of a thread, None if it has ended."""
    try:
        with open(f"/proc/self/task/{task}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0]  # after the name, in parentheses
    except OSError:
        return None


def of_ceiling(passes: Sequence[tuple[float, ...]], ours: Runner) -> float | None:
    """Return the share of the memory's speed that gradclip reaches, the median of pairs."""
    if not ours.times:
        return None
    return median(sum(least) / own for least, own in zip(passes, ours.times, strict=True))


def outcome(runner: Runner, ours: Runner) -> Outcome:
    """Summarise a contender's times, and their paired ratios to gradclip's."""
    verdict, times = runner.verdict, runner.times
    if not verdict.usable:
        return Outcome(verdict.error, verdict.problem)
    spent = Outcome(verdict.error, verdict.problem, median(times), quartiles(times))
    if runner is ours or not ours.verdict.usable:
        return spent
    ratios = [theirs / own for theirs, own in zip(times, ours.times, strict=True)]
    return replace(spent, ratio=median(ratios), ratio_quartiles=quartiles(ratios))


def quartiles(numbers: Sequence[float]) -> Quartiles:
    """Return the lower and the upper quartile."""
    low, _, high = quantiles(numbers, n=4)
    return low, high
