"""clip_per_example_sum: the sum over a batch of its clipped examples, and nothing is written."""

import collections
import math
from fractions import Fraction

import numpy as np
import pytest
from buffers import digest, same_bits, unchanged
from dtypes import ALL, HALVES, compute_dtype, finfo, normals, reals
from placements import PLACEMENTS, placed

import gradclip

ISAS = gradclip.show_config("dicts")["isa"]["available"]
BATCHES = [1, 2, 15, 16, 17, 33, 64]
TAILS = [(), (3,), (5, 7), (2, 0)]
GROUP = 16  # examples that are added up first; then their sums are


def batch_of(rng, batch, tail, dtype):
    """Return an array whose examples have norms from a quarter to four times another."""
    scales = 2.0 ** rng.uniform(-2, 2, batch)
    values = normals(rng, (batch, *tail), dtype)
    return (values * scales.reshape(-1, *(1 for _ in tail))).astype(dtype)


def sum_dtype(dtype):
    """Return the documented dtype of a sum."""
    wide = compute_dtype(dtype)
    return np.dtype(f"c{2 * wide.itemsize}") if dtype.kind == "c" else wide


def factors(grads, norms, max_norm):
    """Return each example's factor as a float64; 1 where it is not clipped."""
    result = []
    for example, norm in enumerate(norms.tolist()):
        slices = [array[example, ...].copy() for array in grads]
        result.append(gradclip.clip_with_norm_(slices, max_norm, norm))
    return result


def in_compute_type(factor, dtype):
    """Return a factor as a clip of that dtype applies it: rounded toward zero, never subnormal."""
    digits = 24 if compute_dtype(dtype) == np.float32 else 53
    mantissa, exponent = math.frexp(factor)
    return Fraction(math.floor(math.ldexp(mantissa, digits))) * Fraction(2) ** (exponent - digits)


def assert_sum_is_right(total, array, by, more_roundings=0):
    """Assert that a sum is that of the products with these factors, but for rounding.

    A product is rounded with the sum it is added to, once; its group's sum and the groups' after
    it are rounded too: `roundings` times in all, by u = ε/2 at most each time.
    """
    assert total.dtype == sum_dtype(array.dtype)
    assert total.shape == array.shape[1:]
    roundings = min(len(array), GROUP) + math.ceil(len(array) / GROUP)
    unit = Fraction(float(finfo(compute_dtype(array.dtype)).eps)) / 2
    error = (1 + unit) ** (roundings + more_roundings) - 1
    terms = [
        [Fraction(float(x)) * in_compute_type(factor, array.dtype) for x in row]
        for row, factor in zip(map(reals, array), by, strict=True)
    ]
    for found, *summands in zip(reals(total).tolist(), *terms, strict=True):
        distance = abs(Fraction(found) - sum(summands))
        assert distance <= error * sum(map(abs, summands)), (found, float(distance))


@pytest.mark.usefixtures("isa")
def test_sums_are_those_of_what_a_clip_would_write(rng, record_property):
    cases = 0
    for dtype in ALL:
        for batch in BATCHES:
            for tail in TAILS:
                array = batch_of(rng, batch, tail, dtype)
                max_norm = float(np.sqrt(math.prod(tail)))
                placement = [*PLACEMENTS][cases % len(PLACEMENTS)]
                grads = [placed(array, placement)]
                with unchanged(*grads):
                    (total,), norms = gradclip.clip_per_example_sum(grads, max_norm)
                assert same_bits(norms, gradclip.clip_per_example_(grads, max_norm))
                assert_sum_is_right(total, array, factors([array], norms, max_norm))
                cases += 1
    record_property("cases", cases)


def test_sums_of_lists_of_all_dtypes(isa, rng, record_property):
    for batch in BATCHES:
        grads = [batch_of(rng, batch, (5,), dtype) for dtype in ALL]
        totals, norms = gradclip.clip_per_example_sum(grads, 6.0)
        by = factors(grads, norms, 6.0)
        assert min(by) < 1
        for total, array in zip(totals, grads, strict=True):
            assert_sum_is_right(total, array, by)
    record_property("cases", len(BATCHES))


@pytest.mark.usefixtures("isa")
def test_factors_that_are_subnormal_have_their_full_precision(rng):
    """A product is then rounded by itself."""
    array = (normals(rng, (20, 37), np.dtype("f8")) * 1e30).astype("f4")
    total, norms = gradclip.clip_per_example_sum(array, 1e-12)
    by = factors([array], norms, 1e-12)
    assert max(by) < finfo(array.dtype).smallest_normal
    assert_sum_is_right(total, array, by, more_roundings=1)


def test_a_sum_of_many_examples_keeps_to_the_bound(rng):
    array = np.full((3000, 2), 0.1, np.float32)
    total, norms = gradclip.clip_per_example_sum(array, 0.05)
    assert_sum_is_right(total, array, factors([array], norms, 0.05))


@pytest.mark.usefixtures("isa")
def test_sums_of_what_is_small_are_exact(any_dtype, rng):
    values = rng.integers(-4, 5, (40, 33)).astype(any_dtype)
    total, _ = gradclip.clip_per_example_sum(values, math.inf)
    assert same_bits(total, values.astype(sum_dtype(any_dtype)).sum(0))
    total, norms = gradclip.clip_per_example_sum(np.full((40, 16), 3, any_dtype), 6.0)
    assert (norms == 12).all()
    assert (np.abs(total - 60) <= 60 * 4 * finfo(any_dtype).eps).all()


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_16_bit_numbers_add_up_as_the_same_float32_ones(half, isa, rng):
    array = batch_of(rng, 40, (5, 9), half)
    total, norms = gradclip.clip_per_example_sum(array, 3.0)
    same, same_norms = gradclip.clip_per_example_sum(array.astype("f4"), 3.0)
    assert same_bits(total, same)
    assert same_bits(norms, same_norms)


def results(grads, policy):
    totals, norms = gradclip.clip_per_example_sum(grads, 150.0, nonfinite=policy)
    return digest(norms, *totals)


def nan_with(payload, dtype):
    """Return a NaN with bits of its own; every other one is negative."""
    nan = np.full(1, np.nan, dtype)
    bits = nan.view(f"u{min(8, dtype.itemsize // (1 + (dtype.kind == 'c')))}")
    bits[...] |= payload + 1
    return -nan[0] if payload % 2 else nan[0]


@pytest.mark.parametrize("policy", ["skip", "zero", "propagate"])
def test_the_same_bits_on_every_instruction_set_and_any_threads(policy, rng, record_property):
    grads = [batch_of(rng, 37, tail, d) for d in ALL for tail in ((9000,), (3,))]
    for turn, array in enumerate(grads):
        for example in (1, 2, 9, 20, 21):
            array[example, 1 + (example + turn) % 2] = np.inf
        for example in (4, 5, 6, 22):
            array[example, 1] = nan_with(example, array.dtype)
    grads[0] = placed(grads[0], "F")
    found = set()
    for isa in ISAS:
        gradclip._gradclip._set_isa(isa)
        for threads in (1, 2, 3, 5, 8):
            with gradclip.threads(threads):
                found.add(results(grads, policy))
    record_property("cases", len(ISAS) * 5)
    assert len(found) == 1


def test_layouts_in_which_an_example_has_the_same_order_give_the_same_bits(isa, rng):
    for dtype in ALL:
        array = batch_of(rng, 33, (5, 7), dtype)
        expected = digest(*gradclip.clip_per_example_sum(array, 5.0))
        for placement in ("strided", "first axis last"):
            same = placed(array, placement)
            assert digest(*gradclip.clip_per_example_sum(same, 5.0)) == expected
        backwards = array[::-1].copy()[::-1]
        assert digest(*gradclip.clip_per_example_sum(backwards, 5.0)) == expected


def test_fortran_order_gives_the_sums_of_the_transposed_examples(isa, rng):
    array = batch_of(rng, 33, (5, 7), np.dtype("f4"))
    total, norms = gradclip.clip_per_example_sum(np.asfortranarray(array), 5.0)
    turned = np.ascontiguousarray(array.transpose(0, 2, 1))
    expected, same_norms = gradclip.clip_per_example_sum(turned, 5.0)
    assert same_bits(total, expected.T)
    assert same_bits(norms, same_norms)


BAD = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("bad", BAD)
def test_zero_leaves_the_example_out(bad, any_dtype, isa, rng):
    grads = [batch_of(rng, 33, (5,), any_dtype), batch_of(rng, 33, (3, 2), np.dtype("f8"))]
    without = [array.copy() for array in grads]
    grads[1][20, 2, 1] = bad
    without[0][20], without[1][20] = 0, 0
    with unchanged(*grads):
        totals, norms = gradclip.clip_per_example_sum(grads, 2.0, nonfinite="zero")
    expected, _ = gradclip.clip_per_example_sum(without, 2.0)
    assert all(map(same_bits, totals, expected))
    assert same_bits(norms[20], np.float64(abs(bad)))
    assert np.isfinite(np.delete(norms, 20)).all()


@pytest.mark.parametrize("bad", BAD)
def test_raise_names_the_example_and_its_array(bad, any_dtype):
    grads = {"a": np.ones((33, 2), any_dtype), "b": [np.ones((33, 5), any_dtype)]}
    grads["b"][0][20, 3] = bad
    words = r"example 20 is (nan|inf): grads\['b'\]\[0\]\[20\] holds"
    with pytest.raises(gradclip.NonFiniteNormError, match=words) as error:
        gradclip.clip_per_example_sum(grads, 1.0)
    assert error.value.path == "grads['b'][0]"


def test_skip_adds_the_example_as_it_is():
    grads = np.array([[3.0, 4.0], [1.0, math.inf], [0.25, 0.5]])
    total, norms = gradclip.clip_per_example_sum(grads, 2.5, nonfinite="skip")
    np.testing.assert_allclose(total, [2.75, math.inf], rtol=1e-15)
    assert norms[1] == math.inf


@pytest.mark.parametrize(("bad", "left"), [(math.inf, 1.75), (math.nan, math.nan)])
def test_propagate_adds_what_the_formula_gives(bad, left):
    grads = np.array([[3.0, 4.0], [1.0, bad], [0.25, 0.5]])
    total, _ = gradclip.clip_per_example_sum(grads, 2.5, nonfinite="propagate")
    np.testing.assert_allclose(total, [left, math.nan], rtol=1e-15)


def test_a_threshold_of_zero_gives_positive_zeros(any_dtype):
    total, _ = gradclip.clip_per_example_sum(np.full((5, 3), -2.0, any_dtype), 0.0)
    assert total.tobytes() == bytes(total.nbytes)


Pair = collections.namedtuple("Pair", "w b")


def test_the_nesting_and_its_types_are_kept():
    a, b, c = (np.full((2, n), 1.0) for n in (1, 2, 3))
    grads = {"x": Pair(a, None), "y": collections.OrderedDict(z=(b, [c])), "n": None}
    sums, norms = gradclip.clip_per_example_sum(grads, 10.0)
    assert type(sums["x"]) is Pair
    assert type(sums["y"]) is collections.OrderedDict
    assert type(sums["y"]["z"]) is tuple
    assert list(sums) == ["x", "y", "n"]
    assert sums["n"] is sums["x"].b is None
    for total, length in ((sums["x"].w, 1), (sums["y"]["z"][0], 2), (sums["y"]["z"][1][0], 3)):
        assert type(total) is np.ndarray
        assert same_bits(total, np.full(length, 2.0))
    assert same_bits(norms, np.full(2, math.sqrt(6)))


def test_a_lone_array_gives_a_lone_array():
    total, norms = gradclip.clip_per_example_sum(np.ones((3, 2, 2)), 1e9)
    assert same_bits(total, np.full((2, 2), 3.0))
    assert same_bits(norms, np.full(3, 2.0))


@pytest.mark.parametrize("nothing", [[], None, {"a": None}])
def test_no_arrays(nothing):
    sums, norms = gradclip.clip_per_example_sum(nothing, 1.0)
    assert sums == nothing
    assert same_bits(norms, np.zeros(0))


def test_no_examples_give_zeros(any_dtype):
    total, norms = gradclip.clip_per_example_sum(np.zeros((0, 3, 2), any_dtype), 1.0)
    assert same_bits(total, np.zeros((3, 2), sum_dtype(any_dtype)))
    assert same_bits(norms, np.zeros(0))


def test_arrays_may_be_read_only_and_share_memory():
    array = np.full((3, 4), 2.0)
    array.flags.writeable = False
    (one, two, many), norms = gradclip.clip_per_example_sum(
        [array, array[:, ::-1], np.broadcast_to(np.ones(2), (3, 2))], 1e9
    )
    assert same_bits(one, np.full(4, 6.0))
    assert same_bits(two, one)
    assert same_bits(many, np.full(2, 3.0))
    assert same_bits(norms, np.full(3, math.sqrt(34)))
