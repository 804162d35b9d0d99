"""gradclip's own functions with torch's tensors: as NumPy's arrays of the same memory, and as
torch's own in-place operations where autograd looks on."""

import gc
import itertools
import sys
import warnings
from fractions import Fraction

import numpy as np
import pytest
from buffers import same_bits
from calls import IN_PLACE, READING
from dtypes import BFLOAT16

import gradclip

torch = pytest.importorskip("torch")

from torch._subclasses import FakeTensorMode  # noqa: E402

READING = {name: call for name, call in READING.items() if name != "clip_by_global_norm"} | {
    "array_norms, order 1": lambda grads: gradclip.array_norms(grads, ord=1),
    "global_norm, order inf": lambda grads: gradclip.global_norm(grads, ord=np.inf),
    "array_norms, order 3": lambda grads: gradclip.array_norms(grads, ord=3),
}
TAKING = READING | IN_PLACE
WRITING = {name: call for name, call in IN_PLACE.items() if "loose" not in name}
KEEPING = {name: call for name, call in IN_PLACE.items() if "loose" in name}

DTYPES = [
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
]

# Views of a tensor of shape (4, 6, 8, 10).
LAYOUTS = {
    "contiguous": lambda t: t,
    "transposed": lambda t: t.transpose(0, 3),
    "permuted": lambda t: t.permute(2, 0, 3, 1),
    "every second": lambda t: t[..., ::2],
    "rows": lambda t: t[1:3],
    "narrow": lambda t: t.narrow(2, 3, 4),
    "one column": lambda t: t[..., 5],
    "diagonal": lambda t: t.diagonal(dim1=2, dim2=3),
    "extra axes": lambda t: t.unsqueeze(0).unsqueeze(3),
    "flat": lambda t: t.view(-1)[3:],
    "one element": lambda t: t[1, 2, 3, 4],
    "as_strided": lambda t: t.as_strided((7, 5), (3, 40), 11),
    "empty": lambda t: t[:, :0],
    "unfolded": lambda t: t.view(-1).unfold(0, 5, 5),
}


@pytest.fixture(params=DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
def torch_dtype(request):
    return request.param


@pytest.fixture(params=READING)
def read(request):
    return READING[request.param]


@pytest.fixture(params=WRITING)
def write(request):
    return WRITING[request.param]


@pytest.fixture(params=KEEPING)
def keep(request):
    return KEEPING[request.param]


@pytest.fixture(params=IN_PLACE)
def in_place_call(request):
    return IN_PLACE[request.param]


@pytest.fixture(params=TAKING)
def call(request):
    return TAKING[request.param]


def normals(dtype, *shape, seed=7):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype) * 3


def complex_normals(*shape, dtype=torch.complex64):
    generator = torch.Generator().manual_seed(8)
    return torch.randn(shape, dtype=dtype, generator=generator)


def array_of(tensor):
    """Return a tensor's memory as an array that shares it."""
    plain = tensor.detach()
    if plain.dtype == torch.bfloat16:
        return plain.view(torch.int16).numpy().view(BFLOAT16)
    return plain.numpy()


def bytes_of(*tensors):
    """Return all that the tensors' storages hold."""
    storages = [tensor.detach().untyped_storage() for tensor in tensors]
    return [torch.empty(0, dtype=torch.uint8).set_(s).numpy().tobytes() for s in storages]


# The same results as of arrays.


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_norms_are_those_of_the_array(layout, torch_dtype):
    tensor = layout(normals(torch_dtype, 4, 6, 8, 10))
    for read in READING.values():
        assert same_bits(read([tensor]), read([array_of(tensor)]))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_writes_are_those_to_the_array(layout, torch_dtype):
    for call in IN_PLACE.values():
        base = normals(torch_dtype, 4, 6, 8, 10)
        expected = base.clone()
        answer = call([np.ones(3), array_of(layout(expected))])
        assert same_bits(call([np.ones(3), layout(base)]), answer)
        assert bytes_of(base) == bytes_of(expected)


def test_channels_last(torch_dtype):
    tensor = normals(torch_dtype, 2, 3, 5, 7).to(memory_format=torch.channels_last)
    expected = tensor.clone()
    assert expected.stride() == tensor.stride()
    norm = gradclip.clip_by_global_norm_(array_of(expected), 1.0)
    assert gradclip.clip_by_global_norm_(tensor, 1.0) == norm
    assert bytes_of(tensor) == bytes_of(expected)


def test_large_tensors_on_any_number_of_threads(num_threads, torch_dtype):
    tensors = [normals(torch_dtype, 300_000), normals(torch_dtype, 500, 400).T]
    expected = [tensor.clone() for tensor in tensors]
    norm = gradclip.clip_by_global_norm_([array_of(tensor) for tensor in expected], 1.0)
    assert gradclip.clip_by_global_norm_(tensors, 1.0) == norm
    assert bytes_of(*tensors) == bytes_of(*expected)


def test_every_instruction_set(isa, torch_dtype):
    tensor = normals(torch_dtype, 1001)[1:]
    expected = tensor.clone()
    norm = gradclip.clip_by_global_norm_(array_of(expected), 1.0)
    assert gradclip.clip_by_global_norm_([tensor], 1.0) == norm
    assert torch.equal(tensor, expected)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_conjugate_views(dtype, in_place_call):
    base = complex_normals(9, 5, dtype=dtype)
    tensor = base.conj()
    assert tensor.is_conj()
    expected = base.numpy().copy()
    for read in READING.values():
        assert same_bits(read([tensor]), read([expected]))
    in_place_call([tensor])
    in_place_call([expected])
    assert same_bits(base.numpy(), expected)
    assert same_bits(tensor.resolve_conj().numpy(), expected.conj())


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_negated_views(dtype, in_place_call):
    base = complex_normals(9, 5, dtype=dtype)
    tensor = base.conj().imag
    assert tensor.is_neg()
    expected = base.numpy().copy()
    for read in READING.values():
        assert same_bits(read([tensor]), read([expected.imag]))
    in_place_call([tensor])
    in_place_call([expected.imag])
    assert same_bits(base.numpy(), expected)
    assert same_bits(tensor.resolve_neg().numpy(), -expected.imag)


def test_real_and_imaginary_parts_are_two_tensors(in_place_call):
    base = complex_normals(30)
    expected = base.numpy().copy()
    in_place_call([base.real, base.imag])
    in_place_call([expected.real, expected.imag])
    assert same_bits(base.numpy(), expected)


def test_tensors_and_arrays_in_one_nesting():
    tensors = [normals(dtype, 20, 3) for dtype in DTYPES]
    expected = [tensor.clone() for tensor in tensors]
    extra = np.full(5, 2.0)
    norm = gradclip.clip_by_global_norm_([*map(array_of, expected), extra.copy()], 1.0)
    grads = {"a": tensors[:3], "b": (None, {"c": tensors[3]}, extra, *tensors[4:])}
    assert gradclip.global_norm(grads) == pytest.approx(norm, rel=1e-15)
    gradclip.clip_by_global_norm_(grads, 1.0)
    assert gradclip.global_norm(grads) == pytest.approx(1.0, rel=1e-3)  # with 16-bit tensors


def test_gradients_of_a_model():
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    model(torch.ones(3, 5)).sum().backward()
    grads = {name: parameter.grad for name, parameter in model.named_parameters()}
    arrays = [grad.numpy().copy() for grad in grads.values()]
    assert gradclip.clip_by_global_norm_(grads, 1e-2) == gradclip.global_norm(arrays)
    assert 0.999e-2 < gradclip.global_norm(grads) <= 1e-2


def test_subclasses_are_tensors():
    class Weights(torch.Tensor):
        pass

    for tensor in (
        torch.tensor([3.0, 4.0]).as_subclass(Weights),
        torch.nn.Buffer(torch.tensor([3.0, 4.0])),
        torch.nn.Parameter(torch.tensor([3.0, 4.0]), requires_grad=False),
    ):
        assert gradclip.clip_by_global_norm_([tensor], 1.0) == 5.0
        assert tensor.tolist() == pytest.approx([0.6, 0.8])


def test_unclipped_tensors_keep_every_bit(keep):
    tensor = torch.tensor([1.0, -0.0, 1e-45, 0.5])
    before = bytes_of(tensor)
    keep([tensor])
    assert bytes_of(tensor) == before


# What autograd is told.


def test_weights_are_read(read):
    weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    assert same_bits(read([weight]), read([weight.detach().numpy()]))
    assert same_bits(read([weight * 2]), read([2 * weight.detach().numpy()]))


REQUIRING = {
    "parameter": lambda: torch.nn.Parameter(torch.ones(3)),
    "leaf": lambda: torch.ones(3, requires_grad=True),
    "result": lambda: torch.ones(3, requires_grad=True) * 2,
    "view": lambda: torch.nn.Parameter(torch.ones(3, 2))[:, 0],
    "uninitialised": lambda: torch.nn.UninitializedParameter(),
}


@pytest.mark.parametrize("make", REQUIRING.values(), ids=REQUIRING)
def test_what_requires_grad_is_not_written(in_place_call, make):
    bad, good = make(), torch.ones(3)
    refusal = pytest.raises(
        TypeError, match=r"^grads\['a'\]\[1\] requires grad.*\.grad\b.*gradclip\.torch\."
    )
    with refusal:
        in_place_call({"a": [good, bad]})
    with torch.no_grad(), refusal:
        in_place_call({"a": [good, bad]})
    assert good.tolist() == [1.0] * 3
    assert [good._version, bad._version] == [0, 0]


def test_version_counters_tell_of_writes(write):
    tensors = [torch.ones(3), torch.ones(4, 4).T, torch.ones((), dtype=torch.float64)]
    write({"a": tensors, "b": np.ones(3)})
    assert [tensor._version for tensor in tensors] == [1, 1, 1]
    write(alone := torch.ones(4, 4).T)
    assert alone._version == 1


def test_version_counters_are_those_of_the_base(write):
    base = torch.ones(10)
    write([base[2:5]])
    assert base._version == 1
    write(base.detach())
    assert base._version == 2


def test_version_counters_do_not_move_if_nothing_is_written(keep, read):
    tensors = [torch.ones(3), torch.ones(4, 4).T]
    keep(tensors)
    read(tensors)
    gradclip.clip_by_global_norm_(tensors, lambda norm: norm)
    assert [tensor._version for tensor in tensors] == [0, 0]


@pytest.mark.parametrize(("nonfinite", "version"), [("skip", 0), ("zero", 1), ("propagate", 1)])
def test_version_counters_with_a_non_finite_norm(nonfinite, version):
    tensor = torch.tensor([1.0, torch.nan])
    gradclip.clip_by_global_norm_([tensor], 1.0, nonfinite=nonfinite)
    assert tensor._version == version


def test_version_counters_with_an_inv_scale():
    tensor = torch.ones(3)
    gradclip.clip_by_global_norm_([tensor], 100.0, inv_scale=0.5)
    assert tensor.tolist() == [0.5] * 3
    assert tensor._version == 1


def _raise(norm):
    raise ZeroDivisionError


ERRORS = {
    "dtype": (lambda good: [good, torch.ones(3, dtype=torch.int32)], 1.0, TypeError),
    "overlap": (lambda good: [good, good[1:]], 1.0, ValueError),
    "self-overlap": (lambda good: [good, torch.ones(1).expand(3)], 1.0, ValueError),
    "requires grad": (lambda good: [good, torch.nn.Parameter(torch.ones(3))], 1.0, TypeError),
    "argument": (lambda good: [good], -1.0, ValueError),
    "non-finite": (
        lambda good: [good, torch.tensor([torch.inf])],
        1.0,
        gradclip.NonFiniteNormError,
    ),
    "callable": (lambda good: [good], _raise, ZeroDivisionError),
    "callable's result": (lambda good: [good], lambda norm: "x", TypeError),
}


@pytest.mark.parametrize(("grads", "max_norm", "error"), ERRORS.values(), ids=ERRORS)
def test_neither_bytes_nor_version_counters_change_with_an_error(grads, max_norm, error):
    good = torch.full((5,), 2.0)
    with pytest.raises(error):
        gradclip.clip_by_global_norm_(grads(good), max_norm)
    assert good.tolist() == [2.0] * 5
    assert good._version == 0


def test_autograd_notices_that_a_saved_tensor_was_clipped(write):
    weight = torch.nn.Parameter(torch.ones(3))
    saved = torch.full((3,), 2.0)
    loss = (weight * saved).sum()
    write([saved])
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_autograd_does_not_mind_a_clip_that_wrote_nothing(keep):
    weight = torch.nn.Parameter(torch.ones(3))
    saved = torch.full((3,), 0.25)
    loss = (weight * saved).sum()
    keep([saved])
    loss.backward()
    assert weight.grad.tolist() == [0.25] * 3


# Inference mode.


def inference_tensor(*values):
    with torch.inference_mode():
        return torch.tensor(values)


def test_inference_tensors_are_not_written_outside(write):
    good, bad = torch.full((3,), 2.0), inference_tensor(3.0, 4.0)
    with pytest.raises(RuntimeError, match=r"inference tensor.*grads\['a'\]\[1\]"):
        write({"a": [good, bad]})
    assert bad.tolist() == [3.0, 4.0]
    assert good.tolist() == [2.0] * 3
    assert good._version == 0


def test_inference_tensors_are_read_and_kept_outside(read, keep):
    tensor = inference_tensor(0.25, 0.5)
    assert same_bits(read([tensor]), read([tensor.numpy()]))
    keep([tensor])
    assert tensor.tolist() == [0.25, 0.5]


def test_inference_tensors_are_written_inside(write):
    normal = torch.tensor([3.0, 4.0])
    expected = np.array([3.0, 4.0], "f4")
    with torch.inference_mode():
        tensor = torch.tensor([3.0, 4.0])
        write([tensor])
        write([normal])
    write([expected])
    assert tensor.tolist() == expected.tolist()
    assert normal.tolist() == expected.tolist()


# What can't be taken.


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


@pytest.mark.parametrize("kind", REFUSED)
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
    assert refused[0].startswith("grads[1], a Tensor, ")
    assert "\n" not in refused[0]


def test_functions_that_return_arrays_make_none_of_tensors():
    tensor = torch.tensor([3.0, 4.0])
    for bad in (tensor, torch.nn.Parameter(tensor.clone()), tensor.to_sparse()):
        with pytest.raises(TypeError, match=r"grads\[1\] is a \w+, .*NumPy arrays.*in place"):
            gradclip.clip_by_global_norm([np.ones(3), bad], 1.0)
    assert tensor.tolist() == [3.0, 4.0]


# Memory that is shared, or changes.


def test_a_tensor_and_the_array_that_shares_its_memory(in_place_call):
    tensor = torch.ones(10)
    for first, second in [
        (tensor, tensor.numpy()),
        (tensor.numpy()[5:], tensor[:6]),
        (tensor, tensor),
        (tensor, tensor.view(2, 5)),
        (tensor[::2], tensor[4:5]),
    ]:
        with pytest.raises(ValueError, match=r"grads\['a'\] and grads\['b'\]\[1\] share memory"):
            in_place_call({"a": first, "b": [None, second]})
    assert tensor.tolist() == [1.0] * 10
    assert tensor._version == 0


def test_interleaved_tensors_work(in_place_call):
    tensor = torch.ones(10, 10)
    in_place_call([tensor[:, ::2], tensor.numpy()[:, 1::2]])


def test_tensors_that_overlap_themselves(in_place_call, torch_dtype):
    row = normals(torch_dtype, 5)
    for tensor in (row.expand(3, 5), row.unfold(0, 3, 1), row.as_strided((3, 3), (1, 1))):
        norm = gradclip.global_norm(tensor)
        assert norm == gradclip.global_norm(array_of(tensor.contiguous()))
        with pytest.raises(ValueError, match=r"^grads\[1\] overlaps itself"):
            in_place_call([np.ones(3), tensor])
    assert row._version == 0


def _swap(tensor):
    tensor.data = tensor.clone()


CHANGES = {
    "resize_": lambda tensor: tensor.resize_(10),
    "set_": lambda tensor: tensor.set_(torch.ones(50_000)),
    "data": _swap,
    "freed": lambda tensor: tensor.untyped_storage().resize_(0),
    "strides": lambda tensor: tensor.as_strided_((25_000,), (2,)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_callable_that_changes_a_tensor(change):
    grads = [torch.full((3,), 2.0), torch.full((50_000,), 2.0)]
    memory = grads[1][:]  # the storage lives on, if it is not freed itself

    def max_norm(norm):
        change(grads[1])
        return 1.0

    with pytest.raises(RuntimeError, match=r"grads\[1\]; nothing was written"):
        gradclip.clip_by_global_norm_(grads, max_norm)
    assert grads[0].tolist() == [2.0] * 3
    assert grads[0]._version == 0
    if memory.untyped_storage().size() > 0:
        assert (memory == 2).all()


def test_tensors_live_as_long_as_the_call():
    grads = [torch.full((50_000,), 2.0) for _ in range(3)]
    views = [grad[:] for grad in grads]

    def drop(norm):
        grads.clear()
        gc.collect()
        return 1.0

    gradclip.clip_by_global_norm_(grads, drop)
    assert all((view < 0.1).all() for view in views)


def test_calls_keep_no_references(call):
    tensors = [torch.ones(3), torch.ones(4, 4).T, torch.nn.Buffer(torch.ones(2))]
    call(tensors)
    gc.collect()
    before = [sys.getrefcount(tensor) for tensor in tensors]
    blocks = sys.getallocatedblocks()
    for _ in range(1000):
        call(tensors)
    assert [sys.getrefcount(tensor) for tensor in tensors] == before
    assert sys.getallocatedblocks() - blocks < 200


# What gradclip.torch alone calls, on every instruction set.


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
