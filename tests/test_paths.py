"""A leaf's path in a message is written as Python would write it."""

import collections

import numpy as np
import pytest
from buffers import unchanged
from hypothesis import given
from hypothesis import strategies as st

import gradclip


def path_of_nan(grads):
    with pytest.raises(gradclip.NonFiniteNormError) as error:
        gradclip.clip_by_global_norm_(grads, 1.0)
    assert error.value.path in str(error.value)
    return error.value.path


@pytest.fixture
def nan():
    return np.array([np.nan])


def test_lone_array(nan):
    assert path_of_nan(nan) == "grads"


def test_lists_and_tuples(nan):
    assert path_of_nan([np.ones(2), None, nan]) == "grads[2]"
    assert path_of_nan((np.ones(2), [None, (nan,)])) == "grads[1][1][0]"
    assert path_of_nan([None] * 1000 + [nan]) == "grads[1000]"


def test_dicts(nan):
    assert path_of_nan({"dec": np.ones(2), "enc": [nan]}) == "grads['enc'][0]"
    assert path_of_nan({1: nan}) == "grads[1]"
    assert path_of_nan({("a", 1): {"it's": nan}}) == """grads[('a', 1)]["it's"]"""
    assert path_of_nan({"layer.0.weight\n": nan}) == r"grads['layer.0.weight\n']"
    assert path_of_nan({"é": {None: nan}}) == "grads['é'][None]"


def test_named_tuples(nan):
    grads = collections.namedtuple("Pair", "w b")(np.ones(2), nan)
    assert eval(path_of_nan(grads), {"grads": grads}) is nan


def test_the_path_has_the_position_among_all_items_none_included(nan):
    assert path_of_nan([None, {}, [], nan]) == "grads[3]"


KEYS = st.one_of(
    st.text("aé'\"\\\n\0[]", max_size=5),
    st.integers(),
    st.booleans(),
    st.none(),
    st.binary(max_size=3),
)


@given(st.lists(KEYS | st.sampled_from([list, tuple]), max_size=8))
def test_evaluating_the_path_gives_the_leaf(containers):
    nan = np.array([np.nan])
    grads = nan
    for container in containers:
        grads = container([np.ones(1), grads]) if callable(container) else {container: grads}
    assert eval(path_of_nan(grads), {"grads": grads}) is nan


def test_an_error_in_the_repr_of_a_key_writes_nothing(nan):
    class Key:
        def __repr__(self):
            raise RuntimeError("no repr")

    array = np.ones(3)
    with unchanged(array, nan), pytest.raises((gradclip.NonFiniteNormError, RuntimeError)):
        gradclip.clip_by_global_norm_([array, {Key(): nan}], 1.0)
