"""Clips by arrays, values, examples and parameters, sums and steps take torch's tensors."""

import math

import numpy as np
import pytest
from buffers import same_bits
from torch_cases import DTYPES, LAYOUTS
from torch_memory import array_of, bytes_of, normals

import gradclip

torch = pytest.importorskip("torch")


def full(value, *shape, dtype=torch.float32):
    return torch.full(shape, value, dtype=dtype)


def like(value, grads):
    """Return the same nesting, a dict or list of tensors or arrays, of one value."""
    if isinstance(grads, dict):
        return {key: like(value, item) for key, item in grads.items()}
    if isinstance(grads, list):
        return [like(value, item) for item in grads]
    if grads is None:
        return None
    make = torch.full_like if isinstance(grads, torch.Tensor) else np.full_like
    return make(grads, value)


def step(grads, **options):
    """Step parameters whose gradients are read; what is written is `grads` here."""
    return gradclip.sgd_step_(grads, like(1.0, grads), 0.25, **options)


def step_velocity(velocity):
    """Step parameters of ones; what is of interest is the velocity."""
    params, grads = like(1.0, velocity), like(1.0, velocity)
    return gradclip.sgd_step_(params, grads, 0.25, momentum=0.5, velocity=velocity)


# All with a batch axis first. What they write of tensors of numbers around 3.
WRITING = {
    "clip_by_norm_": lambda g: gradclip.clip_by_norm_(g, 1.0),
    "clip_by_norm_, axis": lambda g: gradclip.clip_by_norm_(g, 0.5, axis=0),
    "clip_by_value_": lambda g: gradclip.clip_by_value_(g, -0.5, 0.5),
    "adaptive_grad_clip_": lambda g: gradclip.adaptive_grad_clip_(g, like(0.5, g), 0.1),
    "clip_per_example_": lambda g: gradclip.clip_per_example_(g, 0.5),
    "clip_per_example_, skip": lambda g: gradclip.clip_per_example_(g, 0.5, nonfinite="skip"),
    "sgd_step_, params": step,
    "sgd_step_, velocity": step_velocity,
}
KEEPING = {
    "clip_by_norm_": lambda g: gradclip.clip_by_norm_(g, 1e4),
    "clip_by_norm_, axis": lambda g: gradclip.clip_by_norm_(g, 1e4, axis=0),
    "adaptive_grad_clip_": lambda g: gradclip.adaptive_grad_clip_(g, like(0.5, g), 1e4),
    "clip_per_example_": lambda g: gradclip.clip_per_example_(g, 1e4),
    "clip_per_example_sum": lambda g: gradclip.clip_per_example_sum(g, 0.5),
    "sgd_step_, grads": lambda g: gradclip.sgd_step_(like(1.0, g), g, 0.25),
    "adaptive_grad_clip_, params": lambda g: gradclip.adaptive_grad_clip_(like(9.0, g), g),
}
WEIGHTS = {name: call for name, call in WRITING.items() if name != "sgd_step_, params"}


@pytest.fixture(params=WRITING)
def write(request):
    return WRITING[request.param]


@pytest.fixture(params=KEEPING)
def keep(request):
    return KEEPING[request.param]


def takes(call, dtype):
    return not (dtype.is_complex and call is WRITING["clip_by_value_"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_writes_and_answers_are_those_for_arrays(layout, write, isa):
    for dtype in DTYPES:
        if takes(write, dtype):
            base, extra = LAYOUTS[layout](normals(dtype, 4, 6, 8, 10)), normals(dtype, 4, seed=3)
            same, same_extra = torch.empty_like(base).copy_(base), extra.clone()
            assert same.stride() == base.stride() or layout in ("every second", "columns")
            expected = write([array_of(same), array_of(same_extra)])
            found = write([base, extra])
            assert same_answer(found, expected)
            assert torch.equal(base, same)
            assert torch.equal(extra, same_extra)


def same_answer(found, expected):
    if isinstance(expected, list):
        return all(map(same_bits, found, expected))
    return type(found) is type(expected) and same_bits(found, expected)


def test_large_tensors_on_several_threads(write):
    tensors = [normals(torch.bfloat16, 64, 3000), normals(torch.float32, 700, 64).T]
    same = [t.clone() for t in tensors]
    assert same[1].stride() == tensors[1].stride()
    with gradclip.threads(3):
        found = write(tensors)
    with gradclip.threads(1):
        assert same_answer(found, write([array_of(t) for t in same]))
    assert bytes_of(*tensors) == bytes_of(*same)


def test_sums_of_tensors_are_tensors_and_of_arrays_arrays(torch_dtype):
    tensor, array = normals(torch_dtype, 5, 3, 2), np.ones((5, 2))
    expected, norms = gradclip.clip_per_example_sum([array_of(tensor), array], 2.0)
    grads = {"t": tensor, "n": [None, (array,)], "c": tensor.transpose(1, 2)}
    before = bytes_of(tensor)
    sums, _ = gradclip.clip_per_example_sum(grads, 2.0)
    assert bytes_of(tensor) == before
    assert type(sums["t"]) is torch.Tensor
    assert type(sums["n"][1][0]) is np.ndarray
    assert sums["t"].shape == (3, 2)
    assert sums["c"].shape == (2, 3)
    assert torch.equal(sums["c"].T, sums["t"])
    wide = torch.float64 if torch_dtype.is_complex else torch_dtype
    wide = wide if wide == torch.float64 else torch.float32
    of_sum = torch_dtype if torch_dtype.is_complex else wide
    assert sums["t"].dtype == of_sum
    assert not sums["t"].requires_grad
    (total, _), alone = gradclip.clip_per_example_sum([tensor, array], 2.0)
    assert same_bits(total.numpy(), expected[0])
    assert same_bits(alone, norms)


def test_sums_of_weights_are_plain_tensors():
    weight = torch.nn.Parameter(full(2.0, 3, 4))
    total, _ = gradclip.clip_per_example_sum(weight, 1e9)
    assert type(total) is torch.Tensor
    assert not total.requires_grad
    assert total.tolist() == [6.0] * 4


def test_version_counters_tell_of_writes(write):
    tensors = [full(3.0, 4), full(3.0, 4, 5), full(3.0, 5, 4).T]
    write({"a": tensors, "b": np.full((4, 2), 3.0)})
    assert [t._version for t in tensors] == [1, 1, 1]
    base = full(3.0, 4, 9)
    write(base[:, 2:5])
    assert base._version == 1


def test_version_counters_do_not_move_if_nothing_is_written(keep):
    tensors = [full(3.0, 4), full(3.0, 4, 5), full(3.0, 5, 4).T]
    before = bytes_of(*tensors)
    keep({"a": tensors, "b": np.full((4, 2), 3.0)})
    assert [t._version for t in tensors] == [0, 0, 0]
    assert bytes_of(*tensors) == before


def test_errors_leave_bytes_and_version_counters(write):
    for bad in (torch.ones(4, dtype=torch.int32), full(1.0, 1).expand(4), full(1.0, 4).to("meta")):
        good = full(3.0, 4, 5)
        with pytest.raises((TypeError, ValueError), match=r"^(grads|params|velocity)\['b'\]"):
            write({"a": good, "b": bad})
        assert good.tolist() == [[3.0] * 5] * 4
        assert good._version == 0
    shared = full(3.0, 4, 5)
    with pytest.raises(ValueError, match="share memory"):
        write({"a": shared, "b": shared[:, 2:]})
    assert shared._version == 0


def test_a_non_finite_norm_leaves_bytes_and_version_counters():
    def raised(call, **more):
        tensors = {"a": full(3.0, 4, 5), "b": full(3.0, 4)}
        tensors["b"][2] = math.nan
        version = tensors["b"]._version
        before = bytes_of(*tensors.values())
        with pytest.raises(gradclip.NonFiniteNormError):
            call(tensors, **more)
        assert bytes_of(*tensors.values()) == before
        assert (tensors["a"]._version, tensors["b"]._version) == (0, version)

    raised(WRITING["clip_by_norm_"])
    raised(WRITING["clip_by_norm_, axis"])
    raised(WRITING["adaptive_grad_clip_"])
    raised(WRITING["clip_per_example_"])
    raised(lambda grads: gradclip.sgd_step_(like(1.0, grads), grads, 0.1))


@pytest.mark.parametrize("call", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("kind", ["parameter", "leaf", "result"])
def test_weights_are_not_written(kind, call):
    leaf = full(3.0, 4, 5).requires_grad_()
    bad = {"parameter": torch.nn.Parameter(full(3.0, 4, 5)), "leaf": leaf, "result": leaf * 1}[kind]
    good = full(3.0, 4)
    given = {"a": [good.clone(), bad.detach().clone()]}
    call(given)  # fine
    given = {"a": [good, bad]}
    refused = pytest.raises(TypeError, match=r"^(grads|velocity)\['a'\]\[1\] requires grad")
    with refused, torch.no_grad():
        call(given)
    assert bad.tolist() == [[3.0] * 5] * 4
    assert [good._version, bad._version] == [0, 0]


def test_weights_are_stepped_and_told_to_autograd():
    weight = torch.nn.Parameter(full(3.0, 4))
    loss = (weight * weight).sum()
    gradclip.sgd_step_([weight], [full(2.0, 4)], 0.5)
    assert weight.tolist() == [2.0] * 4
    assert weight.requires_grad
    assert weight.is_leaf
    assert weight._version == 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_gradients_of_a_step_and_parameters_of_a_clip_may_be_weights():
    weight, param = torch.nn.Parameter(full(2.0, 4)), full(3.0, 4)
    gradclip.sgd_step_([param], [weight], 0.5)
    assert param.tolist() == [2.0] * 4
    grad = full(4.0, 4)
    assert gradclip.adaptive_grad_clip_([grad], [weight], 1.0) == 1
    assert grad.tolist() == pytest.approx([2.0] * 4)
    assert weight._version == 0


def inference(*shape):
    with torch.inference_mode():
        return torch.full(shape, 3.0)


def test_inference_tensors_are_not_written_outside(write):
    good, bad = full(3.0, 4, 5), inference(4, 5)
    with pytest.raises(
        RuntimeError, match=r"inference tensor.*(grads|params|velocity)\['a'\]\[1\]"
    ):
        write({"a": [good, bad]})
    assert bad.tolist() == good.tolist() == [[3.0] * 5] * 4
    assert good._version == 0


def test_inference_tensors_among_velocities_leave_parameters_alone():
    params, velocity = [full(3.0, 4)], [inference(4)]
    with pytest.raises(RuntimeError, match=r"inference tensor.*velocity\[0\]"):
        gradclip.sgd_step_(params, [full(3.0, 4)], 0.5, momentum=0.5, velocity=velocity)
    assert params[0].tolist() == velocity[0].tolist() == [3.0] * 4
    assert params[0]._version == 0


def test_inference_tensors_are_read_and_kept_outside(keep):
    tensor = inference(4, 5)
    keep([tensor])
    assert tensor.tolist() == [[3.0] * 5] * 4


def test_inference_tensors_are_written_inside(write):
    with torch.inference_mode():
        tensor, same = torch.full((4, 5), 3.0), np.full((4, 5), 3.0, "f4")
        write([tensor])
        write([same])
        assert tensor.tolist() == same.tolist() != [[3.0] * 5] * 4


def test_lists_may_mix_tensors_and_arrays():
    params = [torch.nn.Parameter(full(3.0, 4)), np.full(3, 3.0)]
    grads = [np.full(4, 2.0, "f4"), torch.full((3,), 2.0, dtype=torch.float64)]
    velocity = [full(0.0, 4), np.zeros(3)]
    gradclip.sgd_step_(params, grads, 0.5, momentum=0.5, velocity=velocity)
    assert params[0].tolist() == [2.0] * 4
    assert params[1].tolist() == [2.0] * 3
    shared = np.ones(4, "f4")
    with pytest.raises(ValueError, match=r"params\[0\] and grads\[0\] share memory"):
        gradclip.sgd_step_([torch.from_numpy(shared)], [shared], 0.5)


@pytest.mark.parametrize("call", [gradclip.clip_by_norm, gradclip.clip_by_value])
def test_calls_that_return_arrays_make_none_of_tensors(call):
    arguments = (1.0,) if call is gradclip.clip_by_norm else (-1.0, 1.0)
    with pytest.raises(TypeError, match=r"grads\[0\] is a Tensor, .*NumPy arrays.*in place"):
        call([full(3.0, 4)], *arguments)
