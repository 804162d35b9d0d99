"""What a call of gradclip's or of torch's comes to, in a form that can be compared."""

import pytest
from torch_cases import OURS, TORCHS, as_array, handing_over, real_parts

torch = pytest.importorskip("torch")


def outcome(call, make, module):
    """Return the result or error of a call, and the gradients after it, in comparable form."""
    weights = make()
    try:
        result = plain(call(module, weights))
    except Warning:
        raise
    except Exception as error:
        result = (type(error), str(error))
    return result, [plain(w.grad) for w in weights if isinstance(w, torch.Tensor)]


def plain(tensor):
    if not isinstance(tensor, torch.Tensor):
        return tensor
    kind = (type(tensor), tensor.dtype, tensor.shape, tensor.device)
    if tensor.is_meta or tensor.is_sparse or tensor.is_quantized:
        return kind if tensor.is_meta else (*kind, repr(tensor))
    wide = tensor.detach().as_subclass(torch.Tensor)
    wide = wide.to(torch.complex64 if wide.is_complex() else torch.float32)
    return (*kind, [repr(x) for x in real_parts(as_array(wide))])


def assert_torchs(call, make, count=1):
    expected = outcome(call, make, TORCHS)
    with handing_over(count):
        assert outcome(call, make, OURS) == expected
