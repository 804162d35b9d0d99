"""After a call or an error tensors have exactly the references they had, and no memory is left."""

import pytest
from exact_references import assert_nothing_is_left, failing
from torch_calls import TAKING

import gradclip

torch = pytest.importorskip("torch")

OURS = gradclip.torch
COUNT = 1_000
BAD = gradclip.NonFiniteNormError


def t(value=2.0, dtype=torch.float32):
    return torch.full((6,), value, dtype=dtype)


def everything():
    return {
        "plain": [t(), None, (t()[::2], t(dtype=torch.bfloat16))],
        "mixed": [t(dtype=torch.complex64), t().numpy(), torch.nn.Buffer(t())],
    }


def fail(norm):
    raise ZeroDivisionError


def clip(grads, max_norm=1e-3, **options):
    return gradclip.clip_by_global_norm_(grads, max_norm, **options)


def overlapping():
    tensor = t()
    return [tensor[:4], {"x": tensor[3:]}]


FAULTS = {
    "integers": (TypeError, lambda: [t(), {"x": t(1, torch.int64)}]),
    "weight": (TypeError, lambda: [t(), torch.nn.Parameter(t())]),
    "overlap": (ValueError, overlapping),
    "self-overlap": (ValueError, lambda: [t(), t()[:1].expand(4)]),
    "nan": (BAD, lambda: [t(), {"x": t(torch.nan)}]),
}
# torch looks up the names of the functions on its stack for these: 10 ms each.
SLOW_FAULTS = {
    "sparse": (TypeError, lambda: [t(), t().to_sparse()]),
    "meta": (ValueError, lambda: [t(), torch.ones(3, device="meta")]),
}
CASES = (
    {name: (call, everything) for name, call in TAKING.items()}
    | {name: (failing(error, clip), make) for name, (error, make) in FAULTS.items()}
    | {
        "callable": (lambda grads: clip(grads, lambda norm: 1e-3), everything),
        "callable fails": (
            failing(ZeroDivisionError, lambda grads: clip(grads, fail)),
            everything,
        ),
        "fresh": (
            failing(TypeError, lambda grads: gradclip.clip_by_global_norm(grads, 1.0)),
            everything,
        ),
    }
)


@pytest.mark.parametrize(("call", "make"), CASES.values(), ids=CASES)
def test_nothing_is_left(call, make, record_property):
    assert_nothing_is_left(call, make(), fail, torch.Tensor, BAD, count=COUNT)
    record_property("cases", COUNT)


@pytest.mark.parametrize(("error", "make"), SLOW_FAULTS.values(), ids=SLOW_FAULTS)
def test_nothing_is_left_of_errors_of_torch(error, make):
    assert_nothing_is_left(failing(error, clip), make(), torch.Tensor, error, count=30)


def weights(value=2.0, **options):
    made = [torch.nn.Parameter(t(), **options) for _ in range(3)]
    for weight in made[:2]:
        weight.grad = t(value)
    return made


NORM, OTHER = torch.tensor(3.0), torch.tensor(0.5)
OURS_ON_WEIGHTS = {
    "clip_grad_norm_": lambda ws: OURS.clip_grad_norm_(ws, 1e-3),
    "clip_grad_norm_, loose": lambda ws: OURS.clip_grad_norm_(ws, 1e9),
    "clip_grad_norm_, order inf": lambda ws: OURS.clip_grad_norm_(ws, 1.0, torch.inf),
    "get_total_norm": lambda ws: OURS.get_total_norm([w.grad for w in ws if w.grad is not None]),
    "clip_grads_with_norm_": lambda ws: OURS.clip_grads_with_norm_(ws, 1.0, NORM),
    "clip_grads_with_norm_, loose": lambda ws: OURS.clip_grads_with_norm_(ws, 1.0, OTHER),
    "clip_grad_value_": lambda ws: OURS.clip_grad_value_(ws, 0.5),
}


@pytest.mark.parametrize("call", OURS_ON_WEIGHTS.values(), ids=OURS_ON_WEIGHTS)
def test_nothing_is_left_of_weights(call, record_property):
    grads = weights()
    others = [weight.grad for weight in grads[:2]]
    assert_nothing_is_left(call, grads, *others, NORM, OTHER, torch.Tensor, count=COUNT)
    record_property("cases", COUNT)


def test_nothing_is_left_of_an_error_about_weights(record_property):
    grads = weights(torch.nan)
    call = failing(RuntimeError, lambda ws: OURS.clip_grad_norm_(ws, 1.0, error_if_nonfinite=True))
    assert_nothing_is_left(call, grads, grads[0].grad, RuntimeError, count=COUNT)
    record_property("cases", COUNT)
