"""Where torch gives wrong answers and gradclip right ones. When torch improves, a test here fails:
then its case goes."""

import math

import numpy as np
import pytest
from torch_cases import OURS, TORCHS, as_array, handing_over, parameter, real_parts

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def nothing_is_left_to_torch():
    with handing_over(0):
        yield


def large_first(n):
    """Return float32 numbers whose squares are 2^24 at first, and 1 then, which changes no sum of
    2^24 or more."""
    result = torch.ones(n)
    result[:64] = 2.0**12
    return result


M = 2**20

# name: why torch is wrong, the gradients, the order, the exact norm
NORMS = {
    "2^26 ones, order 1": ("float32 sums stop at 2^24", [torch.ones(64 * M)], 1, 2.0**26),
    "large ones first": (
        "what is added to large float32 sums is lost",
        [large_first(M + 64)],
        2,
        math.sqrt(64 * 2.0**24 + M),
    ),
    "large ones first, order 1": (
        "what is added to large float32 sums is lost",
        [torch.cat([torch.full((64,), 2.0**26), torch.ones(M)])],
        1,
        64 * 2.0**26 + M,
    ),
    "large squares": ("float32 squares overflow", [torch.tensor([3e20, 4e20])], 2, 5e20),
    "large numbers": ("float32 squares overflow", [torch.tensor([3e37, 4e37] * 4)], 2, 1e38),
    "in several": ("float32 squares overflow", [torch.tensor(3e20), torch.tensor(4e20)], 2, 5e20),
    "small squares": ("float32 squares underflow", [torch.tensor([3e-30, 4e-30])], 2, 5e-30),
    "small squares, many": ("float32 squares underflow", [torch.full((M,), 1e-30)], 2, 1.024e-27),
    "cubes": ("float32 cubes overflow", [torch.tensor([1e15] * 8)], 3, 2e15),
    "float64 squares": (
        "float64 squares overflow",
        [torch.tensor([3e200, 4e200], dtype=torch.float64)],
        2,
        5e200,
    ),
    "small float64 squares": (
        "float64 squares underflow",
        [torch.tensor([3e-200, 4e-200], dtype=torch.float64)],
        2,
        5e-200,
    ),
    "complex": ("float32 squares overflow", [torch.tensor([3e20, 4e20j])], 2, 5e20),
    "bfloat16": (
        "float32 squares overflow",
        [torch.tensor([2.0**70] * 4, dtype=torch.bfloat16)],
        2,
        2.0**71,
    ),
    "many bfloat16": (
        "a norm is rounded for each tensor, and once more",
        [torch.tensor([1.0, 1 / 16, 1 / 16], dtype=torch.bfloat16)] * 225,
        2,
        math.sqrt(225 * (1 + 2 / 256)),
    ),
}
NORM_CASES = pytest.mark.parametrize(
    ("why", "grads", "p", "norm"), NORMS.values(), ids=NORMS.keys()
)


@NORM_CASES
def test_norms(why, grads, p, norm):
    found, torchs = OURS.get_total_norm(grads, p), TORCHS.get_total_norm(grads, p)
    error = torch.finfo(found.dtype).eps / 2  # a bit more than that, since inputs are rounded
    assert found.item() == pytest.approx(norm, rel=2.01 * error, abs=0)
    if why.startswith("a norm is rounded"):
        assert found == torch.tensor(norm, dtype=found.dtype) != torchs
    else:
        wrong = abs(torchs.item() - norm) / norm
        assert not wrong < 1e-4, f"torch is right: not any more {why}"


def clip_alone(module, values, max_norm, **options):
    weight = parameter(values.clone())
    total_norm = module.clip_grad_norm_([weight], max_norm, **options)
    return total_norm, real_parts(as_array(weight.grad))


# name: why torch is wrong, the gradient, max_norm, what is right
CLIPS = {
    "float16, a large norm": (
        "a norm above 65504 is inf, and the gradients become 0",
        torch.full((4,), 60_000.0, dtype=torch.float16),
        1.0,
        [0.5] * 4,
    ),
    "float16, a sum": (
        "the norm of 16,384 times 1000 is inf in float16",
        torch.full((16_384,), 1000.0, dtype=torch.float16),
        128.0,
        [1.0] * 16_384,
    ),
    "float32, large squares": (
        "the norm is inf, and the gradients become 0",
        torch.tensor([3e20, 4e20]),
        1.0,
        [0.6, 0.8],
    ),
    "float32, large first": (
        "the norm is too small by far",
        large_first(M + 64),
        math.sqrt(64 * 2.0**24 + M) / 2,
        real_parts(large_first(M + 64).numpy()) / 2,
    ),
    "float64, large squares": (
        "the norm is inf, and the gradients become 0",
        torch.tensor([3e200, 4e200], dtype=torch.float64),
        1.0,
        [0.6, 0.8],
    ),
    "float32, a subnormal factor": (
        "the factor is 1e-40, of which few bits are left",
        torch.tensor([3e38, 0.0]),
        3e-2,
        [3e-2, 0.0],
    ),
}


@pytest.mark.parametrize(("why", "grad", "max_norm", "right"), CLIPS.values(), ids=CLIPS.keys())
def test_clips(why, grad, max_norm, right):
    written = clip_alone(OURS, grad, max_norm)[1]
    most = {torch.float16: 2.0**-11, torch.float32: 3e-7, torch.float64: 1e-15}[grad.dtype]
    np.testing.assert_allclose(written, right, rtol=most, atol=0)
    torchs = clip_alone(TORCHS, grad, max_norm)[1]
    assert not np.allclose(torchs, right, rtol=1e-4, atol=0), f"torch is right: not any more {why}"


def test_a_float16_norm_out_of_range_is_inf_but_no_error():
    grad = torch.full((4,), 60_000.0, dtype=torch.float16)
    total_norm, written = clip_alone(OURS, grad, 1.0, error_if_nonfinite=True)
    assert total_norm == math.inf
    np.testing.assert_array_equal(written, 0.5)
    with pytest.raises(RuntimeError, match="non-finite"):
        clip_alone(TORCHS, grad, 1.0, error_if_nonfinite=True)


def test_a_clip_to_the_norm_of_exactly_max_norm_is_not_above():
    grad = torch.tensor(np.random.default_rng(1).standard_normal(1000) * 1e3, dtype=torch.float32)

    def excess(module):
        written = clip_alone(module, grad, 1000.0)[1]
        return math.fsum(written**2) - 1000.0**2

    assert excess(OURS) <= 0 < max(excess(TORCHS), 1e-9)


@pytest.mark.parametrize("max_norm", [0.5, 1.0])
def test_complex_parts_keep_their_signs_and_their_numbers(max_norm):
    values = torch.tensor([complex(2, -0.0), complex(-0.0, -1)])
    signs = np.signbit(real_parts(as_array(values)))
    assert (np.signbit(clip_alone(OURS, values, max_norm)[1]) == signs).all()
    assert (np.signbit(clip_alone(TORCHS, values, max_norm)[1]) != signs).any()


def test_a_nan_part_of_a_complex_number_is_where_the_inf_was():
    written = clip_alone(OURS, torch.tensor([complex(math.inf, 1.0)]), 1.0)[1]
    np.testing.assert_array_equal(written, [math.nan, 0.0])
    torchs = clip_alone(TORCHS, torch.tensor([complex(math.inf, 1.0)]), 1.0)[1]
    assert np.isnan(torchs).all()
