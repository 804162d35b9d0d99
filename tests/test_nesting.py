"""Any nesting of list, tuple and dict, their subclasses, and None."""

import collections

import numpy as np
import pytest
from buffers import same_bits, unchanged
from calls import ALL
from dtypes import ALL as DTYPES
from hypothesis import given
from hypothesis import strategies as st

import gradclip


class MyList(list):
    pass


class MyDict(dict):
    pass


def _named(items):
    return collections.namedtuple("Named", [f"f{i}" for i in range(len(items))])(*items)


LEAF = st.none() | st.builds(np.full, st.integers(0, 5), st.floats(-9, 9), st.sampled_from(DTYPES))
KEY = st.text("ab'\"\\é\n", max_size=3) | st.integers(-3, 3) | st.tuples(st.integers(0, 2))


def _containers(items):
    lists = st.lists(items, max_size=4)
    dicts = st.dictionaries(KEY, items, max_size=4)
    return st.one_of(
        lists,
        lists.map(tuple),
        lists.map(MyList),
        lists.map(_named),
        dicts,
        dicts.map(MyDict),
        dicts.map(collections.OrderedDict),
    )


NESTINGS = _containers(st.recursive(LEAF, _containers, max_leaves=12))


def leaves(grads):
    """Return the arrays of a nesting in traversal order."""
    if isinstance(grads, np.ndarray):
        return [grads]
    if isinstance(grads, dict):
        grads = grads.values()
    return [leaf for item in grads or () for leaf in leaves(item)]


def nested(value, depth, wrap=lambda item: [item]):
    for _ in range(depth):
        value = wrap(value)
    return value


@given(NESTINGS)
def test_any_nesting_is_read_like_the_flat_list(grads):
    flat = leaves(grads)
    assert gradclip.global_norm(grads) == gradclip.global_norm(flat)
    assert same_bits(gradclip.array_norms(grads), gradclip.array_norms(flat))


@given(NESTINGS)
def test_any_nesting_is_clipped_like_the_flat_list(grads):
    arrays = leaves(grads)
    copies = [array.copy() for array in arrays]
    norm = gradclip.clip_by_global_norm_(copies, 1.0)
    assert gradclip.clip_by_global_norm_(grads, 1.0) == norm
    assert all(map(same_bits, arrays, copies))
    gradclip.scale_(grads, 0.3)
    gradclip.scale_(copies, 0.3)
    assert all(map(same_bits, arrays, copies))


@given(NESTINGS)
def test_any_nesting_comes_back_from_the_functional_clip(grads):
    arrays = leaves(grads)
    with unchanged(*arrays):
        clipped, norm = gradclip.clip_by_global_norm(grads, 1.0)
    assert type(clipped) is type(grads)
    assert norm == gradclip.clip_by_global_norm_(arrays, 1.0)
    assert all(map(same_bits, leaves(clipped), arrays))


@given(NESTINGS)
def test_one_array_norm_per_array(grads):
    norms = gradclip.array_norms(grads)
    assert norms.tolist() == [gradclip.global_norm(array) for array in leaves(grads)]


def test_dicts_are_read_in_insertion_order():
    grads = {"z": np.full(1, 3.0), "a": np.full(1, 4.0)}
    assert gradclip.array_norms(grads).tolist() == [3.0, 4.0]
    ordered = collections.OrderedDict(grads)
    ordered.move_to_end("z")
    assert gradclip.array_norms(ordered).tolist() == [4.0, 3.0]


@pytest.mark.parametrize("call", ALL.values(), ids=ALL)
@pytest.mark.parametrize(
    "wrap",
    [lambda item: [item], lambda item: (item,), lambda item: {"k": item}],
    ids=["list", "tuple", "dict"],
)
class TestDepth:
    def test_100_levels_work(self, call, wrap):
        call(nested(np.ones(4), 100, wrap))

    def test_101_levels_are_refused(self, call, wrap):
        array = np.ones(4)
        with unchanged(array), pytest.raises(ValueError, match="100"):
            call([array, nested(np.ones(4), 100, wrap)])

    def test_a_hundred_thousand_levels_are_refused(self, call, wrap):
        with pytest.raises(ValueError, match="100"):
            call(nested(np.ones(4), 10**5, wrap))


@pytest.mark.parametrize("call", ALL.values(), ids=ALL)
class TestCycles:
    def test_a_list_in_itself_is_refused(self, call):
        array = np.ones(4)
        grads = [array]
        grads.append(grads)
        with unchanged(array), pytest.raises(ValueError, match="100"):
            call(grads)

    def test_a_dict_in_a_tuple_in_itself_is_refused(self, call):
        grads = {}
        grads["x"] = (grads,)
        with pytest.raises(ValueError, match="100"):
            call(grads)


def test_one_container_twice_is_not_a_cycle():
    shared = [np.ones(8)]
    assert gradclip.global_norm([shared, shared]) == 4.0
    with pytest.raises(ValueError, match=r"grads\[0\]\[0\].*grads\[1\]\[0\]"):
        gradclip.scale_([shared, shared], 2.0)
