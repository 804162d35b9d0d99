"""clip_per_example_: each example of a batch is clipped as a list of its slices is."""

import itertools
import math
import re

import numpy as np
import oracle
import pytest
from buffers import digest, owner, same_bits, unchanged
from dtypes import ALL, EXACT, HALVES, normals, reals
from placements import PLACEMENTS, placed

import gradclip

BATCHES = [0, 1, 2, 15, 16, 17, 64]
TAILS = [(), (3,), (5, 7), (2, 0), (1, 4, 1)]
LONG = (20_000,)  # more than a block
POLICIES = ["raise", "skip", "zero", "propagate"]


def slices(grads, example):
    return [array[example, ...] for array in grads]


def batch_of(rng, batch, tails, dtypes, placements):
    """Return arrays of numbers whose examples have norms from a quarter to four times another."""
    scales = 2.0 ** rng.uniform(-2, 2, batch)
    grads = []
    for tail, dtype, placement in zip(tails, dtypes, placements, strict=True):
        values = normals(rng, (batch, *tail), dtype)
        values = (values * scales.reshape(-1, *(1 for _ in tail))).astype(dtype)
        grads.append(placed(values, placement))
    return grads


def alike(array):
    """Return a copy that lies in memory as the array does, with what lies between its elements."""
    memory = owner(array).ravel("K").copy().view(np.uint8)
    offset = array.ctypes.data - owner(array).ctypes.data
    return np.ndarray(array.shape, array.dtype, memory, offset, array.strides)


def clip_slices(grads, max_norm, **options):
    """Clip each example as a list of its slices; return the norms."""
    return [
        gradclip.clip_by_global_norm_(slices(grads, i), max_norm, **options)
        for i in range(len(grads[0]))
    ]


def assert_clipped_as_slices(grads, max_norm, **options):
    expected = [alike(array) for array in grads]
    wanted = clip_slices(expected, max_norm, **options)
    norms = gradclip.clip_per_example_(grads, max_norm, **options)
    assert norms.dtype == np.float64
    assert norms.shape == (len(grads[0]),)
    assert same_bits(norms, np.array(wanted, float))
    for array, same in zip(grads, expected, strict=True):
        assert owner(array).tobytes("A") == owner(same).tobytes()


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_one_array_is_clipped_as_its_slices_are(placement, isa, rng, record_property):
    cases = 0
    for dtype in ALL:
        for batch in BATCHES:
            for tail in TAILS:
                grads = batch_of(rng, batch, [tail], [dtype], [placement])
                assert_clipped_as_slices(grads, math.sqrt(math.prod(tail)))
                cases += 1
    record_property("cases", cases)


def test_lists_of_all_dtypes_and_layouts_are_clipped_as_their_slices_are(isa, rng, record_property):
    cases = 200
    for case in range(cases):
        count = 1 + case % 3
        tails, dtypes, placements = (
            [kinds[i] for i in rng.integers(len(kinds), size=count)]
            for kinds in (TAILS, ALL, [*PLACEMENTS])
        )
        batch = BATCHES[rng.integers(1, len(BATCHES))]
        grads = batch_of(rng, batch, tails, dtypes, placements)
        policy = POLICIES[case % 4]
        assert_clipped_as_slices(grads, 3.0, nonfinite=policy)
    record_property("cases", cases)


def test_examples_of_several_blocks_on_any_number_of_threads(num_threads, rng, record_property):
    isas = gradclip.show_config("dicts")["isa"]["available"]
    for turn, placement in enumerate(PLACEMENTS):
        gradclip._gradclip._set_isa(isas[(turn + num_threads) % len(isas)])
        dtypes = [ALL[i] for i in rng.permutation(len(ALL))[:3]]
        grads = batch_of(rng, 9, [LONG, (5, 7), ()], dtypes, [placement, "C", placement])
        assert_clipped_as_slices(grads, 150.0, nonfinite=POLICIES[turn % 2])
    record_property("cases", len(PLACEMENTS))


def test_extreme_numbers_are_clipped_as_slices_are(isa, rng, record_property):
    cases = 0
    for dtype in EXACT:
        real = reals(np.zeros(1, dtype)).dtype
        low, high = (-140, 120) if real == np.float32 else (-1070, 1000)
        for max_norm in (0.0, 1e-310, 1e-40, 1.0, 1e30, 1e300, math.inf):
            values = np.ldexp(rng.uniform(1, 2, (40, 66)), rng.integers(low, high, (40, 1)))
            grads = [values.astype(real).view(dtype)]
            assert_clipped_as_slices(grads, max_norm)
            cases += 1
    record_property("cases", cases)


@pytest.mark.usefixtures("isa")
def test_the_exact_norm_of_each_example_is_bounded_and_close(rng, record_property):
    cases = 0
    for dtypes in [*([kind, kind] for kind in EXACT), EXACT, EXACT[::-1]]:
        tails = [(3,), (5, 7), (), (33,)][: len(dtypes)]
        for placement in PLACEMENTS:
            grads = batch_of(rng, 17, tails, dtypes, [placement] * len(dtypes))
            before = [array.copy() for array in grads]
            max_norm = float(rng.uniform(2, 8))
            norms = gradclip.clip_per_example_(grads, max_norm)
            for i, norm in enumerate(norms.tolist()):
                oracle.assert_norm_is_right(norm, *slices(before, i))
                if norm <= max_norm:
                    assert digest(*slices(grads, i)) == digest(*slices(before, i))
                    continue
                oracle.assert_norm_is_bounded(slices(grads, i), max_norm)
                oracle.assert_norm_is_tight(slices(grads, i), max_norm)
                cases += 1
            with unchanged(*grads):
                assert (gradclip.clip_per_example_(grads, max_norm) <= max_norm).all()
    record_property("cases", cases)
    assert cases > 150


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_examples_with_16_bit_numbers_keep_to_the_bound_within_their_rounding(half, rng):
    grads = batch_of(rng, 17, [(40,), (3,)], [half, np.dtype("f4")], ["C", "F"])
    for i, norm in enumerate(gradclip.clip_per_example_(grads, 2.0)):
        if norm > 2:
            oracle.assert_norm_is_bounded(slices(grads, i), 2.0)
            oracle.assert_norm_is_tight(slices(grads, i), 2.0)


def with_bad_example(dtype, bad, example, batch=20, position=4):
    """Return a nesting of two arrays, and in the second the example with one bad number."""
    grads = {"a": np.full((batch, 3), 2.0, dtype), "b": [np.full((batch, 5), -0.25, dtype)]}
    grads["b"][0][example, position] = bad
    return grads, grads["a"], grads["b"][0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("example", [0, 7, 19])
def test_raise_writes_nothing_and_names_the_example(example, bad, any_dtype):
    grads, a, b = with_bad_example(any_dtype, bad, example)
    refused = pytest.raises(gradclip.NonFiniteNormError, match=rf"grads\['b'\]\[0\]\[{example}\]")
    with gradclip.threads(3), unchanged(a, b), refused as error:
        gradclip.clip_per_example_(grads, 1.0)
    assert error.value.path == "grads['b'][0]"
    assert same_bits(np.float64(error.value.norm), np.float64(abs(bad)))
    assert f"example {example} " in str(error.value)


def test_the_array_is_named_also_if_examples_are_single_numbers(any_dtype):
    grads = [np.ones(5, any_dtype) for _ in range(3)]
    grads[1][2] = math.nan
    with pytest.raises(gradclip.NonFiniteNormError) as error:
        gradclip.clip_per_example_(grads, 1.0)
    assert error.value.path == "grads[1]"


@pytest.mark.parametrize("bad", [0, 1])
def test_the_array_is_named_also_if_examples_are_long(bad):
    grads = [np.ones((2, 40_000), np.float32), np.ones((2, 3))]
    grads[bad][1, -1] = math.nan
    with pytest.raises(gradclip.NonFiniteNormError) as error:
        gradclip.clip_per_example_(grads, 1.0)
    assert error.value.path == f"grads[{bad}]"


def test_the_array_is_named_also_if_one_before_it_is_empty(any_dtype):
    grads = [np.ones((2, 0), any_dtype), np.ones((2, 3), any_dtype)]
    grads[1][1, 0] = math.nan
    with pytest.raises(gradclip.NonFiniteNormError) as error:
        gradclip.clip_per_example_(grads, 1.0)
    assert error.value.path == "grads[1]"


def test_raise_says_that_the_norm_of_finite_values_overflows():
    grads = np.ones((5, 3))
    grads[3] = 1.5e308
    refused = pytest.raises(gradclip.NonFiniteNormError, match=r"example 3 .*too large")
    with unchanged(grads), refused as error:
        gradclip.clip_per_example_(grads, 1.0)
    assert error.value.path is None


@pytest.mark.parametrize("policy", ["skip", "zero", "propagate"])
def test_other_policies_are_those_of_the_slices(policy, isa, record_property):
    places = itertools.product(ALL, [math.nan, math.inf, -math.inf], [0, 19], [0.0, 1.0, math.inf])
    cases = 0
    for dtype, bad, example, max_norm in places:
        for placement in ("C", "F, strided, reversed"):
            _, *grads = with_bad_example(dtype, bad, example)
            grads = [placed(array, placement) for array in grads]
            assert_clipped_as_slices(grads, max_norm, nonfinite=policy)
            cases += 1
    record_property("cases", cases)


def test_zero_drops_the_example_and_clips_the_others(any_dtype):
    grads, a, b = with_bad_example(any_dtype, math.nan, 7)
    norms = gradclip.clip_per_example_(grads, 1.0, nonfinite="zero")
    assert [*np.flatnonzero(np.isnan(norms))] == [7]
    assert a[7].tobytes() == bytes(a[7].nbytes)
    assert b[7].tobytes() == bytes(b[7].nbytes)
    assert (np.delete(a, 7, 0) != 0).all()
    assert (np.delete(a, 7, 0) < 2).all()


def test_skip_leaves_the_example_alone_and_clips_the_others(any_dtype):
    grads, a, b = with_bad_example(any_dtype, math.inf, 7)
    before = digest(a[7], b[7])
    norms = gradclip.clip_per_example_(grads, 1.0, nonfinite="skip")
    assert norms[7] == math.inf
    assert digest(a[7], b[7]) == before
    assert (np.delete(a, 7, 0) < 2).all()


def test_examples_within_the_threshold_keep_every_byte(any_dtype, isa):
    grads = np.full((20, 9), -0.0, any_dtype)
    grads[::2] = 3.0
    before = digest(grads[1::2])
    gradclip.clip_per_example_(grads, 1.0)
    assert digest(grads[1::2]) == before
    with unchanged(grads):
        gradclip.clip_per_example_(grads, math.inf)


@pytest.mark.parametrize("grads", [[], None, [None], np.ones((0, 3)), {"a": np.ones((0,))}])
def test_no_examples(grads):
    norms = gradclip.clip_per_example_(grads, 1.0)
    assert same_bits(norms, np.zeros(0))


def test_examples_without_elements_have_norm_zero():
    assert same_bits(gradclip.clip_per_example_(np.ones((3, 0)), 1.0), np.zeros(3))


@pytest.mark.parametrize("call", [gradclip.clip_per_example_, gradclip.clip_per_example_sum])
class TestRefusals:
    def refused(self, call, grads, error, words):
        arrays = [array for array in grads.values() if isinstance(array, np.ndarray)]
        with unchanged(*arrays), pytest.raises(error, match=words):
            call(grads, 1.0)

    def test_an_array_without_an_axis(self, call):
        grads = {"a": np.full((3, 2), 4.0), "b": np.array(5.0)}
        for order in (["a", "b"], ["b", "a"]):
            ordered = {key: grads[key] for key in order}
            self.refused(call, ordered, ValueError, r"^grads\['b'\] has no axis")

    def test_another_number_of_examples(self, call):
        grads = {"a": np.full((3, 2), 4.0), "b": np.full((3,), 9.0), "c": np.full((4, 2), 4.0)}
        self.refused(call, grads, ValueError, r"^grads\['c'\] has 4 .*grads\['a'\] has 3$")
        grads["b"] = np.full((5,), 9.0)
        self.refused(call, grads, ValueError, r"^grads\['b'\] has 5 .*grads\['a'\] has 3$")

    def test_a_dtype_without_norm(self, call):
        grads = {"a": np.full((3, 2), 4.0), "b": np.ones((3, 2), int)}
        self.refused(call, grads, TypeError, r"^grads\['b'\].*int64")

    @pytest.mark.parametrize("max_norm", [-1.0, math.nan])
    def test_a_threshold_out_of_range(self, call, max_norm):
        grads = np.full((3, 2), 4.0)
        with unchanged(grads), pytest.raises(ValueError, match="max_norm"):
            call(grads, max_norm)

    @pytest.mark.parametrize("max_norm", ["1", None, lambda norm: 1.0])
    def test_a_threshold_that_is_no_number(self, call, max_norm):
        grads = np.full((3, 2), 4.0)
        with unchanged(grads), pytest.raises(TypeError, match="max_norm"):
            call(grads, max_norm)

    def test_another_policy(self, call):
        with pytest.raises(ValueError, match="nonfinite"):
            call(np.ones((3, 2)), 1.0, nonfinite="drop")


def test_shared_memory_is_refused():
    array = np.full((4, 6), 3.0)
    for other in (array, array[:, 5:], array[:, ::-1]):
        with unchanged(array), pytest.raises(ValueError, match=re.escape("grads[0] and grads[1]")):
            gradclip.clip_per_example_([array, other], 1.0)
    gradclip.clip_per_example_([array[:, :3], array[:, 3:]], 1.0)
    assert (array < 3).all()


def test_memory_that_may_not_be_written_is_refused():
    array = np.full((4, 6), 3.0)
    array.flags.writeable = False
    for bad in (array, np.broadcast_to(np.ones(6), (4, 6))):
        with pytest.raises(ValueError, match=r"^grads"):
            gradclip.clip_per_example_(bad, 1.0)
