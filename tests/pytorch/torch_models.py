"""Small models, ways to clip them, and what autograd knows of their gradients."""

import torch

import gradclip

OURS, THEIRS = gradclip.torch, torch.nn.utils


def clip_grad_norm(module, weights):
    return module.clip_grad_norm_(weights, 1.0)


def clip_grads_with_norm(module, weights):
    return module.clip_grads_with_norm_(weights, 1.0, torch.tensor(8.0))


def clip_grad_value(module, weights):
    return module.clip_grad_value_(weights, 0.25)


CLIPS = [clip_grad_norm, clip_grads_with_norm, clip_grad_value]


def parameter(grad):
    weight = torch.nn.Parameter(torch.zeros(grad.shape, dtype=grad.dtype))
    weight.grad = grad
    return weight


def make_model(seed=0):
    generator = torch.Generator().manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4))
    for weight in model.parameters():
        with torch.no_grad():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    return model, torch.randn(32, 8, generator=generator)


def backward(model, x, **options):
    model(x).square().mean().backward(**options)


def grads(model):
    return [weight.grad for weight in model.parameters()]


def state(tensor):
    """What autograd knows of a tensor, but for how often it was written: torch clamps in two."""
    known = tensor._version > 0, tensor.requires_grad, tensor._is_view()
    try:
        return *known, tensor.is_leaf, type(tensor.grad_fn)
    except RuntimeError as error:  # of a view that mustn't be modified
        return *known, str(error)


def assert_same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.detach(), theirs.detach(), rtol=2e-6, atol=1e-12)
        assert state(ours) == state(theirs)
