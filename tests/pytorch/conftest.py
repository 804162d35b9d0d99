"""Fixtures for the tests with PyTorch: calls, dtypes, and what is torch's own."""

import pytest
from torch_calls import IN_PLACE, KEEPING, READING, TAKING, WRITING

import gradclip

DTYPES = ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"]


@pytest.fixture
def nothing_is_left_to_torch():
    before = gradclip.torch.handed_over()
    yield
    assert gradclip.torch.handed_over() == before


@pytest.fixture
def torchs_own_functions():
    """Start a test from torch's own functions, and leave them behind."""
    from torch_places import THEIRS, in_place

    assert in_place() == THEIRS
    yield
    for (module, name), function in THEIRS.items():
        setattr(module, name, function)
    gradclip.torch._originals.clear()


@pytest.fixture(params=DTYPES)
def torch_dtype(request):
    return getattr(pytest.importorskip("torch"), request.param)


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
