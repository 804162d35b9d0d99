"""Autograd and inference mode are told of every write to a tensor, and of nothing else."""

import numpy as np
import pytest
from buffers import same_bits

import gradclip

torch = pytest.importorskip("torch")


def test_version_counters_tell_of_writes(write):
    tensors = [torch.ones(3), torch.ones(4, 4).T, torch.ones((), dtype=torch.float64)]
    write({"a": tensors, "b": np.ones(3)})
    assert [tensor._version for tensor in tensors] == [1, 1, 1]
    write(alone := torch.ones(4, 4).T)
    assert alone._version == 1


def test_version_counters_are_those_of_the_base(write):
    base = torch.ones(10)
    write([base[2:5]])
    assert base._version == 1
    write(base.detach())
    assert base._version == 2


def test_version_counters_do_not_move_if_nothing_is_written(keep, read):
    tensors = [torch.ones(3), torch.ones(4, 4).T]
    keep(tensors)
    read(tensors)
    gradclip.clip_by_global_norm_(tensors, lambda norm: norm)
    assert [tensor._version for tensor in tensors] == [0, 0]


@pytest.mark.parametrize(("nonfinite", "version"), [("skip", 0), ("zero", 1), ("propagate", 1)])
def test_version_counters_with_a_non_finite_norm(nonfinite, version):
    tensor = torch.tensor([1.0, torch.nan])
    gradclip.clip_by_global_norm_([tensor], 1.0, nonfinite=nonfinite)
    assert tensor._version == version


def test_version_counters_with_an_inv_scale():
    tensor = torch.ones(3)
    gradclip.clip_by_global_norm_([tensor], 100.0, inv_scale=0.5)
    assert tensor.tolist() == [0.5] * 3
    assert tensor._version == 1


def _raise(norm):
    raise ZeroDivisionError


ERRORS = {
    "dtype": (lambda good: [good, torch.ones(3, dtype=torch.int32)], 1.0, TypeError),
    "overlap": (lambda good: [good, good[1:]], 1.0, ValueError),
    "self-overlap": (lambda good: [good, torch.ones(1).expand(3)], 1.0, ValueError),
    "requires grad": (lambda good: [good, torch.nn.Parameter(torch.ones(3))], 1.0, TypeError),
    "argument": (lambda good: [good], -1.0, ValueError),
    "non-finite": (
        lambda good: [good, torch.tensor([torch.inf])],
        1.0,
        gradclip.NonFiniteNormError,
    ),
    "callable": (lambda good: [good], _raise, ZeroDivisionError),
    "callable's result": (lambda good: [good], lambda norm: "x", TypeError),
}


@pytest.mark.parametrize(("grads", "max_norm", "error"), ERRORS.values(), ids=ERRORS)
def test_neither_bytes_nor_version_counters_change_with_an_error(grads, max_norm, error):
    good = torch.full((5,), 2.0)
    with pytest.raises(error):
        gradclip.clip_by_global_norm_(grads(good), max_norm)
    assert good.tolist() == [2.0] * 5
    assert good._version == 0


def test_autograd_notices_that_a_saved_tensor_was_clipped(write):
    weight = torch.nn.Parameter(torch.ones(3))
    saved = torch.full((3,), 2.0)
    loss = (weight * saved).sum()
    write([saved])
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_autograd_does_not_mind_a_clip_that_wrote_nothing(keep):
    weight = torch.nn.Parameter(torch.ones(3))
    saved = torch.full((3,), 0.25)
    loss = (weight * saved).sum()
    keep([saved])
    loss.backward()
    assert weight.grad.tolist() == [0.25] * 3


def inference_tensor(*values):
    with torch.inference_mode():
        return torch.tensor(values)


def test_inference_tensors_are_not_written_outside(write):
    good, bad = torch.full((3,), 2.0), inference_tensor(3.0, 4.0)
    with pytest.raises(RuntimeError, match=r"inference tensor.*grads\['a'\]\[1\]"):
        write({"a": [good, bad]})
    assert bad.tolist() == [3.0, 4.0]
    assert good.tolist() == [2.0] * 3
    assert good._version == 0


def test_inference_tensors_are_read_and_kept_outside(read, keep):
    tensor = inference_tensor(0.25, 0.5)
    assert same_bits(read([tensor]), read([tensor.numpy()]))
    keep([tensor])
    assert tensor.tolist() == [0.25, 0.5]


def test_inference_tensors_are_written_inside(write):
    normal = torch.tensor([3.0, 4.0])
    expected = np.array([3.0, 4.0], "f4")
    with torch.inference_mode():
        tensor = torch.tensor([3.0, 4.0])
        write([tensor])
        write([normal])
    write([expected])
    assert tensor.tolist() == expected.tolist()
    assert normal.tolist() == expected.tolist()


def test_an_inference_tensor_is_named_by_a_key_that_python_code_shows():
    class Key:
        def __repr__(self):
            return "shown"

    tensor = inference_tensor(3.0, 4.0)
    with pytest.raises(RuntimeError, match=r"grads\[shown\] is one"):
        gradclip.clip_by_global_norm_({Key(): tensor}, 1.0)
    assert tensor.tolist() == [3.0, 4.0]
