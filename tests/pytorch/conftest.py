"""Fixtures for the tests with PyTorch."""

import pytest

import gradclip


@pytest.fixture
def nothing_is_left_to_torch():
    before = gradclip.torch.handed_over()
    yield
    assert gradclip.torch.handed_over() == before
