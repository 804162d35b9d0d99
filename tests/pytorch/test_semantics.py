"""The small print: arguments, iterables, warnings and results, as torch has them."""

import inspect
import types
import warnings

import numpy as np
import pytest
from torch_cases import (
    DTYPES,
    HAS_EXCHANGE_API,
    OURS,
    TORCHS,
    handing_over,
    parameters,
    same_tensor,
)

torch = pytest.importorskip("torch")

NAMES = ["clip_grad_norm_", "get_total_norm", "clip_grads_with_norm_", "clip_grad_value_"]


@pytest.fixture(autouse=True)
def nothing_is_left_to_torch():
    with handing_over(0):
        yield


def weights():
    return parameters([torch.tensor([3.0]), None, torch.tensor([[4.0, 12.0]])])


def clipped(call, module):
    """Return what a call gives and makes of the gradients 3 and (4, 12)."""
    given = weights()
    result = call(module, given)
    return result, [w.grad for w in given if w.grad is not None]


def assert_same(call):
    ours, torchs = clipped(call, OURS), clipped(call, TORCHS)
    if torchs[0] is None:
        assert ours[0] is None
    else:
        torch.testing.assert_close(ours[0], torchs[0], rtol=3e-7, atol=0)
    torch.testing.assert_close(ours[1], torchs[1], rtol=6e-7, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_signatures_are_torchs(name):
    def parts(module):
        parameters = inspect.signature(getattr(module, name)).parameters.values()
        return [(p.name, p.kind, p.default) for p in parameters]

    assert parts(OURS) == parts(TORCHS)


@pytest.mark.parametrize(
    "call",
    [
        lambda module, w: module.clip_grad_norm_(w, 2.0, 1.0, False, None),
        lambda module, w: module.clip_grads_with_norm_(w, 2.0, torch.tensor(13.0), True),
        lambda module, w: module.clip_grad_value_(w, 3.5, False),
        lambda module, w: module.get_total_norm([x.grad for x in w if x.grad is not None], 1, True),
        lambda module, w: module.clip_grad_norm_(
            parameters=w, max_norm=2, foreach=False, error_if_nonfinite=1, norm_type="inf"
        ),
        lambda module, w: module.clip_grad_norm_(w[2], 2.0),
        lambda module, w: module.clip_grad_value_(w[2], 2.0),
        lambda module, w: module.clip_grads_with_norm_(w[2], 2.0, torch.tensor(13.0)),
        lambda module, w: module.get_total_norm(w[2].grad),
        lambda module, w: module.get_total_norm(w[2]),
    ],
)
def test_arguments_mean_what_they_mean_to_torch(call):
    assert_same(call)


ITERABLES = [
    list,
    tuple,
    iter,
    lambda w: (x for x in w),
    lambda w: dict(enumerate(w)).values(),
    lambda w: torch.nn.ParameterList(w),
    lambda w: torch.nn.ParameterList(w).parameters(),
    lambda w: dict.fromkeys(w).keys(),
    lambda w: map(torch.nn.Parameter.requires_grad_, w),
]


@pytest.mark.parametrize("of", ITERABLES)
def test_any_iterable_of_parameters_is_taken(of):
    assert_same(lambda module, w: module.clip_grad_norm_(of(w), 1.0))
    assert_same(lambda module, w: module.clip_grads_with_norm_(of(w), 1.0, torch.tensor(13.0)))
    assert_same(lambda module, w: module.clip_grad_value_(of(w), 3.5))
    assert_same(lambda module, w: module.get_total_norm(of([w[0].grad, w[2].grad])))


class WithProperty(torch.nn.Parameter):
    @property
    def grad(self):
        return self.shown


class WithFallback:
    def __getattr__(self, name):
        if name == "grad":
            return vars(self)["shown"]
        raise AttributeError(name)


class WithOwnLookup(torch.nn.Parameter):
    def __getattribute__(self, name):
        return super().__getattribute__("shown" if name == "grad" else name)


def shown(make, *values):
    weight = make()
    weight.shown = torch.tensor(values)
    return weight


def test_grad_is_whatever_python_finds_in_each_object(monkeypatch):
    def clip(module):
        plain = parameters([torch.tensor([1.0]), None, torch.tensor([2.0, 4.0])])
        odd = [
            shown(lambda: WithProperty(torch.zeros(1)), 1.0, 1.0),
            shown(WithFallback, 3.0),
            shown(lambda: WithOwnLookup(torch.zeros(1)), -2.0),
            types.SimpleNamespace(grad=torch.tensor([5.0])),
        ]
        mixed = [plain[0], odd[0], plain[1], odd[1], odd[2], plain[2], odd[3]]
        norm = module.clip_grad_norm_(mixed, 1.0)
        return [norm, *(weight.grad for weight in mixed if weight.grad is not None)]

    for ours, torchs in zip(clip(OURS), clip(TORCHS), strict=True):
        torch.testing.assert_close(ours, torchs, rtol=6e-7, atol=0)
    weight = shown(lambda: torch.nn.Parameter(torch.zeros(1)), 3.0, 4.0)
    weight.grad = torch.tensor([1.0])
    assert OURS.clip_grad_norm_([weight], 10.0) == 1.0
    monkeypatch.setattr(torch.Tensor, "grad", property(lambda tensor: tensor.shown), raising=False)
    assert OURS.clip_grad_norm_([weight], 10.0) == 5.0


@pytest.mark.parametrize(
    "max_norm",
    [2, 2.0, True, "2.0", " 1e0 ", np.float32(2.0), np.int64(2), torch.tensor(2), torch.ones(1)],
    ids=repr,
)
def test_whatever_float_takes_is_a_max_norm(max_norm):
    assert_same(lambda module, w: module.clip_grad_norm_(w, max_norm))
    assert_same(lambda module, w: module.clip_grads_with_norm_(w, max_norm, torch.tensor(13.0)))
    assert_same(lambda module, w: module.clip_grad_value_(w, max_norm))


@pytest.mark.parametrize(
    "norm_type", [True, "2", "inf", "Infinity", np.float16(3), torch.tensor(0.5)], ids=repr
)
def test_whatever_float_takes_is_a_norm_type(norm_type):
    assert_same(lambda module, w: module.clip_grad_norm_(w, 1.0, norm_type))


@pytest.mark.skipif(not HAS_EXCHANGE_API, reason="older torch: empty generators do not warn")
def test_an_empty_generator_warns_as_in_torch_where_it_is_passed():
    caught = []
    for module in (OURS, TORCHS):
        with pytest.warns(UserWarning, match="is an empty generator") as warned:
            assert same_tensor(module.clip_grad_norm_((x for x in []), 1.0), torch.tensor(0.0))
        assert len(warned) == 1
        caught.append(warned[0])
    assert str(caught[0].message) == str(caught[1].message)
    assert caught[0].category is caught[1].category
    assert caught[0].filename == __file__  # in torch only of late


@pytest.mark.parametrize("empty", [[], (), {}.values(), parameters([None, None])], ids=str)
def test_without_gradients_the_norm_is_0_and_nothing_warns(empty):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for module in (OURS, TORCHS):
            assert same_tensor(module.clip_grad_norm_(empty, 1.0), torch.tensor(0.0))
            assert module.clip_grads_with_norm_(empty, 1.0, torch.tensor(0.0)) is None
        assert same_tensor(OURS.get_total_norm([]), torch.tensor(0.0))
        assert OURS.clip_grad_value_(empty, 1.0) is None  # an internal error in torch


def test_the_norm_of_nothing_has_the_default_dtype_and_others_their_own():
    torch.set_default_dtype(torch.float64)
    try:
        for module in (OURS, TORCHS):
            assert module.clip_grad_norm_([], 1.0).dtype == torch.float64
            assert module.get_total_norm([]).dtype == torch.float64
            grads = [torch.ones(2, dtype=torch.float32)]
            assert module.get_total_norm(grads).dtype == torch.float32
            assert module.clip_grad_norm_(parameters(grads), 1.0).dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("first", DTYPES, ids=str)
@pytest.mark.parametrize("second", DTYPES, ids=str)
def test_dtypes_are_promoted_as_torch_does(first, second):
    grads = [torch.ones(2, dtype=d) for d in (first, second, first)]
    expected = TORCHS.get_total_norm(grads).dtype
    assert OURS.get_total_norm(grads).dtype == expected
    assert OURS.clip_grad_norm_(parameters(grads), 1.0).dtype == expected


def test_a_total_norm_that_requires_grad_does_not_warn():
    total_norm = torch.tensor(13.0, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(lambda module, w: module.clip_grads_with_norm_(w, 1.0, total_norm))
