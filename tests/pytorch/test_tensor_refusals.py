"""Weights are only read, and what can't be taken is refused by a line that names it."""

import re
import warnings

import numpy as np
import pytest
from buffers import same_bits
from torch_cases import HAS_EXCHANGE_API

import gradclip

torch = pytest.importorskip("torch")

from torch._subclasses import FakeTensorMode  # noqa: E402


def test_weights_are_read(read):
    weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    assert same_bits(read([weight]), read([weight.detach().numpy()]))
    assert same_bits(read([weight * 2]), read([2 * weight.detach().numpy()]))


# Cases that differ in torch's releases without the exchange API, which are asked by __dlpack__.
DIFFERENT_IN_OLDER_TORCH = {
    "uninitialised": "its __dlpack_device__ raises first, with torch's words",
    "escaped from functorch": "its __dlpack__ shows the memory inside, so that it can be read",
    "float8_e4m3fn": "its __dlpack__ raises first, without the dtype's name",
    "float8_e5m2": "its __dlpack__ raises first, without the dtype's name",
}


def each(kinds):
    """Return parameters; those that differ in an older torch are skipped there."""

    def marks(kind):
        reason = f"older torch: {DIFFERENT_IN_OLDER_TORCH.get(kind)}"
        different = kind in DIFFERENT_IN_OLDER_TORCH and not HAS_EXCHANGE_API
        return pytest.mark.skipif(different, reason=reason)

    return [pytest.param(kind, marks=marks(kind)) for kind in kinds]


REQUIRING = {
    "parameter": lambda: torch.nn.Parameter(torch.ones(3)),
    "leaf": lambda: torch.ones(3, requires_grad=True),
    "result": lambda: torch.ones(3, requires_grad=True) * 2,
    "view": lambda: torch.nn.Parameter(torch.ones(3, 2))[:, 0],
    "uninitialised": lambda: torch.nn.UninitializedParameter(),
}


@pytest.mark.parametrize("kind", each(REQUIRING))
def test_what_requires_grad_is_not_written(in_place_call, kind):
    bad, good = REQUIRING[kind](), torch.ones(3)
    refusal = pytest.raises(
        TypeError, match=r"^grads\['a'\]\[1\] requires grad.*\.grad\b.*gradclip\.torch\."
    )
    with refusal:
        in_place_call({"a": [good, bad]})
    with torch.no_grad(), refusal:
        in_place_call({"a": [good, bad]})
    assert good.tolist() == [1.0] * 3
    assert [good._version, bad._version] == [0, 0]


class Wrapper(torch.Tensor):
    """A tensor without memory of its own, as many libraries make them."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        raise RuntimeError("does not dispatch")


def fake():
    with FakeTensorMode():
        return torch.ones(5)


def freed():
    tensor = torch.ones(5)
    tensor.untyped_storage().resize_(0)
    return tensor


def quantised():
    return torch.quantize_per_tensor(torch.ones(5), 0.1, 0, torch.qint8)


def escaped():
    """A wrapper of functorch's that is used after its transform has ended."""
    wrappers = []
    torch.func.grad(lambda x: wrappers.append(x) or x.sum())(torch.ones(5))
    return wrappers[0]


REFUSED = {
    "sparse": lambda: torch.ones(5).to_sparse(),
    "csr": lambda: torch.ones(5, 5).to_sparse_csr(),
    "csc": lambda: torch.ones(5, 5).to_sparse_csc(),
    "bsr": lambda: torch.ones(4, 4).to_sparse_bsr((2, 2)),
    "quantised": quantised,
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "jagged": lambda: torch.nested.nested_tensor(
        [torch.ones(2), torch.ones(3)], layout=torch.jagged
    ),
    "fake": fake,
    "freed": freed,
    "zero tensor": lambda: torch._efficientzerotensor((5,)),
    "wrapper": lambda: Wrapper(torch.ones(5)),
    "escaped from functorch": escaped,
    "int64": lambda: torch.ones(5, dtype=torch.int64),
    "uint8": lambda: torch.ones(5, dtype=torch.uint8),
    "uint16": lambda: torch.ones(5).to(torch.uint16),
    "bool": lambda: torch.ones(5, dtype=torch.bool),
    "complex32": lambda: torch.zeros(4, dtype=torch.float16).view(torch.complex32),
    "float8_e4m3fn": lambda: torch.ones(5).to(torch.float8_e4m3fn),
    "float8_e5m2": lambda: torch.ones(5).to(torch.float8_e5m2),
}


DTYPE_NAMED = ["int64", "uint8", "uint16", "bool", "complex32", "float8_e4m3fn", "float8_e5m2"]


def assert_refused(call, bad, error, *words):
    good = torch.full((3,), 2.0)
    with pytest.raises(error) as raised:
        call({"a": [good, bad]})
    assert type(raised.value) is error
    message = str(raised.value)
    assert message.startswith("grads['a'][1]")
    assert "\n" not in message
    for word in words:
        assert word in message
    for word in ("Exception raised from", "frame #", "C++ CapturedTraceback"):
        assert word not in message
    assert good.tolist() == [2.0] * 3
    assert good._version == 0


@pytest.mark.parametrize("kind", each(REFUSED))
def test_tensors_that_can_not_be_taken(call, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about what is in beta or deprecated
        bad = REFUSED[kind]()
        assert_refused(call, bad, TypeError, *([f"torch.{kind}"] if kind in DTYPE_NAMED else []))


def test_mkldnn_tensors(call):
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    assert_refused(call, torch.ones(5).to_mkldnn(), TypeError)


def test_tensors_on_other_devices(call):
    assert_refused(call, torch.ones(5, device="meta"), ValueError, "device meta", "CPU")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_on_a_gpu(call):
    assert_refused(call, torch.ones(5, device="cuda"), ValueError, "device cuda:0", "CPU")


TRANSFORMS = {
    "vmap": lambda function: torch.vmap(function)(torch.ones(3, 5)),
    "grad": lambda function: torch.func.grad(lambda x: function(x).sum())(torch.ones(5)),
    "jvp": lambda function: torch.func.jvp(function, (torch.ones(5),), (torch.ones(5),)),
    "functionalize": lambda function: torch.func.functionalize(function)(torch.ones(5)),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_tensors_that_functorch_wraps(call, transform):
    refused = []

    def function(x):
        try:
            call([np.ones(3), x])
        except TypeError as error:
            refused.append(str(error))
        return x * 1

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transform(function)
    assert len(refused) == 1
    assert re.match(r"grads\[1\](, a Tensor, | requires grad)", refused[0])
    assert "\n" not in refused[0]


def test_functions_that_return_arrays_make_none_of_tensors():
    tensor = torch.tensor([3.0, 4.0])
    for bad in (tensor, torch.nn.Parameter(tensor.clone()), tensor.to_sparse()):
        with pytest.raises(TypeError, match=r"grads\[1\] is a \w+, .*NumPy arrays.*in place"):
            gradclip.clip_by_global_norm([np.ones(3), bad], 1.0)
    assert tensor.tolist() == [3.0, 4.0]
