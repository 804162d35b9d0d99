"""Arguments with which calls are left to torch: its own results and errors."""

import math

import pytest
from torch_cases import parameter
from torch_outcomes import assert_torchs

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of old and of new features


class Subclass(torch.Tensor):
    pass


@pytest.mark.parametrize("norm_type", [0, -1, -2.5, -math.inf, "-inf", math.nan, 0.0, -0.0])
@pytest.mark.parametrize("strict", [False, True])
def test_orders_that_are_no_norms(norm_type, strict):
    def make():
        return [parameter(torch.tensor([3.0, 4.0])), parameter(torch.tensor([0.0]))]

    assert_torchs(lambda m, w: m.clip_grad_norm_(w, 1.0, norm_type, strict), make)
    assert_torchs(lambda m, w: m.get_total_norm([x.grad for x in w], norm_type, strict), make)


@pytest.mark.parametrize("value", [-1.0, -1e-9, -math.inf, math.nan, "-2", None, "x", 1j, [1.0]])
def test_clip_values_that_make_no_sense(value):
    call = lambda m, w: m.clip_grad_value_(w, value)  # noqa: E731
    assert_torchs(call, lambda: [parameter(torch.tensor([3.0, -0.5, math.nan]))])


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex_numbers_have_no_largest_value(dtype):
    def make():
        return [parameter(torch.ones(2, dtype=dtype)), parameter(torch.tensor([2.0]))]

    assert_torchs(lambda m, w: m.clip_grad_value_(w, 0.5), make)


TOTAL_NORMS = {
    "float": 5.0,
    "None": None,
    "1-d": torch.tensor([5.0]),
    "2-d": torch.tensor([[5.0]]),
    "two": torch.tensor([5.0, 6.0]),
    "integer": torch.tensor(5),
    "complex": torch.tensor(5 + 1j),
    "float8": torch.tensor(5.0).to(torch.float8_e5m2),
    "subclass": torch.tensor(5.0).as_subclass(Subclass),
}
UNREADABLE = {
    "meta": lambda: torch.tensor(5.0, device="meta"),
    "sparse": lambda: torch.tensor(5.0).to_sparse(),
    "quantised": lambda: torch.quantize_per_tensor(torch.tensor(5.0), 0.1, 0, torch.quint8),
}


def clip_with(total_norm):
    call = lambda m, w: m.clip_grads_with_norm_(w, 1.0, total_norm)  # noqa: E731
    assert_torchs(call, lambda: [parameter(torch.tensor([3.0, 4.0]))])


@pytest.mark.parametrize("total_norm", TOTAL_NORMS.values(), ids=TOTAL_NORMS)
def test_total_norms_that_are_no_plain_scalars(total_norm):
    clip_with(total_norm)


@pytest.mark.parametrize("make", UNREADABLE.values(), ids=UNREADABLE)
def test_total_norms_that_have_no_memory_to_read(make):
    clip_with(make())


@pytest.mark.parametrize("max_norm", [None, "x", 1j, [1.0]], ids=repr)
@pytest.mark.parametrize("name", ["clip_grad_norm_", "clip_grads_with_norm_"])
def test_max_norms_that_are_no_numbers(name, max_norm):
    total = [torch.tensor(5.0)] if name == "clip_grads_with_norm_" else []
    call = lambda m, w: getattr(m, name)(w, max_norm, *total)  # noqa: E731
    assert_torchs(call, lambda: [parameter(torch.tensor([3.0, 4.0]))])


@pytest.mark.parametrize("bad", [[3.0], [None], ["text"], [torch.ones(2), None], [[1.0, 2.0]]])
def test_lists_that_hold_no_tensors(bad):
    assert_torchs(lambda m, w: m.get_total_norm(bad), list)
