"""The names in torch that gradclip's functions take, and what they hold."""

import pytest

import gradclip

torch = pytest.importorskip("torch")

utils = torch.nn.utils

clip_grad = torch.nn.utils.clip_grad

OURS = {
    (utils, "clip_grad_norm_"): gradclip.torch.clip_grad_norm_,
    (utils, "get_total_norm"): gradclip.torch.get_total_norm,
    (utils, "clip_grads_with_norm_"): gradclip.torch.clip_grads_with_norm_,
    (utils, "clip_grad_value_"): gradclip.torch.clip_grad_value_,
    (clip_grad, "clip_grad_norm_"): gradclip.torch.clip_grad_norm_,
    (clip_grad, "_get_total_norm"): gradclip.torch.get_total_norm,
    (clip_grad, "_clip_grads_with_norm_"): gradclip.torch.clip_grads_with_norm_,
    (clip_grad, "clip_grad_value_"): gradclip.torch.clip_grad_value_,
}


def in_place():
    return {place: getattr(*place) for place in OURS}


THEIRS = in_place()
