"""The examples in gradclip.torch's docstrings run and print what they say."""

import doctest

import pytest

torch = pytest.importorskip("torch")

import gradclip.torch  # noqa: E402


def test_examples_run(capsys):
    found = doctest.testmod(gradclip.torch)
    assert found.attempted >= 20
    assert found.failed == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", gradclip.torch.__all__)
def test_every_function_is_documented_with_an_example(name):
    doc = getattr(gradclip.torch, name).__doc__
    assert doc.splitlines()[0].endswith(".")
    assert "Examples\n" in doc or name == "uninstall"
