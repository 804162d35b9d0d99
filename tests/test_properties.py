"""What follows from the mathematics of a norm and a clip, for any gradients."""

import itertools
import math
from fractions import Fraction

import clip_routes
import numpy as np
import oracle
from buffers import same_bits, unchanged
from clip_routes import copies
from dtypes import ALL, EXACT, HALVES, finfo, reals
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import gradients, thresholds

import gradclip

ORDERS = st.sampled_from([1, 2, 3, math.inf])
INV_SCALES = st.sampled_from([1.0, 2.0**-16, 1 / 3, 7.0])
EPS = st.sampled_from([0.0, 1e-6, 1.0])
NONFINITE = st.sampled_from(["raise", "skip", "zero", "propagate"])
BAD = st.sampled_from([math.inf, -math.inf, math.nan, -math.nan])


def finite_norm(grads, **options):
    norm = gradclip.global_norm(grads, **options)
    assume(0 < norm < math.inf)
    return norm


@st.composite
def maybe_bad_gradients(draw):
    """Draw gradients, one in two of which hold an inf or a NaN."""
    grads = draw(gradients(ALL))
    if draw(st.booleans()):
        array = draw(st.sampled_from(grads))
        array[draw(st.integers(0, array.size - 1))] = draw(BAD)
    return grads


@given(gradients(), ORDERS, st.data())
def test_clipping_again_writes_nothing(grads, order, data):
    max_norm = data.draw(thresholds(finite_norm(grads, ord=order)))
    gradclip.clip_by_global_norm_(grads, max_norm, ord=order)
    again = copies(grads)
    with unchanged(*grads):
        gradclip.clip_by_global_norm_(grads, max_norm, ord=order)
        gradclip.clip_with_norm_(again, max_norm, gradclip.global_norm(again, ord=order))
    fresh, _ = gradclip.clip_by_global_norm(grads, max_norm, ord=order)
    assert all(map(same_bits, again, grads))
    assert all(map(same_bits, fresh, grads))


@given(gradients(ALL), EPS, st.data())
def test_norm_and_clip_with_it_are_one_clip(grads, eps, data):
    max_norm = data.draw(thresholds(finite_norm(grads)))
    in_two = copies(grads)
    total_norm = gradclip.global_norm(in_two)
    gradclip.clip_with_norm_(in_two, max_norm, total_norm, eps=eps)
    assert gradclip.clip_by_global_norm_(grads, max_norm, eps=eps) == total_norm
    assert all(map(same_bits, in_two, grads))


def outcome(route, grads, max_norm, options):
    """Return what a clip leaves in its arrays, and the norm or the message of its refusal."""
    try:
        written, norm = route(grads, max_norm, **options)
    except gradclip.NonFiniteNormError as error:
        return grads, str(error)
    return written, repr(norm)


@given(maybe_bad_gradients(), ORDERS, NONFINITE, INV_SCALES, EPS, st.floats(0.0))
def test_new_arrays_are_those_in_place(grads, order, nonfinite, inv_scale, eps, max_norm):
    options = {"ord": order, "nonfinite": nonfinite, "inv_scale": inv_scale, "eps": eps}
    fresh, fresh_answer = outcome(clip_routes.fresh, copies(grads), max_norm, options)
    written, answer = outcome(clip_routes.in_place, grads, max_norm, options)
    assert fresh_answer == answer
    assert all(map(same_bits, fresh, written))


@given(gradients(ALL), ORDERS, st.data())
def test_signs_change_no_norm_and_stay_with_their_numbers(grads, order, data):
    norm = finite_norm(grads, ord=order)
    max_norm = data.draw(thresholds(norm))
    turned = copies(grads)
    seed = data.draw(st.integers(0, 2**32))
    flips = [flip_some(array, seed) for array in turned]
    assert gradclip.clip_by_global_norm_(turned, max_norm, ord=order) == norm
    gradclip.clip_by_global_norm_(grads, max_norm, ord=order)
    if max_norm > 0:  # zeros are positive
        grads = [flipped(array, where) for array, where in zip(grads, flips, strict=True)]
    assert all(map(same_bits, turned, grads))


def flip_some(array, seed):
    """Turn the sign of some real numbers in place; return which."""
    patterns = sign_patterns(array)
    where = np.random.default_rng(seed).random(patterns.size) < 0.5
    patterns[where] ^= top_bit(patterns)
    return where


def flipped(array, where):
    sign_patterns(array)[where] ^= top_bit(sign_patterns(array))
    return array


def sign_patterns(array):
    return array.view(f"u{finfo(array.dtype).bits // 8}")


def top_bit(patterns):
    return patterns.dtype.type(1 << (8 * patterns.itemsize - 1))


@given(gradients(ALL), ORDERS, st.data())
def test_arrays_without_elements_count_for_nothing(grads, order, data):
    max_norm = data.draw(thresholds(finite_norm(grads, ord=order)))
    kinds = sorted({array.dtype for array in grads}, key=str)
    kind = data.draw(st.sampled_from(kinds))
    more = [array[:0] if data.draw(st.booleans()) else np.empty((3, 0, 2), kind) for array in grads]
    mixed = [array for pair in zip(more, copies(grads), strict=True) for array in pair]
    norm = gradclip.clip_by_global_norm_(mixed, max_norm, ord=order)
    assert gradclip.clip_by_global_norm_(grads, max_norm, ord=order) == norm
    assert all(map(same_bits, mixed[1::2], grads))


@given(gradients(ALL), ORDERS, st.data())
def test_shapes_count_for_nothing(grads, order, data):
    max_norm = data.draw(thresholds(finite_norm(grads, ord=order)))
    shapes = [(1, -1), (-1, 1), (1, -1, 1)]
    shaped = [array.copy().reshape(data.draw(st.sampled_from(shapes))) for array in grads]
    norm = gradclip.clip_by_global_norm_(shaped, max_norm, ord=order)
    assert gradclip.clip_by_global_norm_(grads, max_norm, ord=order) == norm
    assert all(same_bits(s.ravel(), array) for s, array in zip(shaped, grads, strict=True))


def square_error(*arrays):
    """Return the relative error that the square of a norm may have: twice that of the norm."""
    error = oracle.NORM_ERROR if oracle.is_narrow(*arrays) else Fraction(1, 2**52)
    return 2 * error + error**2


def assert_squares_agree(one, other, *arrays):
    assert abs(one - other) <= 2 * square_error(*arrays) * max(one, other)


@given(gradients(ALL), st.data())
def test_squares_of_norms_add_up_over_arrays_and_pieces(grads, data):
    norm = finite_norm(grads)
    assume(norm > 2.0**-960)  # below, an ulp is no longer a relative error of every piece
    square = Fraction(norm) ** 2
    assert_squares_agree(sum(Fraction(n) ** 2 for n in gradclip.array_norms(grads)), square, *grads)
    cuts = [data.draw(st.integers(0, array.size)) for array in grads]
    pieces = [p for array, cut in zip(grads, cuts, strict=True) for p in np.split(array, [cut])]
    assert_squares_agree(Fraction(gradclip.global_norm(pieces)) ** 2, square, *grads)


@given(gradients(ALL), st.integers(0, 2**32))
def test_the_order_of_arrays_and_elements_changes_rounding_alone(grads, seed):
    square = Fraction(finite_norm(grads)) ** 2
    assume(square > 2**-1920)
    largest = gradclip.global_norm(grads, ord=math.inf)
    rng = np.random.default_rng(seed)
    shuffled = [rng.permutation(grads[i]) for i in rng.permutation(len(grads))]
    assert_squares_agree(Fraction(gradclip.global_norm(shuffled)) ** 2, square, *grads)
    assert gradclip.global_norm(shuffled, ord=math.inf) == largest


@given(gradients(ALL), INV_SCALES, EPS, st.data())
def test_a_larger_threshold_makes_no_element_smaller(grads, inv_scale, eps, data):
    norm = finite_norm(grads)
    most = [data.draw(thresholds(norm)) * factor for factor in (1.0, inv_scale)]
    most += [math.nextafter(most[0], 0.0), math.nextafter(most[0], math.inf), norm, math.inf]
    if any(array.dtype in HALVES for array in grads):  # to nearest twice, where factors are tiny
        most = [threshold for threshold in most if threshold > norm * 2.0**-60]
    options = {"inv_scale": inv_scale, "eps": eps, "nonfinite": "skip"}
    clips = [gradclip.clip_by_global_norm(grads, t, **options)[0] for t in sorted(most)]
    for smaller, larger in itertools.pairwise(clips):
        for a, b in zip(smaller, larger, strict=True):
            assert (np.abs(reals(a)) <= np.abs(reals(b))).all()


@given(gradients(EXACT), st.data())
def test_a_larger_eps_makes_no_element_larger(grads, data):
    max_norm = data.draw(thresholds(finite_norm(grads)))
    values = sorted(data.draw(st.lists(st.floats(0, 1e308), min_size=2, max_size=4)))
    clips = [gradclip.clip_by_global_norm(grads, max_norm, eps=eps)[0] for eps in values]
    for larger, smaller in itertools.pairwise(clips):
        for a, b in zip(smaller, larger, strict=True):
            assert (np.abs(reals(a)) <= np.abs(reals(b))).all()
