"""sgd_step_ and torch.optim.SGD: the same steps, bit for bit where nothing is rounded."""

import copy

import numpy as np
import pytest
from torch_cases import LAYOUTS
from torch_memory import bytes_of

import gradclip

torch = pytest.importorskip("torch")

KINDS = {
    "plain": {},
    "weight decay": {"weight_decay": 0.5},
    "heavy ball": {"momentum": 0.5},
    "heavy ball, weight decay": {"momentum": 0.5, "weight_decay": 0.25},
    "Nesterov": {"momentum": 0.5, "nesterov": True},
    "Nesterov, weight decay": {"momentum": 0.25, "nesterov": True, "weight_decay": 0.5},
}
SHAPES = [(4, 3, 5, 7), (33,), (), (5, 0), (64, 9)]


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


class Both:
    """The same parameters, stepped by torch's optimizer and by sgd_step_."""

    def __init__(self, values, lr, kind, layouts=None):
        lay = [LAYOUTS[name] for name in layouts or ["contiguous"] * len(values)]
        place = [make(v) for make, v in zip(lay, values, strict=True)]
        self.ours = [torch.nn.Parameter(v.clone()) for v in values]
        self.theirs = copy.deepcopy(self.ours)
        for parameter, tensor in zip(self.ours, place, strict=True):
            parameter.data = tensor
        self.velocity = [torch.zeros_like(p).detach() for p in self.ours]
        self.lr, self.kind = lr, kind
        self.optimizer = torch.optim.SGD(self.theirs, lr=lr, **kind)

    def step(self, grads, **options):
        for parameter, grad in zip(self.theirs, grads, strict=True):
            parameter.grad = None if grad is None else grad.clone()
        if "max_norm" in options:
            gradclip.clip_by_global_norm_([p.grad for p in self.theirs], options["max_norm"])
        self.optimizer.step()
        velocity = self.velocity if "momentum" in self.kind else None
        return gradclip.sgd_step_(
            self.ours, grads, self.lr, velocity=velocity, **self.kind, **options
        )

    def velocities(self):
        """Return pairs of velocities, where torch has one yet."""
        states = [self.optimizer.state[p].get("momentum_buffer") for p in self.theirs]
        return [(v, s) for v, s in zip(self.velocity, states, strict=True) if s is not None]


def integers(dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(-4, 5, s, generator=generator).to(dtype) for s in SHAPES]


def normals(dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(s, generator=generator, dtype=dtype) for s in SHAPES]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_without_rounding_give_torchs_bits(dtype, kind):
    names, isas = [*LAYOUTS], gradclip.show_config("dicts")["isa"]["available"]
    for turn in range(len(names)):
        gradclip._gradclip._set_isa(isas[turn % len(isas)])
        layouts = [names[(turn + i) % len(names)] for i in range(len(SHAPES))]
        both = Both(integers(dtype, 1), 0.5, kind, layouts)
        for step in range(4):
            grads = integers(dtype, 10 + step)
            if step == 2:
                grads[1] = None
            before = bytes_of(*(g for g in grads if g is not None))
            both.step(grads)
            assert bytes_of(*(g for g in grads if g is not None)) == before
        for ours, theirs in zip(both.ours, both.theirs, strict=True):
            assert torch.equal(ours, theirs)
        assert ("momentum" in kind) == bool(both.velocities())
        for ours, theirs in both.velocities():
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("max_norm", [1e9, 3.0])
def test_steps_of_float64_are_torchs_but_for_rounding(max_norm, kind, isa):
    """Five steps: some 60 roundings of numbers below 16, each by 2^-53 of them at most."""
    both = Both(normals(torch.float64, 1), 0.1, kind)
    start = [p.detach().clone() for p in both.ours]
    for step in range(5):
        grads = normals(torch.float64, 10 + step)
        norm = both.step(grads, max_norm=max_norm)
        assert norm == gradclip.global_norm(grads)
    error = 60 * 16 * 2.0**-53
    for ours, theirs, old in zip(both.ours, both.theirs, start, strict=True):
        assert not ours.numel() or (ours - old).abs().max() > 1e-5
        torch.testing.assert_close(ours, theirs, rtol=0, atol=error)
    for ours, theirs in both.velocities():
        torch.testing.assert_close(ours, theirs, rtol=0, atol=error)


def test_inv_scale_unscales_gradients_of_a_scaled_loss(kind):
    both = Both(integers(torch.float32, 1), 0.5, kind)
    for step in range(3):
        grads = integers(torch.float32, 10 + step)
        for parameter, grad in zip(both.theirs, grads, strict=True):
            parameter.grad = grad.clone()
        both.optimizer.step()
        velocity = both.velocity if "momentum" in kind else None
        scaled = [grad * 1024 for grad in grads]
        norm = gradclip.sgd_step_(
            both.ours, scaled, 0.5, inv_scale=1 / 1024, velocity=velocity, **kind
        )
        assert norm == gradclip.global_norm(grads)
    for ours, theirs in zip(both.ours, both.theirs, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bit_steps_without_rounding(dtype, kind):
    both = Both(integers(dtype, 1), 0.5, kind)
    both.step(integers(dtype, 10))
    for ours, theirs in zip(both.ours, both.theirs, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
def test_a_bad_gradient_leaves_bytes_and_version_counters(nonfinite):
    params = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2, 2))]
    velocity = [torch.ones(3), torch.ones(2, 2)]
    grads = [torch.ones(3), torch.tensor([[1.0, torch.inf], [0, 0]])]
    before = bytes_of(*params, *velocity, *grads)
    versions = [t._version for t in (*params, *velocity, *grads)]
    options = {"momentum": 0.5, "velocity": velocity, "nonfinite": nonfinite}
    if nonfinite == "raise":
        with pytest.raises(gradclip.NonFiniteNormError, match=r"grads\[1\]"):
            gradclip.sgd_step_(params, grads, 0.1, **options)
    else:
        assert gradclip.sgd_step_(params, grads, 0.1, **options) == np.inf
    assert bytes_of(*params, *velocity, *grads) == before
    assert [t._version for t in (*params, *velocity, *grads)] == versions


def test_a_model_learns():
    torch.manual_seed(3)
    ours = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    theirs = copy.deepcopy(ours)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    velocity = {name: torch.zeros_like(p) for name, p in ours.named_parameters()}
    inputs = torch.randn(64, 5)
    losses = []
    for _ in range(20):
        for model in (ours, theirs):
            model.zero_grad()
            loss = (model(inputs) - inputs.sum(1, keepdim=True)).square().mean()
            loss.backward()
        losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimizer.step()
        params = dict(ours.named_parameters())
        grads = {name: p.grad for name, p in params.items()}
        gradclip.sgd_step_(params, grads, 0.1, max_norm=1.0, momentum=0.9, velocity=velocity)
    assert losses[-1] < losses[0] / 4
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-3)
