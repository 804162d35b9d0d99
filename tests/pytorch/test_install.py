"""Putting gradclip's functions in the place of torch's, and torch's own back."""

import inspect

import pytest
from torch_places import OURS, THEIRS, clip_grad, in_place, utils

import gradclip

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("torchs_own_functions")


def test_install_replaces_all_names_and_uninstall_puts_the_same_objects_back():
    gradclip.torch.install()
    assert in_place() == OURS
    gradclip.torch.uninstall()
    assert in_place() == THEIRS


def test_no_other_function_of_torch_clips():
    gradclip.torch.install()
    functions = inspect.getmembers(clip_grad, inspect.isfunction)
    left = {name for name, found in functions if found.__module__ == clip_grad.__name__}
    assert left == {"_no_grad", "clip_grad_norm"}  # a decorator; calls clip_grad_norm_


@pytest.mark.parametrize("times", [1, 2, 3])
def test_both_are_idempotent(times):
    for _ in range(2):
        for _ in range(times):
            gradclip.torch.install()
        assert in_place() == OURS
        for _ in range(times):
            gradclip.torch.uninstall()
        assert in_place() == THEIRS


def test_uninstall_without_install_changes_nothing():
    gradclip.torch.uninstall()
    assert in_place() == THEIRS


def test_installed_nests_and_restores():
    with gradclip.torch.installed() as target:
        assert target is None
        assert in_place() == OURS
        with gradclip.torch.installed():
            assert in_place() == OURS
        assert in_place() == OURS
    assert in_place() == THEIRS


def test_installed_restores_on_exceptions():
    with pytest.raises(KeyError), gradclip.torch.installed():
        raise KeyError
    assert in_place() == THEIRS


def test_installed_can_be_a_decorator():
    @gradclip.torch.installed()
    def inside():
        return in_place()

    assert inside() == inside() == OURS
    assert in_place() == THEIRS


def test_installed_keeps_an_outer_install():
    gradclip.torch.install()
    with gradclip.torch.installed():
        pass
    assert in_place() == OURS
    with pytest.raises(KeyError), gradclip.torch.installed():
        raise KeyError
    assert in_place() == OURS


def test_an_uninstall_inside_installed_is_kept():
    with gradclip.torch.installed():
        gradclip.torch.uninstall()
        assert in_place() == THEIRS
    assert in_place() == THEIRS


def test_what_was_patched_over_it_stays(monkeypatch):
    gradclip.torch.install()

    def patch(*args):
        raise AssertionError

    monkeypatch.setattr(utils, "clip_grad_norm_", patch)
    monkeypatch.setattr(clip_grad, "_get_total_norm", patch)
    gradclip.torch.uninstall()
    patched = {(utils, "clip_grad_norm_"): patch, (clip_grad, "_get_total_norm"): patch}
    assert in_place() == THEIRS | patched


def test_what_was_patched_under_it_comes_back(monkeypatch):
    def patch(*args):
        raise AssertionError

    monkeypatch.setattr(utils, "clip_grad_norm_", patch)
    with gradclip.torch.installed():
        assert in_place() == OURS
    assert in_place() == THEIRS | {(utils, "clip_grad_norm_"): patch}


def test_a_block_leaves_an_outer_install_that_was_patched_over_alone(monkeypatch):
    gradclip.torch.install()
    monkeypatch.setattr(utils, "clip_grad_norm_", print)
    with gradclip.torch.installed():
        assert utils.clip_grad_norm_ is gradclip.torch.clip_grad_norm_
    assert utils.clip_grad_norm_ is print
    assert utils.get_total_norm is gradclip.torch.get_total_norm


def test_a_block_over_a_patch_leaves_torchs_own_to_the_outer_uninstall(monkeypatch):
    gradclip.torch.install()
    with monkeypatch.context() as patches:
        patches.setattr(utils, "clip_grad_norm_", print)
        with gradclip.torch.installed():
            pass
    gradclip.torch.uninstall()
    assert in_place() == THEIRS


@pytest.mark.parametrize("uninstall_first", [False, True])
def test_what_another_library_put_there_meanwhile_is_put_back(uninstall_first):
    gradclip.torch.install()
    if uninstall_first:
        gradclip.torch.uninstall()
    utils.clip_grad_norm_ = print
    gradclip.torch.install()
    assert utils.clip_grad_norm_ is gradclip.torch.clip_grad_norm_
    gradclip.torch.uninstall()
    assert utils.clip_grad_norm_ is print
