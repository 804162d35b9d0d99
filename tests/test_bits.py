"""The same bits whatever the instruction set, the thread count, the alignment or the run."""

import functools

import numpy as np
import pytest
from buffers import digest, misaligned

import gradclip


def normals(rng):
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


SAMPLES = [
    normals,
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


@pytest.mark.usefixtures("isa")
def test_every_run_gives_the_same_bits(rng):
    array = rng.standard_normal(2_000_001, dtype=np.float32)
    with gradclip.threads(8):
        assert len({gradclip.global_norm(array).hex() for _ in range(50)}) == 1


@pytest.mark.usefixtures("isa")
def test_the_norm_returned_by_a_clip_is_the_global_norm(rng):
    for size in (1, 100, 16385, 400_000):
        grads = [rng.standard_normal(size), rng.standard_normal(size).astype("f4")]
        norm = gradclip.global_norm(grads)
        _, functional = gradclip.clip_by_global_norm(grads, 0.1)
        assert functional == gradclip.clip_by_global_norm_(grads, 0.1) == norm


@pytest.mark.usefixtures("isa")
def test_nesting_does_not_change_the_bits(rng):
    a, b, c = (rng.standard_normal(n) for n in (1000, 20_000, 33))
    norms = {
        gradclip.global_norm(nesting).hex()
        for nesting in ([a, b, c], (a, [b, [c]]), {"x": a, "y": {"z": (b, None, c)}})
    }
    assert len(norms) == 1
