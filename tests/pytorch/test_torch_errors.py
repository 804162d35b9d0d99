"""Norms that are inf or NaN, and errors: torch's own text, before anything has changed."""

import math
import types

import numpy as np
import pytest
from torch_cases import (
    DTYPES,
    OURS,
    REAL,
    TORCHS,
    as_array,
    clones,
    handing_over,
    parameters,
    same_tensor,
)

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def nothing_is_left_to_torch():
    with handing_over(0):
        yield


@pytest.mark.parametrize("special", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("max_norm", [1.0, 0.0, -1.0, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("norm_type", [2, 1, math.inf, 3])
def test_non_finite_gradients_become_what_torch_makes_of_them(dtype, max_norm, special, norm_type):
    grads = [torch.tensor([3.0, -4.0, 0.0], dtype=dtype), torch.ones(2, 2, dtype=dtype)]
    grads[1][0, 1] = special
    mine, theirs = parameters(clones(grads)), parameters(clones(grads))
    found = OURS.clip_grad_norm_(mine, max_norm, norm_type)
    assert same_tensor(found, TORCHS.clip_grad_norm_(theirs, max_norm, norm_type))
    for ours, torchs in zip(mine, theirs, strict=True):
        # An infinite complex number times 0 is NaN + NaN j in torch, part by part in gradclip.
        ours, torchs = (as_array(w.grad) for w in (ours, torchs))
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(torchs))
        if dtype in REAL:
            np.testing.assert_array_equal(ours.astype("f8"), torchs.astype("f8"))


@pytest.mark.parametrize("norm_type", [2, 2.0, "inf", 1, 0.5])
@pytest.mark.parametrize("special", [math.inf, -math.inf, math.nan])
def test_error_if_nonfinite_is_torchs_and_names_the_first(special, norm_type):
    messages = []
    for module in (OURS, TORCHS):
        given = parameters([torch.ones(2), None, torch.tensor([1.0, special, math.nan])])
        before = [(as_array(w.grad), w.grad._version) for w in (given[0], given[2])]
        with pytest.raises(RuntimeError) as caught:
            module.clip_grad_norm_(given, 1.0, norm_type, error_if_nonfinite=True)
        messages.append(str(caught.value))
        for w, (bits, version) in zip((given[0], given[2]), before, strict=True):
            assert as_array(w.grad).tobytes() == bits.tobytes()
            assert w.grad._version == version
        if module is OURS:
            notes = ["The first that holds an inf or NaN is parameters[2].grad."]
            assert caught.value.__notes__ == notes
            assert caught.value.__cause__ is None
            assert caught.value.__suppress_context__
    assert messages[0] == messages[1]


def test_get_total_norm_names_the_tensor():
    with pytest.raises(RuntimeError, match="of order inf for gradients") as caught:
        OURS.get_total_norm([torch.ones(1), torch.tensor(math.nan)], math.inf, True)
    assert caught.value.__notes__ == ["The first that holds an inf or NaN is tensors[1]."]


@pytest.mark.parametrize("name", ["clip_grad_norm_", "clip_grads_with_norm_", "clip_grad_value_"])
@pytest.mark.parametrize("bad", [3, "text", object(), None, types.SimpleNamespace()])
def test_what_has_no_grad_is_an_attribute_error_before_anything_changes(name, bad):
    messages = []
    for module in (OURS, TORCHS):
        given = parameters([torch.tensor([3.0]), None])
        total = [torch.tensor(3.0)] if name == "clip_grads_with_norm_" else []
        with pytest.raises(AttributeError) as caught:
            getattr(module, name)([*given, bad], 1.0, *total)
        messages.append(str(caught.value))
        assert given[0].grad == 3.0
    assert messages[0] == messages[1]


class Undecided:
    def __bool__(self):
        raise KeyError("undecided")


def test_an_error_of_error_if_nonfinite_comes_through():
    given = parameters([torch.tensor([3.0]), None])
    with pytest.raises(KeyError):
        OURS.clip_grad_norm_(given, 1.0, 2.0, Undecided())
    assert given[0].grad == 3.0
    with pytest.raises(KeyError):
        OURS.get_total_norm([torch.ones(2)], 2.0, Undecided())
