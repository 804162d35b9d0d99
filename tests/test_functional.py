"""clip_by_global_norm: fresh arrays in the same nesting, the input untouched."""

import collections
import math
import typing

import numpy as np
import oracle
import pytest
from buffers import same_bits, unchanged
from dtypes import normals, reals
from layouts import BUFFER_SIZE, LAYOUTS

import gradclip


class Weights(typing.NamedTuple):
    w: np.ndarray
    b: object = None


class MyList(list):
    pass


class MyTuple(tuple):
    pass


class MyDict(dict):
    pass


CONTAINERS = {
    "list": lambda a, b: [a, b],
    "tuple": lambda a, b: (a, b),
    "dict": lambda a, b: {"a": a, 7: b},
    "namedtuple": Weights,
    "collections.namedtuple": collections.namedtuple("Pair", "x y"),
    "OrderedDict": lambda a, b: collections.OrderedDict(z=a, a=b),
    "defaultdict": lambda a, b: collections.defaultdict(list, {"z": a, "a": b}),
    "list subclass": lambda a, b: MyList([a, b]),
    "tuple subclass": lambda a, b: MyTuple((a, b)),
    "dict subclass": lambda a, b: MyDict(z=a, a=b),
    "nested": lambda a, b: {"enc": [(a,), None, {"x": Weights(b)}], "empty": [], "none": None},
}


def assert_same_structure(new, old):
    assert type(new) is type(old)
    if isinstance(old, np.ndarray):
        assert new.dtype == old.dtype
        assert new.shape == old.shape
    elif isinstance(old, dict):
        assert list(new) == list(old)
        for key in old:
            assert_same_structure(new[key], old[key])
    elif old is not None:
        assert len(new) == len(old)
        for left, right in zip(new, old, strict=True):
            assert_same_structure(left, right)


def leaves(grads):
    if isinstance(grads, np.ndarray):
        return [grads]
    items = grads.values() if isinstance(grads, dict) else grads or ()
    return [leaf for item in items for leaf in leaves(item)]


@pytest.fixture
def pair(any_dtype, rng):
    return normals(rng, (3, 50), any_dtype), normals(rng, 9, any_dtype)


@pytest.mark.parametrize("max_norm", [0.0, 0.5, math.inf])
@pytest.mark.parametrize("container", CONTAINERS)
def test_containers_come_back_as_the_same_type(container, max_norm, pair):
    grads = CONTAINERS[container](*pair)
    with unchanged(*pair):
        clipped, norm = gradclip.clip_by_global_norm(grads, max_norm)
    assert_same_structure(clipped, grads)
    assert norm == gradclip.global_norm(grads)
    expected = [array.copy() for array in pair]
    gradclip.clip_by_global_norm_(expected, max_norm)
    assert all(map(same_bits, leaves(clipped), expected))


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_input_keeps_its_arrays_and_containers(container, pair):
    grads = CONTAINERS[container](*pair)
    clipped, _ = gradclip.clip_by_global_norm(grads, 0.5)
    assert clipped is not grads
    assert all(leaf is array for leaf, array in zip(leaves(grads), pair, strict=True))


def test_a_defaultdict_keeps_its_factory(pair):
    grads = collections.defaultdict(list, {"a": pair[0]})
    clipped, _ = gradclip.clip_by_global_norm(grads, 0.5)
    assert clipped.default_factory is list


def test_an_ordered_dict_keeps_its_order(pair):
    grads = collections.OrderedDict([("z", pair[0]), ("a", pair[1])])
    grads.move_to_end("z")
    clipped, _ = gradclip.clip_by_global_norm(grads, 0.5)
    assert list(clipped) == ["a", "z"]


@pytest.mark.parametrize("max_norm", [0.0, 0.5, math.inf])
def test_arrays_are_fresh_even_when_nothing_is_clipped(max_norm, pair):
    clipped, _ = gradclip.clip_by_global_norm([*pair, pair[0]], max_norm)
    for i, new in enumerate(clipped):
        assert new.flags.writeable
        assert new.flags.aligned
        others = [*pair, *clipped[:i]]
        assert not any(np.shares_memory(new, other) for other in others)


def test_a_lone_array_comes_back_as_an_array(any_dtype):
    array = np.full(4, 2.0, any_dtype)
    clipped, norm = gradclip.clip_by_global_norm(array, 2.0)
    assert type(clipped) is np.ndarray
    assert norm == 4.0
    oracle.assert_norm_is_bounded([clipped], 2.0)
    oracle.assert_norm_is_tight([clipped], 2.0)


def test_the_result_is_a_tuple_of_clipped_and_norm():
    result = gradclip.clip_by_global_norm([np.ones(4)], 1.0)
    assert isinstance(result, tuple)
    assert len(result) == 2
    assert type(result[1]) is float


def test_zero_dimensional_and_empty_arrays_stay_arrays(any_dtype):
    grads = [np.array(3, any_dtype), np.empty((2, 0), any_dtype), np.array(4, any_dtype)]
    clipped, norm = gradclip.clip_by_global_norm(grads, 1.0)
    assert norm == 5.0
    assert_same_structure(clipped, grads)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layout_is_kept_as_numpy_keeps_it(layout, any_dtype):
    view = LAYOUTS[layout](np.zeros(BUFFER_SIZE, np.uint8), any_dtype)
    view[...] = 1.0
    for max_norm in (0.5, math.inf):
        clipped, _ = gradclip.clip_by_global_norm(view, max_norm)
        like = np.empty_like(view, order="K")
        assert clipped.strides == like.strides
        assert clipped.flags.c_contiguous == like.flags.c_contiguous
        assert clipped.flags.f_contiguous == like.flags.f_contiguous


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_matrix_stays_a_matrix(any_dtype):
    matrix = np.matrix([[3, 4]], any_dtype)
    for max_norm in (1.0, 9.0):
        clipped, _ = gradclip.clip_by_global_norm([matrix], max_norm)
        assert type(clipped[0]) is np.matrix
        assert clipped[0].shape == (1, 2)


def test_an_ndarray_subclass_is_kept(pair):
    class Gradient(np.ndarray):
        pass

    clipped, _ = gradclip.clip_by_global_norm({"w": pair[0].view(Gradient)}, 0.5)
    assert type(clipped["w"]) is Gradient


def test_no_arrays():
    assert gradclip.clip_by_global_norm([], 1.0) == ([], 0.0)
    assert gradclip.clip_by_global_norm({"a": None, "b": ()}, 1.0) == ({"a": None, "b": ()}, 0.0)


@pytest.mark.parametrize("nonfinite", ["skip", "zero", "propagate"])
def test_non_finite_policies_act_on_the_copies(nonfinite, any_dtype):
    grads = [np.array([1.0, math.inf], any_dtype), np.array([-0.0, 2.0], any_dtype)]
    with unchanged(*grads):
        clipped, norm = gradclip.clip_by_global_norm(grads, 1.0, nonfinite=nonfinite)
    assert norm == math.inf
    gradclip.clip_by_global_norm_(grads, 1.0, nonfinite=nonfinite)
    assert not any(np.shares_memory(*both) for both in zip(clipped, grads, strict=True))
    for new, old in zip(clipped, grads, strict=True):
        np.testing.assert_array_equal(reals(new), reals(old))


def test_overlapping_and_broadcast_arrays_are_fine():
    array = np.full(4, 2.0)
    broadcast = np.broadcast_to(np.float64(2.0), (2, 6))
    clipped, norm = gradclip.clip_by_global_norm([array, array[1:], broadcast], 1.0)
    oracle.assert_norm_is_right(norm, array, array[1:], broadcast)
    oracle.assert_norm_is_bounded(clipped, 1.0)
    oracle.assert_norm_is_tight(clipped, 1.0)
    assert all(new.flags.writeable for new in clipped)
