"""Where torch raises an error and gradclip gives the answer. When torch improves, a test here
fails: then its case goes."""

import math

import pytest
from torch_cases import HAS_EXCHANGE_API, OURS, TORCHS, handing_over, parameter

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def nothing_is_left_to_torch():
    with handing_over(0):
        yield


def raising(call, *args):
    with pytest.raises(RuntimeError) as caught:
        call(*args)
    return str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
def test_torch_has_no_largest_magnitude_where_a_tensor_is_empty(dtype):
    grads = [torch.tensor([3.0, -4.0], dtype=dtype), torch.zeros(0, dtype=dtype)]
    assert OURS.get_total_norm(grads, math.inf) == 4.0
    assert "does not have an identity" in raising(TORCHS.get_total_norm, grads, math.inf)


def test_torch_clips_no_list_without_gradients_by_value():
    assert OURS.clip_grad_value_([], 1.0) is None
    assert "nested_tensorlist" in raising(TORCHS.clip_grad_value_, [], 1.0)


CONJUGATES = pytest.mark.skipif(
    not HAS_EXCHANGE_API,
    reason="older torch: __dlpack__ exports no conjugate view, so it is torch's",
)


@pytest.mark.parametrize(
    "of",
    [
        pytest.param(lambda z: z.conj(), id="conj", marks=CONJUGATES),
        pytest.param(lambda z: z.conj().imag, id="neg"),
    ],
)
def test_torch_clips_no_lazily_conjugated_gradients(of):
    def grad():
        return of(torch.tensor([3 + 4j, -12j]))

    weight = parameter(grad())
    OURS.clip_grads_with_norm_([weight], 0.5, torch.tensor(1.0 - 1e-6, dtype=torch.float64))
    torch.testing.assert_close(weight.grad.resolve_conj(), (grad() * 0.5).resolve_conj())
    assert "fallback" in raising(TORCHS.clip_grad_norm_, [parameter(grad())], 1.0)


@pytest.mark.parametrize("value", [65_519.0, 1e6, 1e38])
def test_torch_takes_no_clip_value_that_the_dtype_does_not_hold(value):
    def weight():
        return parameter(torch.tensor([6e4, -math.inf, math.nan], dtype=torch.float16))

    ours = weight()
    OURS.clip_grad_value_([ours], value)
    largest = 65_504.0 if value < 65_520 else math.inf  # the value, rounded to float16
    expected = torch.tensor([6e4, -largest, math.nan], dtype=torch.float16)
    torch.testing.assert_close(ours.grad, expected, rtol=0, atol=0, equal_nan=True)
    assert "without overflow" in raising(TORCHS.clip_grad_value_, [weight()], value)
