"""Slices of arrays along any axes, each clipped by its own norm as if it were an array alone."""

import math

import numpy as np
import oracle
import pytest
from buffers import digest, owner, same_bits, unchanged
from dtypes import EXACT, normals

import gradclip

SHAPE = 5, 6, 7
AXES = [0, 1, 2, -3, (0, 1), (2, 0), (-1, 1), (1,), (2, 1, 0)]


def _every_second(values):
    return np.full([2 * length for length in values.shape], 9, values.dtype)[::2, ::2, ::-2]


LAYOUTS = {
    "C": np.copy,
    "F": np.asfortranarray,
    "strided": _every_second,
    "reversed": lambda values: values.copy()[::-1, ::-1, ::-1],
    "rows reversed": lambda values: np.asfortranarray(values)[:, ::-1],
    "transposed": lambda values: np.empty((6, 7, 5), values.dtype).transpose(2, 0, 1),
    "records": lambda values: np.zeros(SHAPE, [("a", "i1"), ("g", values.dtype)])["g"],
}


def filled(values, layout):
    view = LAYOUTS[layout](values)
    view[...] = values
    return view


def slices(array, axes):
    """Return the parts of an array that norms over these axes are of, and their shape."""
    axes = [axis % array.ndim for axis in np.atleast_1d(axes)]
    others = [axis for axis in range(array.ndim) if axis not in axes]
    moved = array.transpose(others + sorted(axes))
    shape = moved.shape[: len(others)]
    return [moved[index] for index in np.ndindex(shape)], shape


@pytest.mark.usefixtures("isa")
def test_every_slice_is_clipped_as_if_alone(any_dtype, rng, record_property):
    cases = 0
    for layout in LAYOUTS:
        for number, axes in enumerate(AXES):
            values, order = normals(rng, SHAPE, any_dtype), (2, 1, 2, math.inf, 2, 3)[number % 6]
            grad, twin = filled(values, layout), filled(values, layout)
            alone, shape = slices(twin, axes)
            expected = [gradclip.global_norm(part, ord=order) for part in alone]
            max_norm = float(np.median(expected)) / (1 + (len(alone) == 1))
            for part in alone:
                gradclip.clip_by_global_norm_(part, max_norm, ord=order, eps=number / 4)
            options = {"ord": order, "axis": axes, "eps": number / 4}
            (norms,) = gradclip.clip_by_norm_({"w": grad}, max_norm, **options)
            assert same_bits(norms, np.reshape(expected, shape))
            assert digest(owner(grad)) == digest(owner(twin)), (layout, axes)
            cases += len(alone)
    record_property("cases", cases)


def test_no_slice_is_above_its_bound_or_far_below(any_dtype, rng, record_property):
    cases = 0
    for layout in ("C", "strided"):
        for axes in AXES:
            values = normals(rng, SHAPE, any_dtype)
            grad = filled(values, layout)
            (norms,) = gradclip.clip_by_norm_(grad, 2.0, axis=axes)
            parts = zip(slices(grad, axes)[0], slices(values, axes)[0], norms.flat, strict=True)
            for part, before, norm in parts:
                oracle.assert_norm_is_right(float(norm), before)
                if norm > 2:
                    oracle.assert_norm_is_bounded([part], 2.0)
                    oracle.assert_norm_is_tight([part], 2.0)
                else:
                    assert same_bits(part, before)
                cases += 1
    record_property("cases", cases)


@pytest.mark.parametrize("dtype", EXACT, ids=str)
def test_clipping_again_writes_nothing(dtype, rng):
    grad = normals(rng, (40, 50), dtype)
    for axis in (0, 1):
        gradclip.clip_by_norm_(grad, 3.0, axis=axis)
        with unchanged(grad):
            gradclip.clip_by_norm_(grad, 3.0, axis=axis)


def special(dtype):
    """Return rows to keep, some within 1 and some not finite, and the policy that keeps them."""
    rows = np.full((6, 9), 3, dtype)
    rows[1], rows[2], rows[4] = -0.0, np.nan, 0.25
    rows[2, :4] = np.frombuffer(bytes(range(1, 65)), dtype)[:4]
    rows[5, 8] = np.inf
    return rows, [1, 2, 4, 5]


@pytest.mark.parametrize("columns", [False, True], ids=["rows", "columns"])
def test_slices_that_are_not_clipped_keep_every_byte(any_dtype, columns):
    rows, kept = special(any_dtype)
    grad = np.ascontiguousarray(rows.T) if columns else rows.copy()
    (norms,) = gradclip.clip_by_norm_(grad, 1.0, axis=0 if columns else 1, nonfinite="skip")
    written = grad.T if columns else grad
    assert written[kept].tobytes() == rows[kept].tobytes()
    assert not (np.isfinite(norms[[2, 5]])).any()
    for row in written[[0, 3]]:
        oracle.assert_norm_is_bounded([row], 1.0)


@pytest.mark.parametrize("policy", ["skip", "zero", "propagate"])
def test_a_policy_is_for_the_slices_that_are_not_finite(any_dtype, policy):
    for layout in (np.copy, np.asfortranarray):
        grad, twin = (layout(special(any_dtype)[0]) for _ in range(2))
        (norms,) = gradclip.clip_by_norm_(grad, 1.0, axis=1, nonfinite=policy)
        alone = [gradclip.clip_by_global_norm_(row, 1.0, nonfinite=policy) for row in twin]
        assert same_bits(norms, np.array(alone))
        assert same_bits(grad, twin)


@pytest.mark.parametrize("policy", ["zero", "propagate"])
def test_a_policy_is_followed_also_if_nothing_else_is_clipped(any_dtype, policy):
    grad = np.full((3, 2), 0.25, any_dtype)
    grad[1] = np.inf, 1
    gradclip.clip_by_norm_(grad, 1.0, axis=1, nonfinite=policy)
    assert (grad[::2] == 0.25).all()
    assert np.isnan(grad[1, 0]) if policy == "propagate" else grad[1, 0] == 0
    assert grad[1, 1] == 0


def test_a_slice_that_is_not_finite_raises_and_nothing_is_written(any_dtype):
    grads = {"a": np.full((6, 9), 5, any_dtype), "b": special(any_dtype)[0]}
    with unchanged(*grads.values()), pytest.raises(gradclip.NonFiniteNormError) as error:
        gradclip.clip_by_norm_(grads, 1.0, axis=1)
    assert error.value.path == "grads['b']"


# Longer than a block, with a rest; more than a section holds.
@pytest.fixture(scope="module", params=[(16_391, 37), (40_000, 2), (5, 1301)], ids=str)
def columns(request):
    """Return a matrix, its columns' norms, and a digest of it when each has been clipped alone."""
    length, count = request.param
    matrix = np.random.default_rng(7).standard_normal((length, count), dtype=np.float32)
    matrix *= np.geomspace(0.1, 10, count, dtype=np.float32)
    alone = np.asfortranarray(matrix)
    norms = [gradclip.clip_by_global_norm_(column, length**0.5) for column in alone.T]
    assert 0 < (np.array(norms) > length**0.5).sum() < count
    return matrix, norms, digest(np.ascontiguousarray(alone))


def test_interleaved_columns_have_the_same_bits_everywhere(columns, isa, record_property):
    matrix, expected, written = columns
    for threads in (1, 2, 3, 8):
        grad = matrix.copy()
        with gradclip.threads(threads):
            (norms,) = gradclip.clip_by_norm_(grad, len(grad) ** 0.5, axis=0)
        assert norms.tolist() == expected
        assert digest(grad) == written
    record_property("cases", 4 * len(expected))


@pytest.mark.parametrize("shape", [(3, 20_011), (1300, 3), (2, 700, 33), (523, 2, 1)], ids=str)
def test_many_and_long_rows_have_the_same_bits_everywhere(any_dtype, shape, isa, rng):
    values = normals(rng, shape, any_dtype)
    for view in (np.s_[...], np.s_[..., ::-1]):
        alone = values.copy()[view]
        rows = alone.reshape(-1, shape[-1]) if view == np.s_[...] else [*slices(alone, -1)[0]]
        norms = [gradclip.clip_by_global_norm_(row, 1.5) for row in rows]
        for threads in (1, 3):
            grad = values.copy()[view]
            with gradclip.threads(threads):
                (result,) = gradclip.clip_by_norm_(grad, 1.5, axis=-1)
            assert result.ravel().tolist() == norms
            assert digest(owner(grad)) == digest(owner(alone))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3), (1, 1), (4,)], ids=str)
def test_norms_have_the_shape_of_numpys(shape, any_dtype):
    array = np.ones(shape, any_dtype)
    axes = [*range(-len(shape), len(shape)), *[(0, 1), (1, 0)] * (len(shape) > 1)]
    for axis in axes:
        result = gradclip.clip_by_norm_([array, array.copy()], 1e9, axis=axis)
        assert type(result) is list
        expected = np.sqrt(np.sum(np.ones(shape), axis))  # of 0, 1 or 4: exact
        assert all(same_bits(norms, expected) for norms in result)
    assert gradclip.clip_by_norm_([], 1.0, axis=3) == []


def test_norms_are_arrays_of_the_callers_own():
    grad = np.ones((3, 4))
    (norms,) = gradclip.clip_by_norm_(grad, 9.0, axis=0)
    norms[...] = -1
    assert not np.shares_memory(norms, grad)
    assert (gradclip.clip_by_norm_(grad, 9.0, axis=0)[0] > 0).all()


def test_the_functional_form_makes_what_the_other_writes(any_dtype, rng):
    for layout in LAYOUTS:
        for axes in AXES:
            grad = filled(normals(rng, SHAPE, any_dtype), layout)
            with unchanged(grad):
                (clipped,), (norms,) = gradclip.clip_by_norm([grad], 2.0, axis=axes)
            assert same_bits(norms, gradclip.clip_by_norm_(grad, 2.0, axis=axes)[0])
            assert same_bits(clipped, grad)


class Nameless:
    def __repr__(self):
        return "nameless"


WRONG = {
    "too large": (1, ValueError, r"^grads\[1\]\['w'\] has no axis 1: it has 1 dimension$"),
    "too small": (-2, ValueError, r"^grads\[1\]\['w'\] has no axis -2: it has 1 dimension$"),
    "twice": ((1, 0, -1), ValueError, r"^axis names axis 1 of grads\[0\] twice$"),
    "none": ((), ValueError, "^axis must name at least one axis"),
    "a float": (1.0, TypeError, "^axis must be None, an integer or a tuple of integers, not 1.0"),
    "an object": (Nameless(), TypeError, "^axis must be .* integers, not nameless$"),
    "a list": ([0], TypeError, "^axis must be None, an integer or a tuple of integers"),
    "a tuple of text": (("0",), TypeError, "^axis must be None, an integer or a tuple of integers"),
    "enormous": (2**70, ValueError, "int"),
}


@pytest.mark.parametrize(("axis", "error", "match"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("clip", [gradclip.clip_by_norm_, gradclip.clip_by_norm])
def test_axes_that_are_not_there_are_named_with_the_array(clip, axis, error, match):
    grads = [np.full((2, 3), 9.0), {"w": np.full(3, 9.0)}]
    with unchanged(grads[0], grads[1]["w"]), pytest.raises(error, match=match):
        clip(grads, 1.0, axis=axis)


def test_an_array_without_axes_has_none_to_clip_along():
    with pytest.raises(ValueError, match=r"^grads has no axis 0: it has 0 dimensions$"):
        gradclip.clip_by_norm_(np.array(3.0), 1.0, axis=0)
