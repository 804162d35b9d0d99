"""Fixtures and checks for DLPack; a test file names those it uses: call = dlpack_calls.call."""

import gc

import numpy as np
import pytest
from buffers import unchanged
from calls import IN_PLACE
from dlpack_producers import CPU, EXPORTS, READABLE, WRITEABLE

import gradclip

READING = {
    "global_norm": gradclip.global_norm,
    "array_norms": gradclip.array_norms,
    "global_norm, order 1": lambda grads: gradclip.global_norm(grads, ord=1),
    "array_norms, order inf": lambda grads: gradclip.array_norms(grads, ord=np.inf),
    "array_norms, order 3": lambda grads: gradclip.array_norms(grads, ord=3),
}

TAKING = READING | IN_PLACE

POSITIONS = {
    "grads": lambda leaf, a, b: leaf,
    "grads[1]": lambda leaf, a, b: (a, leaf, b),
    "grads['a'][1]": lambda leaf, a, b: {"z": a, "a": [None, leaf], "y": b},
}


@pytest.fixture(autouse=True)
def every_export_is_freed_once():
    """See that whatever a test exports is freed, and once only, by the end of it."""
    EXPORTS.living.clear()
    yield
    if EXPORTS.living:
        gc.collect()
    assert not EXPORTS.living
    assert not EXPORTS.mistakes


@pytest.fixture(params=READABLE)
def readable(request):
    return READABLE[request.param]


@pytest.fixture(params=WRITEABLE)
def writeable(request):
    return WRITEABLE[request.param]


@pytest.fixture(params=READING)
def read(request):
    return READING[request.param]


@pytest.fixture(params=IN_PLACE)
def in_place_call(request):
    return IN_PLACE[request.param]


@pytest.fixture(params=TAKING)
def call(request):
    return TAKING[request.param]


def assert_refused(call, bad, error, *words):
    """Assert that a call raises this, names the path and all words, changes no byte and keeps
    nothing, wherever the bad leaf is. Return the last message."""
    good = np.full(5, 3.0, np.float32), np.full((2, 2), -4.0)
    for path, nesting in POSITIONS.items():
        with unchanged(*good), pytest.raises(error) as raised:
            call(nesting(bad, *good))
        assert type(raised.value) is error
        message = str(raised.value)
        assert "\n" not in message
        assert f"{path}[" not in message
        for word in (path, *words):
            assert word in message
        assert not EXPORTS.living
    return message


class Giving:
    """A producer whose __dlpack__ does something else."""

    def __init__(self, action):
        self.action = action

    def __dlpack_device__(self):
        return CPU

    def __dlpack__(self, *, max_version=None):
        return self.action()


def raising(error):
    def action():
        raise error

    return action
