"""torch is imported when gradclip.torch is asked for, and nothing else needs it."""

import pytest
from subprocesses import output_of

import gradclip

torch = pytest.importorskip("torch")


def test_torch_is_imported_when_gradclip_torch_is_asked_for():
    code = """
    import sys
    import gradclip
    before = [name in sys.modules for name in ("torch", "gradclip.torch")]
    gradclip.torch.handed_over()
    print(before, "torch" in sys.modules, gradclip.torch is sys.modules["gradclip.torch"])
    """
    assert output_of(code) == "[False, False] True True"


def test_without_torch_only_gradclip_torch_fails():
    code = """
    import sys
    sys.modules["torch"] = None
    import gradclip
    import numpy as np
    print(gradclip.clip_by_global_norm_([np.ones(4)], 1.0))
    for _ in range(2):
        try:
            gradclip.torch
        except ImportError as error:
            print(error.name)
    print(gradclip.global_norm([np.ones(4)]))
    """
    assert output_of(code).split() == ["2.0", "torch", "torch", "2.0"]


def test_other_attributes_do_not_exist():
    with pytest.raises(AttributeError, match="no_such"):
        gradclip.no_such  # noqa: B018
