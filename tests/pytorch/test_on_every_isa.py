"""The kernels that gradclip.torch alone calls clamp, and keep the bound, on each ISA."""

import itertools
from fractions import Fraction

import pytest
from buffers import same_bits
from torch_memory import array_of

import gradclip

torch = pytest.importorskip("torch")


def test_clamping_keeps_nans_and_zeros(isa):
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        values = [torch.nan, 3.0, -0.0, -torch.inf, 0.5, -torch.nan, 0.0] * 11
        grad = torch.tensor(values, dtype=dtype)
        high = torch.where(grad > 1, torch.ones_like(grad), grad)
        expected = torch.where(grad < -1, -torch.ones_like(grad), high)
        weight = torch.nn.Parameter(torch.zeros(77, dtype=dtype))
        weight.grad = grad
        gradclip.torch.clip_grad_value_([weight], 1.0)
        assert same_bits(array_of(weight.grad), array_of(expected))


def test_eps_takes_part_in_the_test(isa):
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.tensor([1.0])
    gradclip.torch.clip_grad_norm_([weight], 1.0)
    assert weight.grad.item() == pytest.approx(1 - 1e-6, abs=2e-7)


def test_a_float32_norm_may_have_been_rounded_down(isa):
    rounded_down = 0
    for a, b in itertools.combinations(range(1, 30), 2):
        weight = torch.nn.Parameter(torch.zeros(2))
        weight.grad = torch.tensor([a * 2.0**60, b * 2.0**60])  # the products by 3/4 are exact
        norm = gradclip.torch.get_total_norm([weight.grad])
        rounded_down += Fraction(norm.item()) ** 2 < (a**2 + b**2) * 2**120
        max_norm = norm.item() * 0.75 * (1 + 2**-35)
        gradclip.torch.clip_grads_with_norm_([weight], max_norm, norm)
        square = sum(Fraction(x) ** 2 for x in weight.grad.tolist())
        assert square <= Fraction(max_norm) ** 2
    assert rounded_down > 100
