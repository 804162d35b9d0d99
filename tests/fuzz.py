"""Compare random calls, bit for bit, with the scalar code on one thread and plain copies.

    python3 tests/fuzz.py [--seconds N] [--seed S]

Each case draws gradients (dtypes, lengths, numbers, layouts), how they are handed over (NumPy,
DLPack, torch), a call with its arguments, an instruction set, a number of threads and a
floating-point mode. The result, and every byte in and around the gradients, must be those of the
scalar code on aligned contiguous copies, of the same shape where that matters; norms of short lists
and bounds are held to exact arithmetic. Exits with 1 at the first case that differs, crashes or
hangs, and names its seed: --seed S runs that case alone, with the same versions of NumPy and, if it
was there, of torch.
"""

import argparse
import contextlib
import mmap
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter

import dlpack_producers as dlpack
import fp_environment
import fuzz_calls as calls
import fuzz_shaped
import numpy as np
import oracle
import powers
from buffers import in_address_order, misaligned
from dtypes import HALVES, reals
from fuzz_gradients import Gradients

import gradclip

ISAS = gradclip.show_config("dicts")["isa"]["available"]
HOW = ["numpy", "numpy", "numpy", "dlpack", "dlpack", "torch tensors", "torch calls"]
PLAIN_MODE = contextlib.nullcontext()
HANG = 120  # seconds without a finished case
READING = {"global_norm", "array_norms", *fuzz_shaped.READING}
RETURNING_THE_NORM = {"global_norm", "clip_by_global_norm", "clip_by_global_norm_"}
LONGEST = 3000, 60  # elements whose norm is compared with the exact one, in order 2 and in others


@contextlib.contextmanager
def setting(isa, threads):
    """Run a block with an instruction set and on a number of threads."""
    gradclip._gradclip._set_isa(isa)
    with gradclip.threads(threads):
        yield


class Case:
    """All that a seed decides."""

    def __init__(self, seed):
        rng, many = random.Random(seed), np.random.default_rng(seed)
        self.rng, self.how = rng, rng.choice(HOW)
        if calls.torch is None and "torch" in self.how:
            self.how = "numpy"
        self.shaped = self.how != "torch calls" and rng.random() < 0.4
        batch = rng.choice([0, 1, 2, 3, 16, 17, 40]) if rng.random() < 0.6 else None
        self.grads = Gradients(
            rng,
            many,
            whole_items=self.how != "numpy",
            reversible="torch" not in self.how,
            batch=batch if self.shaped else None,
        )
        self.isa, self.threads = rng.choice(ISAS), rng.randint(1, 8)
        self.nest = list if self.how == "torch calls" else calls.nested(rng)
        self.mode = {}
        if fp_environment.SUPPORTED and self.how != "torch calls" and rng.random() < 0.2:
            rounding = rng.choice([*fp_environment.ROUNDING])
            self.mode = {"rounding": rounding, "flush": rng.random() < 0.5}
        if self.shaped:
            views = self.grads.views(self.grads.buffer)
            partners = fuzz_shaped.Partners(rng, many, views, self.nest)
            family = fuzz_shaped.Calls(rng, partners, self.norm(2) / max(1, len(views)))
            self.name, self.text, self.function = family.draw(fresh=self.how == "numpy")
            return
        draw = calls.draw_torch if self.how == "torch calls" else calls.draw
        self.name = None
        while self.name is None or (self.name == "clip_by_global_norm" and self.how != "numpy"):
            self.name, self.text, self.function, self.options = draw(rng, self.norm)

    def norm(self, order):
        with setting("scalar", 1):
            return gradclip.global_norm(self.grads.values, ord=order)

    def __str__(self):
        place = f"{self.isa}, {self.threads} threads, {self.how}, {self.mode}"
        return f"{self.text}\n  {place}\n{self.grads}"

    def handed_over(self, arrays):
        """Return arrays as what a call is given for them."""
        if "torch" in self.how:
            return [calls.as_tensor(array) for array in arrays]
        if self.how == "dlpack":
            reads = self.name in READING
            kinds = [*(calls.READABLE if reads else calls.WRITEABLE).values()]
            return [self.rng.choice(kinds)(array) for array in arrays]
        return arrays

    def expected(self):
        """Return the outcome of the reference, and its arrays after it in address order."""
        plain = [misaligned(values, 0) for values in self.grads.values]
        given = self.grads.compact(plain) if self.shaped else plain
        if self.how == "torch calls" or (self.shaped and self.how == "torch tensors"):
            given = [calls.as_tensor(array) for array in given]
        with setting("scalar", 1):
            return calls.Outcome(self.function, self.nest(given), PLAIN_MODE), plain

    def found(self):
        """Return the outcome of the call as drawn; the gradients' buffer is what it made of it."""
        given = self.nest(self.handed_over(self.grads.views(self.grads.buffer)))
        mode = fp_environment.changed(**self.mode) if self.mode else PLAIN_MODE
        with setting(self.isa, self.threads):
            return calls.Outcome(self.function, given, mode)


def check(seed):
    """Run the case of a seed; return how it was handed over. AssertionError if it is wrong."""
    case = Case(seed)
    grads, before = case.grads, case.grads.buffer.copy()
    for view, values in zip(grads.views(before), grads.values, strict=True):
        assert in_address_order(view).tobytes() == values.tobytes(), "the fuzzer's own mistake"
    left_to_torch = calls.left_to_torch()
    wanted, plain = case.expected()
    if calls.left_to_torch() != left_to_torch:
        return "left to torch"
    found = case.found()
    assert found.text == wanted.text, f"gave {found.text[:300]}\nnot  {wanted.text[:300]}"
    assert not dlpack.EXPORTS.living
    assert not dlpack.EXPORTS.mistakes
    after = before.copy()
    grads.fill(after, plain)
    check_bytes(grads.buffer, after, "memory")
    if case.shaped:
        for i, (new, same) in enumerate(zip(found.fresh, wanted.fresh, strict=True)):
            assert (new.shape, new.dtype) == (same.shape, same.dtype)
            check_bytes(np.frombuffer(new.tobytes(), "u1"), np.frombuffer(same.tobytes(), "u1"), i)
    elif wanted.fresh:
        grads.fill(after, wanted.fresh)
        for i, (new, view) in enumerate(zip(found.fresh, grads.views(after), strict=True)):
            assert (new.shape, new.dtype) == (view.shape, view.dtype)
            check_bytes(np.frombuffer(new.tobytes(), "u1"), np.frombuffer(view.tobytes(), "u1"), i)
    check_exactly(case, wanted, plain)
    return case.how


def check_bytes(found, wanted, what):
    different = np.flatnonzero(found != wanted)
    assert different.size == 0, (
        f"{what}: {different.size} bytes differ, from {different[0]} (of {found.size}) on, "
        f"where {found[different[0]]:#x} is not {wanted[different[0]]:#x}"
    )


def check_exactly(case, wanted, written):
    """Hold the norm of a short list, and the bound of a clip, to exact arithmetic."""
    norm, values = wanted.norm, case.grads.values
    if (
        case.name not in RETURNING_THE_NORM
        or norm is None
        or not all(np.isfinite(reals(a)).all() for a in values)
    ):
        return
    order, size = case.options["order"], sum(reals(a).size for a in values)
    if size > LONGEST[order != 2]:
        return
    if case.name == "global_norm" or case.options["inv_scale"] == 1.0:
        check_norm(norm, values, order)
    exact = not any(array.dtype in HALVES for array in values)
    clips = case.name == "clip_by_global_norm_" and case.options["max_norm"] < norm < np.inf
    if clips and order == 2 and exact:
        oracle.assert_norm_is_bounded(written, case.options["max_norm"])


def check_norm(norm, values, order):
    if order != 2:
        if powers.norm(values, order) < sys.float_info.max * (1 - 1e-9):
            powers.assert_norm_is_right(norm, order, *values)
    elif oracle.is_root_in_range(oracle.square_sum(*values)):
        oracle.assert_norm_is_right(norm, *values)


def run(seeds, seconds, progress):
    """Check cases until time is up; return 1 at the first that fails."""
    kinds, begin, parent = Counter(), time.monotonic(), os.getppid()
    for seed in seeds:
        progress[:] = seed.to_bytes(8, "little")
        try:
            kinds[check(seed)] += 1
        except Exception:
            print(f"{traceback.format_exc()}\n--seed {seed}: {Case(seed)}", flush=True)
            return 1
        if time.monotonic() - begin > seconds or os.getppid() != parent:
            break
    took = time.monotonic() - begin
    print(f"{kinds.total()} cases, {kinds.total() / took:.0f} a second: {dict(kinds)}", flush=True)
    return 0


def watched(seeds, seconds):
    """Run in a child, so that a crash or a hang has a seed too."""
    progress = mmap.mmap(-1, 8)
    child = os.fork()
    if child == 0:
        os._exit(run(seeds, seconds, progress))
    seen, since = None, time.monotonic()
    while (status := os.waitpid(child, os.WNOHANG)) == (0, 0):
        time.sleep(0.05)
        if progress[:] != seen:
            seen, since = progress[:], time.monotonic()
        elif time.monotonic() - since > HANG:
            os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(status[1])
    if code < 0:
        seed = int.from_bytes(progress[:], "little")
        print(f"--seed {seed}: ended by {signal.Signals(-code).name}\n{Case(seed)}")
    return int(code != 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int)
    arguments = parser.parse_args()
    first = random.SystemRandom().randrange(2**48) if arguments.seed is None else arguments.seed
    last = first + 2**32 if arguments.seed is None else first + 1
    sys.exit(watched(range(first, last), arguments.seconds))
