"""Subclasses and modes whose code changes tensors, or fails: no crash, and nothing is written."""

import pytest

import gradclip

torch = pytest.importorskip("torch")

OURS = gradclip.torch
described = pytest.mark.skipif(
    not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"),
    reason="this torch's tensors are exported, and their memory lives on",
)


def subclass(**properties):
    made = {name: property(get) for name, get in properties.items()}
    return type("Sub", (torch.Tensor,), made)


def shrink(tensor):
    torch.Tensor.set_(tensor, torch.empty(1))


def test_one_whose_requires_grad_shrinks_it():
    def requires_grad(tensor):
        shrink(tensor)
        return False

    tensor = torch.ones(100_000).as_subclass(subclass(requires_grad=requires_grad))
    gradclip.scale_([tensor], 2.0)
    assert tensor.shape == (1,)  # asked before its memory is looked at, it is an array of one


@described
def test_one_whose_requires_grad_shrinks_another():
    first = torch.ones(100_000)

    def requires_grad(_):
        shrink(first)
        return False

    second = torch.ones(2).as_subclass(subclass(requires_grad=requires_grad))
    with pytest.raises(RuntimeError, match=r"changed the memory.* of grads\[0\]"):
        gradclip.scale_([first, second], 2.0)


@described
def test_one_whose_version_shrinks_it():
    def version(tensor):
        shrink(tensor)
        return 0

    tensor = torch.ones(100_000).as_subclass(subclass(_version=version))
    with pytest.raises(RuntimeError, match=r"changed the memory.* of grads\[0\]; nothing was"):
        gradclip.clip_by_global_norm_([tensor], 1.0)


@described
def test_a_function_mode_that_shrinks_what_is_asked_for_its_version():
    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function == torch.Tensor._version.__get__:
                shrink(*args)
            return function(*args, **(kwargs or {}))

    tensor = torch.ones(100_000)
    with (
        Mode(),
        pytest.raises(RuntimeError, match=r"changed the memory.* of grads\[0\]; nothing was"),
    ):
        gradclip.clip_by_global_norm_([tensor], 1.0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_errors_of_a_version_come_through(error):
    def version(_):
        raise error

    tensor = torch.ones(4).as_subclass(subclass(_version=version))
    with pytest.raises(error):
        gradclip.clip_by_global_norm_([tensor], 1.0)


def test_a_function_mode_sees_what_torch_does():
    seen = []

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            seen.append(function)
            return function(*args, **(kwargs or {}))

    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    before = OURS.handed_over()
    with Mode():
        assert OURS.clip_grad_norm_([weight], 1.0) == 5.0
    assert OURS.handed_over() == before + 1
    assert torch._foreach_norm in seen


def test_a_default_device_is_no_reason_to_leave_a_call_to_torch():
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    before = OURS.handed_over()
    with torch.device("meta"):
        norm = OURS.clip_grad_norm_([weight], 1.0)
    assert (norm, norm.device.type) == (5.0, "cpu")
    assert OURS.handed_over() == before


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="torch can't flush here")
def test_subnormal_values_are_clamped_while_they_are_flushed():
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    weight.grad = torch.tensor([2.0**-1050], dtype=torch.float64)
    torch.set_flush_denormal(True)
    try:
        OURS.clip_grad_value_([weight], 0.0)
    finally:
        torch.set_flush_denormal(False)
    assert weight.grad.view(torch.int64).item() == 0
