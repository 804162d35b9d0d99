"""The same bits whatever the instruction set, the thread count, the alignment or the run."""

import functools
import itertools
import math

import numpy as np
import pytest
from buffers import digest, misaligned
from dtypes import ALL, BFLOAT16, HALVES
from dtypes import normals as normals_of

import gradclip


def standard_normals(rng):
    return [rng.standard_normal(1_300_001, dtype=np.float32), rng.standard_normal(700_001)]


def many_small_arrays(rng):
    return [rng.standard_normal(n).astype(("f4", "f8")[n % 2]) for n in range(1, 1200)]


def wide_range_float64(rng):
    return [np.ldexp(rng.standard_normal(300_000), rng.integers(-1000, 500, 300_000))]


def blocks_over_and_under_the_range(rng):
    exponents = np.repeat(rng.choice([-1000, -500, 0, 400, 600, 1000], 40), 16384)
    return [np.ldexp(rng.uniform(1, 2, exponents.size), exponents)]


def wide_range_float32(rng):
    values = np.ldexp(rng.standard_normal(600_000), rng.integers(-149, 120, 600_000))
    return [values.astype(np.float32), np.full(20_001, 0.1, np.float32)]


def halves(rng):
    wide = np.ldexp(rng.standard_normal(500_001), rng.integers(-130, 125, 500_001))
    small = np.ldexp(rng.standard_normal(100_003), rng.integers(-25, 14, 100_003))
    return [wide.astype(BFLOAT16), small.astype("f2"), *(normals_of(rng, 999, d) for d in HALVES)]


def complexes(rng):
    exponents = np.repeat(rng.choice([-1000, -500, 0, 400, 900], 20), 8192)
    wide = np.ldexp(rng.uniform(1, 2, (exponents.size, 2)), exponents[:, None]).view("c16")[:, 0]
    return [normals_of(rng, 300_001, np.dtype("c8")), wide, normals_of(rng, 9, np.dtype("c16"))]


SAMPLES = [
    standard_normals,
    halves,
    complexes,
    many_small_arrays,
    wide_range_float64,
    blocks_over_and_under_the_range,
    wide_range_float32,
]


@functools.cache
def sample(make):
    return make(np.random.default_rng(5))


def results(make, offset):
    """Return the norms and digests of all bits from a sample at this offset."""
    grads = [misaligned(array, offset) for array in sample(make)]
    norm = gradclip.global_norm(grads)
    norms = gradclip.array_norms(grads)
    returned = gradclip.clip_by_global_norm_(grads, norm / 3)
    clipped = digest(*grads)
    gradclip.scale_(grads, 0.1)
    return norm.hex(), digest(norms), returned.hex(), clipped, digest(*grads)


@functools.cache
def scalar_results(make):
    gradclip._gradclip._set_isa("scalar")
    with gradclip.threads(1):
        return results(make, 0)


@pytest.mark.parametrize("make", SAMPLES)
@pytest.mark.parametrize("offset", [0, 1, 8])
def test_bits_are_those_of_the_scalar_code_on_one_thread(make, offset, num_threads, isa):
    expected = scalar_results(make)
    gradclip._gradclip._set_isa(isa)
    assert results(make, offset) == expected


def norms_in_other_orders(make):
    """Return the bits of norms, and of what a clip in order 1 writes, at an odd address."""
    grads = [misaligned(array, 1) for array in sample(make)]
    some = [array[:20_000] for array in grads[:40]]  # powers take 10 ns an element
    norms = [gradclip.array_norms(grads, ord=order).tobytes() for order in (1, math.inf)]
    norms += [gradclip.global_norm(grads, ord=order).hex() for order in (1, math.inf)]
    norms += [gradclip.global_norm(some, ord=order).hex() for order in (0.5, 3, 10)]
    gradclip.clip_by_global_norm_(grads, gradclip.global_norm(grads, ord=1) / 3, ord=1)
    return norms, digest(*grads)


@functools.cache
def scalar_norms_in_other_orders(make):
    gradclip._gradclip._set_isa("scalar")
    with gradclip.threads(1):
        return norms_in_other_orders(make)


@pytest.mark.parametrize("make", SAMPLES)
def test_other_orders_have_the_bits_of_the_scalar_code_on_one_thread(make, num_threads, isa):
    expected = scalar_norms_in_other_orders(make)
    gradclip._gradclip._set_isa(isa)
    assert norms_in_other_orders(make) == expected


@pytest.mark.usefixtures("isa")
def test_every_run_gives_the_same_bits(rng):
    array = rng.standard_normal(2_000_001, dtype=np.float32)
    with gradclip.threads(8):
        assert len({gradclip.global_norm(array).hex() for _ in range(50)}) == 1


@pytest.mark.usefixtures("isa")
def test_the_norm_returned_by_a_clip_is_the_global_norm(rng):
    for order, size in itertools.product((1, 2, 3, math.inf), (1, 100, 16385)):
        grads = [normals_of(rng, size, dtype) for dtype in ALL]
        norm = gradclip.global_norm(grads, ord=order)
        _, functional = gradclip.clip_by_global_norm(grads, 0.1, ord=order)
        assert functional == gradclip.clip_by_global_norm_(grads, 0.1, ord=order) == norm


@pytest.mark.usefixtures("isa")
def test_nesting_does_not_change_the_bits(rng):
    a, b, c = (rng.standard_normal(n) for n in (1000, 20_000, 33))
    norms = {
        gradclip.global_norm(nesting).hex()
        for nesting in ([a, b, c], (a, [b, [c]]), {"x": a, "y": {"z": (b, None, c)}})
    }
    assert len(norms) == 1
