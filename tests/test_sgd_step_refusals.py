"""After any error of sgd_step_ params, gradients and velocity are as they were."""

import math
import re

import numpy as np
import pytest
from buffers import owner, same_bits, unchanged

import gradclip


def full(value, *shape, dtype="f8"):
    return np.full(shape, value, dtype)


def lists():
    """Return parameters, gradients and velocity that fit each other, in three nestings."""
    return [
        {"enc": [full(value, 5), full(value, 3, 4)], "b": full(value, 2, dtype="f4"), "c": None}
        for value in (1.0, 2.0, 3.0)
    ]


def arrays_in(nesting):
    if isinstance(nesting, np.ndarray):
        return [nesting]
    if not isinstance(nesting, dict | list):
        return []
    inner = nesting.values() if isinstance(nesting, dict) else nesting
    return [array for item in inner for array in arrays_in(item)]


def assert_refused(error, words, params, grads, velocity=None, *, lr=0.5, momentum=0.5, **options):
    arrays = [array for nesting in (params, grads, velocity) for array in arrays_in(nesting)]
    with unchanged(*arrays), pytest.raises(error, match=words) as raised:
        gradclip.sgd_step_(params, grads, lr, momentum=momentum, velocity=velocity, **options)
    assert type(raised.value) is error
    return raised.value


def test_they_fit_before_they_are_spoilt():
    params, grads, velocity = lists()
    gradclip.sgd_step_(params, grads, 0.5, momentum=0.5, velocity=velocity)
    assert (params["b"] == 1 - 0.5 * 3.5).all()


WITHOUT = "has no partner"
NO_GRADIENT = "has no gradient"
NESTINGS = {
    "a gradient more": (1, lambda x: x | {"d": full(1.0, 2)}, WITHOUT, "grads['d']"),
    "a longer list": (
        1,
        lambda x: x | {"enc": [*x["enc"], full(1.0, 2)]},
        WITHOUT,
        "params['enc']",
    ),
    "a parameter more": (0, lambda x: x | {"d": full(1.0, 2)}, NO_GRADIENT, "params['d']"),
    "a gradient less": (1, lambda x: {"b": x["b"]}, NO_GRADIENT, "params['enc'][0]"),
    "a velocity more": (2, lambda x: x | {"d": full(1.0, 2)}, NO_GRADIENT, "velocity['d']"),
    "a parameter less": (0, lambda x: {"b": x["b"]}, WITHOUT, "params['enc'][0]"),
    "a velocity less": (2, lambda x: {"b": x["b"]}, WITHOUT, "velocity['enc'][0]"),
    "another key": (0, lambda x: {"enc": x["enc"], "B": x["b"]}, WITHOUT, "params['b']"),
    "another nesting": (2, lambda x: x | {"b": [x["b"]]}, WITHOUT, "velocity['b']"),
    "None for a parameter": (0, lambda x: x | {"b": None}, WITHOUT, "params['b']"),
    "None for a velocity": (2, lambda x: x | {"b": None}, WITHOUT, "velocity['b']"),
    "a gradient for None": (1, lambda x: x | {"c": full(1.0, 2)}, WITHOUT, "grads['c']"),
    "a lone array": (0, lambda x: x["b"], WITHOUT, "params['enc'][0]"),
}


@pytest.mark.parametrize(("which", "spoil", "says", "path"), NESTINGS.values(), ids=NESTINGS)
def test_nestings_that_differ(which, spoil, says, path):
    given = lists()
    given[which] = spoil(given[which])
    error = assert_refused(ValueError, says, *given)
    assert path in str(error)


@pytest.mark.parametrize("which", [0, 2])
@pytest.mark.parametrize("shape", [(4,), (5, 1), (1, 5), (), (0,), (6,)])
def test_shapes_that_differ(which, shape):
    given = lists()
    given[which]["enc"][0] = full(1.0, *shape)
    name = ("params", "grads", "velocity")[which]
    words = rf"^grads\['enc'\]\[0\] has shape \(5,\), but {name}\['enc'\]\[0\] has shape "
    error = assert_refused(ValueError, words, *given)
    assert str(error).endswith(str(shape))


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("leaf", [0, 1])
@pytest.mark.parametrize("dtype", ["f4", "f2", "c16"])
def test_dtypes_that_differ(which, leaf, dtype):
    given = lists()
    given[which]["enc"][leaf] = given[which]["enc"][leaf].astype(dtype)
    error = assert_refused(TypeError, "different dtypes", *given)
    assert f"grads['enc'][{leaf}]" in str(error)


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("bad", [full(1, 2, dtype=int), "x", 1.0], ids=repr)
def test_what_is_no_array_of_floats(which, bad):
    given = lists()
    given[which]["b"] = bad
    name = ("params", "grads", "velocity")[which]
    assert_refused(TypeError, rf"^{name}\['b'\]", *given)


SHARED = [(0, 1), (0, 2), (1, 2)]
NAMES = ("params", "grads", "velocity")


@pytest.mark.parametrize(("first", "second"), SHARED)
def test_memory_shared_across_the_lists(first, second):
    given = lists()
    given[second]["b"] = given[first]["b"]
    error = assert_refused(ValueError, "share memory", *given)
    assert all(f"{NAMES[i]}['b']" in str(error) for i in (first, second))
    given = lists()
    given[second]["enc"][0] = owner(given[first]["enc"][1]).ravel()[7:]
    error = assert_refused(ValueError, "share memory", *given)
    assert f"{NAMES[first]}['enc'][1]" in str(error)
    assert f"{NAMES[second]}['enc'][0]" in str(error)


@pytest.mark.parametrize("which", [0, 2])
def test_memory_shared_within_a_list_that_is_written(which):
    given = lists()
    given[which]["enc"][0] = given[which]["enc"][1].ravel()[3:8]
    error = assert_refused(ValueError, "share memory", *given)
    assert f"{NAMES[which]}['enc'][0]" in str(error)
    assert f"{NAMES[which]}['enc'][1]" in str(error)


def test_memory_shared_among_gradients_is_refused_too():
    given = lists()
    given[1]["enc"][0] = given[1]["enc"][1].ravel()[3:8]
    assert_refused(ValueError, r"grads\['enc'\]\[0\] and grads\['enc'\]\[1\] share", *given)


def test_arrays_that_only_interleave_are_stepped():
    memory = np.ones((9, 3))
    param, grad, speed = memory.T
    gradclip.sgd_step_(param, grad, 0.25, momentum=1.0, velocity=speed)
    assert memory.tolist() == [[0.5, 1.0, 2.0]] * 9


@pytest.mark.parametrize("which", [0, 2])
def test_memory_that_may_not_be_written(which):
    given = lists()
    given[which]["b"].flags.writeable = False
    assert_refused(ValueError, rf"^{NAMES[which]}\['b'\] is read-only", *given)
    given = lists()
    given[which]["b"] = np.broadcast_to(np.ones(1, "f4"), 2)
    assert_refused(ValueError, rf"^{NAMES[which]}\['b'\]", *given)


def test_gradients_may_be_read_only_and_of_one_number():
    params, grads, velocity = lists()
    grads["b"].flags.writeable = False
    grads["enc"][0] = np.broadcast_to(np.ones(1), 5)
    gradclip.sgd_step_(params, grads, 0.5, momentum=0.5, velocity=velocity)
    assert (params["enc"][0] == 1 - 0.5 * 2.5).all()


ARGUMENTS = {
    "momentum without velocity": ({"velocity": None}, ValueError, "momentum needs velocity"),
    "Nesterov without momentum": (
        {"nesterov": True, "momentum": 0.0},
        ValueError,
        "nesterov=True needs momentum",
    ),
    "lr below 0": ({"lr": -0.1}, ValueError, "^lr must be"),
    "lr NaN": ({"lr": math.nan}, ValueError, "^lr must be"),
    "lr inf": ({"lr": math.inf}, ValueError, "^lr must be"),
    "lr None": ({"lr": None}, TypeError, "^lr must be"),
    "momentum below 0": ({"momentum": -0.5}, ValueError, "^momentum must be"),
    "weight_decay below 0": ({"weight_decay": -0.5}, ValueError, "^weight_decay must be"),
    "weight_decay NaN": ({"weight_decay": math.nan}, ValueError, "^weight_decay must be"),
    "inv_scale 0": ({"inv_scale": 0.0}, ValueError, "^inv_scale must be"),
    "inv_scale inf": ({"inv_scale": math.inf}, ValueError, "^inv_scale must be"),
    "max_norm below 0": ({"max_norm": -1.0}, ValueError, "^max_norm must be"),
    "max_norm NaN": ({"max_norm": math.nan}, ValueError, "^max_norm must be"),
    "max_norm text": ({"max_norm": "1"}, TypeError, "^max_norm must be"),
    "nonfinite": ({"nonfinite": "drop"}, ValueError, "^nonfinite must be"),
    "lr past float32": ({"lr": 1e39}, ValueError, r"^lr=1e\+39 is too large for float32.*'b'"),
    "lr that rounds to inf": ({"lr": 2.0**128 - 2.0**103}, ValueError, "too large for float32"),
    "momentum past float32": ({"momentum": 1e39}, ValueError, r"^momentum=1e\+39 is too large"),
    "decay past float32": ({"weight_decay": 1e39}, ValueError, r"^weight_decay=1e\+39 is too l"),
    "inv_scale past float32": ({"inv_scale": 1e39}, ValueError, r"^inv_scale=1e\+39 is too large"),
}


@pytest.mark.parametrize(("options", "error", "words"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments_out_of_range(options, error, words):
    params, grads, velocity = lists()
    given = {"velocity": velocity} | options
    assert_refused(error, words, params, grads, given.pop("velocity"), **given)


def test_rates_past_float32_are_fine_for_float64():
    param = np.ones(2)
    gradclip.sgd_step_(param, np.full(2, 1e-39), 1e39)
    np.testing.assert_allclose(param, 0, atol=1e-15)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, StopIteration, SystemExit])
def test_errors_of_a_function_that_gives_the_threshold(error):
    def threshold(norm):
        raise error("mine")

    assert_refused(error, "mine", *lists(), max_norm=threshold)


@pytest.mark.parametrize(("answer", "error"), [(-1.0, ValueError), (math.nan, ValueError),
                                               ("x", TypeError), (None, TypeError)])  # fmt: skip
def test_answers_that_are_no_threshold(answer, error):
    assert_refused(error, "max_norm", *lists(), max_norm=lambda norm: answer)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_an_array_that_changes_while_the_threshold_is_asked_for(which):
    given = lists()
    bad = given[which]["enc"][1]

    def threshold(norm):
        bad.resize(11, refcheck=False)
        return 1.0

    words = rf"^the max_norm function changed .*{NAMES[which]}\['enc'\]\[1\]"
    rest = [array for nesting in given for array in arrays_in(nesting) if array is not bad]
    params, grads, velocity = given
    with unchanged(*rest), pytest.raises(RuntimeError, match=words):
        gradclip.sgd_step_(params, grads, 0.5, max_norm=threshold, momentum=0.5, velocity=velocity)
    assert len(set(bad.tolist())) == 1


class Key:
    """A key that looks like all others of its kind."""

    def __init__(self, acts=lambda: None):
        self.acts = acts

    def __repr__(self):
        self.acts()
        return "key"


def test_keys_that_look_alike_are_told_apart():
    a, b = Key(), Key()
    params, grads = {a: full(1.0, 3), b: full(1.0, 3)}, {a: full(1.0, 3), b: full(2.0, 3)}
    gradclip.sgd_step_(params, grads, 0.25)
    assert (params[a] == 0.75).all()
    assert (params[b] == 0.5).all()
    turned = {b: params[b], a: params[a]}
    assert_refused(ValueError, re.escape("two arrays are called"), turned, grads, momentum=0.0)
    turned = {b: params[b], a: params[a], Key(): full(1.0, 3)}
    assert_refused(ValueError, re.escape("two arrays are called"), turned, grads, momentum=0.0)
    one = {Key(): full(1.0, 3)}
    assert_refused(ValueError, re.escape("two arrays are called"), one, grads, momentum=0.0)


def test_keys_that_look_alike_beside_gradients_that_are_none():
    a, b, c = Key(), Key(), Key()
    params = {key: full(1.0, 3) for key in (b, a, c)}
    grads = {a: full(1.0, 3), b: None, c: None}
    assert_refused(ValueError, "two arrays are called", params, grads, momentum=0.0)


def test_a_key_that_changes_an_array_while_it_is_named():
    grads = {Key(): full(1.0, 4)}

    def act():
        grads[key].resize(3, refcheck=False)

    key = next(iter(grads))
    key.acts = act
    params = {Key(): full(1.0, 4)}
    words = r"^reading another argument changed .*grads\[key\]"
    with unchanged(*params.values()), pytest.raises(RuntimeError, match=words):
        gradclip.sgd_step_(params, grads, 0.25)


def test_equal_keys_that_are_different_objects():
    params, grads = (
        {name: full(v, 2) for name in ("".join(["a", "b"]), 10**9)} for v in (1.0, 2.0)
    )
    gradclip.sgd_step_(params, dict(reversed(grads.items())), 0.25)
    assert all(same_bits(array, full(0.5, 2)) for array in params.values())
