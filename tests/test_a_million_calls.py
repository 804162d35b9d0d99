"""A million calls, every tenth of them failing, leave no object and no page behind."""

import contextlib
import sys

import numpy as np
from exact_references import flat_memory

import gradclip

COUNT = 100_000  # rounds of ten calls


def rounds_of_ten(grads, broken, count):
    clip, norm = gradclip.clip_by_global_norm_, gradclip.global_norm
    for _ in range(count):
        clip(grads, 1.0)
        clip(grads, 1e9)
        clip(grads, lambda n: n)
        norm(grads)
        norm(grads, ord=1)
        gradclip.array_norms(grads)
        gradclip.clip_by_global_norm(grads, 0.5)
        gradclip.clip_with_norm_(grads, 1.0, 1.0)
        gradclip.scale_(grads, 1.5)
        with contextlib.suppress(gradclip.NonFiniteNormError):
            clip(broken, 1.0)


def test_a_million_calls_leave_nothing_behind(record_property):
    grads = {"w": np.full((3, 4), 2.0, np.float32), "b": [np.full(5, 3.0), None]}
    broken = [*grads["b"], np.full(2, np.nan)]
    rounds_of_ten(grads, broken, 100)
    blocks = sys.getallocatedblocks()
    with flat_memory(spare=1 << 20):  # one byte a call
        rounds_of_ten(grads, broken, COUNT)
    assert sys.getallocatedblocks() - blocks < 100
    record_property("cases", 10 * COUNT)
