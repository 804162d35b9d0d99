"""Gradients that are left to torch: its own results and errors, and one call counted."""

import warnings

import pytest
from torch_cases import OURS, TORCHS, handing_over, parameter
from torch_outcomes import assert_torchs

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of prototypes in torch

CALLS = {
    "clip_grad_norm_": lambda module, w: module.clip_grad_norm_(w, 1.0),
    "clip_grad_norm_, by a loop": lambda module, w: module.clip_grad_norm_(w, 1.0, foreach=False),
    "get_total_norm": lambda module, w: module.get_total_norm([x.grad for x in w]),
    "clip_grads_with_norm_": lambda module, w: module.clip_grads_with_norm_(
        w, 1.0, torch.tensor(5.0)
    ),
    "clip_grad_value_": lambda module, w: module.clip_grad_value_(w, 0.5),
}


class Subclass(torch.Tensor):
    pass


def of_grads(*grads):
    weights = [torch.nn.Parameter(torch.empty_like(g), g.is_floating_point()) for g in grads]
    for weight, grad in zip(weights, grads, strict=True):
        weight.grad = grad
    return weights


def sparse():
    weight = torch.nn.Parameter(torch.zeros(4))
    weight.grad = torch.tensor([3.0, 0.0, 4.0, 0.0]).to_sparse()
    return [weight]


def complex_half():
    weight = torch.nn.Parameter(torch.zeros(2, dtype=torch.complex32))
    weight.grad = torch.tensor([1 + 2j, 3j]).to(torch.complex32)
    return [weight]


def immutable_zeros():
    weight = torch.nn.Parameter(torch.zeros(4))
    weight.grad = torch._efficientzerotensor((4,))
    return [weight]


def shared(*pieces):
    buffer = torch.arange(1.0, 9.0)
    return [parameter(buffer[piece]) for piece in pieces]


def twice():
    weight = parameter(torch.tensor([3.0, 4.0]))
    return [weight, weight]


GRADS = {
    "sparse": sparse,
    "meta": lambda: of_grads(torch.ones(3, device="meta")),
    "subclass": lambda: of_grads(torch.tensor([3.0, 4.0]).as_subclass(Subclass)),
    "one subclass": lambda: of_grads(torch.ones(2), torch.ones(2).as_subclass(Subclass)),
    "integers": lambda: of_grads(torch.tensor([3, 4])),
    "bools": lambda: of_grads(torch.tensor([True, False])),
    "float8": lambda: of_grads(torch.ones(4).to(torch.float8_e4m3fn)),
    "complex32": complex_half,
    "quantised": lambda: of_grads(torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.quint8)),
    "immutable zeros": immutable_zeros,
}
SHARING = {  # may be read, but not written
    "twice": twice,
    "overlapping": lambda: shared(slice(0, 5), slice(4, 8)),
    "the same memory": lambda: shared(slice(0, 8), slice(0, 8)),
    "expanded": lambda: [parameter(torch.ones(1).expand(4))],
    "as_strided": lambda: [parameter(torch.arange(6.0).as_strided((3, 3), (1, 1)))],
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("make", GRADS.values(), ids=GRADS)
def test_gradients_that_are_no_plain_cpu_tensors(make, call):
    assert_torchs(call, make)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("make", SHARING.values(), ids=SHARING)
def test_gradients_that_share_memory(make, call):
    if call is CALLS["get_total_norm"]:
        assert_torchs(call, make, count=0)
    else:
        assert_torchs(call, make)


def test_a_dispatch_mode_sees_torchs_operations():
    heard = []

    class Listening(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, kinds, args=(), kwargs=None):
            heard.append(str(function))
            return function(*args, **(kwargs or {}))

    for call in CALLS.values():
        heards = []
        for module, count in ((TORCHS, 0), (OURS, 1)):
            heard.clear()
            with handing_over(count), Listening():
                call(module, [parameter(torch.tensor([3.0, 4.0]))])
            heards.append(heard[:])
        assert heards[0] == heards[1] != []


def test_fake_tensors_stay_fake():
    fake = pytest.importorskip("torch._subclasses.fake_tensor")
    with fake.FakeTensorMode():
        weights = [parameter(torch.ones(3))]
        with handing_over(1):
            assert type(OURS.clip_grad_norm_(weights, 1.0)) is fake.FakeTensor
    with handing_over(1):  # outside of the mode, too
        assert type(OURS.clip_grad_norm_(weights, 1.0)) is fake.FakeTensor


TRANSFORMS = {
    "grad": lambda f: torch.func.grad(f)(torch.tensor([3.0, 4.0])),
    "vmap": lambda f: torch.vmap(f)(torch.tensor([[3.0, 4.0], [0.0, 1.0]])),
    "functionalize": lambda f: torch.func.functionalize(f)(torch.tensor([3.0, 4.0])),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_tensors_that_are_wrapped_by_torch_func(transform):
    def call(module, weights):
        return transform(lambda x: (x * x).sum() + module.get_total_norm([x], foreach=False))

    assert_torchs(call, list)


def test_nested_tensors():
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    assert_torchs(lambda m, w: m.get_total_norm([nested]), list)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit, in torch
def test_a_total_norm_that_is_wrapped_by_torch_func():
    def call(module, weights):
        def written(total_norm):
            weight = parameter(torch.tensor([3.0, 4.0]))
            module.clip_grads_with_norm_([weight], 1.0, total_norm)
            return weight.grad

        return torch.func.jvp(written, (torch.tensor(5.0),), (torch.tensor(1.0),))[1]

    assert_torchs(call, list)


@pytest.mark.parametrize("name", CALLS)
def test_one_gradient_that_is_not_gradclips_leaves_the_whole_list(name):
    def make():
        return [parameter(torch.tensor([3.0, 4.0])), *GRADS["subclass"]()]

    assert_torchs(CALLS[name], make)


def test_a_traced_norm_is_no_constant():
    example = torch.tensor([3.0, 4.0])
    with handing_over(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(lambda t: OURS.get_total_norm([t]), (example,), check_trace=False)
    assert traced(2 * example) == 10.0


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # of torch's own decompositions
def test_tangents_of_forward_mode_differentiation_are_scaled_as_well():
    forward = torch.autograd.forward_ad
    with forward.dual_level(), handing_over(1):
        weight = torch.nn.Parameter(torch.zeros(2))
        weight.grad = forward.make_dual(torch.tensor([3.0, 4.0]), torch.ones(2))
        OURS.clip_grads_with_norm_([weight], 1.0, torch.tensor(5.0))
        tangent = forward.unpack_dual(weight.grad).tangent
        torch.testing.assert_close(tangent, torch.tensor([0.2, 0.2]))
