"""torch's tensors are taken by gradclip's own functions as arrays of the same memory are."""

import numpy as np
import pytest
from buffers import same_bits
from calls import IN_PLACE
from torch_calls import READING
from torch_cases import DTYPES, HAS_EXCHANGE_API
from torch_memory import array_of, bytes_of, normals

import gradclip

torch = pytest.importorskip("torch")


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


def complex_normals(*shape, dtype=torch.complex64):
    generator = torch.Generator().manual_seed(8)
    return torch.randn(shape, dtype=dtype, generator=generator)


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


@pytest.mark.skipif(
    not HAS_EXCHANGE_API, reason="older torch: __dlpack__ exports no conjugate view"
)
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
