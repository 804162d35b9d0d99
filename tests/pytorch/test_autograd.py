"""Clipping among autograd's graphs, views and modes: as torch's own functions."""

import warnings

import pytest

torch = pytest.importorskip("torch")

from torch_models import (  # noqa: E402
    CLIPS,
    OURS,
    THEIRS,
    assert_same,
    backward,
    clip_grad_norm,
    clip_grad_value,
    grads,
    make_model,
    parameter,
    state,
)

pytestmark = pytest.mark.usefixtures("nothing_is_left_to_torch")


@pytest.fixture(params=CLIPS)
def clip(request):
    """Clip with each function of a module, whatever the gradients, if they aren't tiny."""
    return request.param


class TestSavedTensors:
    """A backward pass whose saved tensor changed is an error, never a wrong gradient."""

    @staticmethod
    def saved_and_clipped(module, clip, values):
        x = torch.ones(3, requires_grad=True)
        saved = torch.tensor(values)
        loss = (x * saved).sum()
        clip(module, [parameter(saved.view(3))])
        return x, loss

    @pytest.mark.parametrize("module", [OURS, THEIRS])
    def test_a_saved_tensor_that_was_clipped_is_noticed(self, module, clip):
        _, loss = self.saved_and_clipped(module, clip, [3.0, 4.0, 5.0])
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()

    @pytest.mark.parametrize("clip", [clip_grad_norm, clip_grad_value])
    def test_one_that_was_not_written_stays_usable(self, clip):
        x, loss = self.saved_and_clipped(OURS, clip, [0.125, -0.25, 0.0])
        loss.backward()
        assert x.grad.tolist() == [0.125, -0.25, 0.0]

    def test_the_bases_and_views_of_a_gradient_are_noticed_too(self, clip):
        x = torch.ones(6, requires_grad=True)
        base = torch.full((6,), 3.0)
        tensors = [base, base.reshape(2, 3), base.detach(), base[4:]]  # a version for all of them
        losses = [(x[: tensor.numel()].view_as(tensor) * tensor).sum() for tensor in tensors]
        clip(OURS, [parameter(base[2:4])])
        for loss in losses:
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                loss.backward()


class TestGradsWithAGraph:
    @staticmethod
    def after(module, clip):
        model, x = make_model()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Using backward.. with create_graph=True")
            backward(model, x, create_graph=True)
        before = [state(grad) for grad in grads(model)]
        clip(module, model.parameters())
        return model, before

    def test_the_result_is_as_torchs(self, clip):
        (ours, before), (theirs, _) = self.after(OURS, clip), self.after(THEIRS, clip)
        assert_same(grads(ours), grads(theirs))
        assert all(grad.requires_grad and grad._version > 0 for grad in grads(ours))
        assert [state(grad)[1:] for grad in grads(ours)] == [known[1:] for known in before]

    def test_a_second_backward_pass_does_as_torchs(self, clip):
        def penalty_grads(module):
            model, _ = self.after(module, clip)
            first = grads(model)
            loss = sum(grad.square().sum() for grad in first)
            return torch.autograd.grad(loss, model[2].weight, allow_unused=True)

        assert_same(penalty_grads(OURS), penalty_grads(THEIRS))

    @pytest.mark.parametrize("module", [OURS, THEIRS])
    def test_a_graph_that_needs_the_gradient_as_it_was_is_an_error(self, module, clip):
        x = torch.nn.Parameter(torch.tensor([2.0, 3.0]))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Using backward.. with create_graph=True")
            x.exp().sum().backward(create_graph=True)
        loss = x.grad.square().sum()
        clip(module, [x])
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def made_without_grad(base):
    with torch.no_grad():
        return [base.requires_grad_()[2:]]


VIEWS = {
    "a row": lambda base: [base[3]],
    "columns": lambda base: [base[:, 0], base[:, 1], base[:, 5:8]],
    "transposed": lambda base: [base.T],
    "all outputs of a view": lambda base: list(base.unbind()),
    "of a leaf that requires grad": lambda base: [base.requires_grad_()[2:]],
    "of a result": lambda base: [base.requires_grad_().mul(2)[1:]],
    "all of a result's": lambda base: list(base.requires_grad_().mul(2).split(3)),
    "made without grad": made_without_grad,
    "a leaf that requires grad": lambda base: [base.requires_grad_()],
    "detached": lambda base: [base.requires_grad_().mul(2).detach()],
}


@pytest.mark.parametrize("make", VIEWS.values(), ids=VIEWS.keys())
def test_gradients_that_are_views_or_require_grad(make, clip):
    def after(module):
        base = torch.arange(80.0).reshape(10, 8) - 20
        weights = [parameter(tensor) for tensor in make(base)]
        clip(module, weights)
        return [base, *(weight.grad for weight in weights)]

    assert_same(after(OURS), after(THEIRS))


@pytest.mark.parametrize("context", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_under_grad_modes(context, clip):
    def after(module):
        model, x = make_model()
        backward(model, x)
        with context():
            norm = clip(module, model.parameters())
            if norm is None:
                norm = module.get_total_norm(grads(model))
        return [*grads(model), norm]

    ours, theirs = after(OURS), after(THEIRS)
    assert_same(ours[:-1], theirs[:-1])
    torch.testing.assert_close(ours[-1], theirs[-1])
    assert not ours[-1].requires_grad
    assert not theirs[-1].requires_grad


def test_the_norm_has_no_graph():
    tensors = [torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True) * 2]
    for module in (OURS, THEIRS):
        norm = module.get_total_norm(tensors)
        assert norm.grad_fn is None
        assert not norm.requires_grad


class TestInferenceTensors:
    @staticmethod
    def weights():
        with torch.inference_mode():
            tensors = [torch.tensor([3.0, 4.0]), torch.tensor([12.0])]
            weights = [parameter(tensor) for tensor in tensors]
        return [parameter(torch.ones(2)), *weights]

    @pytest.mark.parametrize("module", [OURS, THEIRS])
    def test_outside_inference_mode_they_are_refused(self, module, clip):
        weights = self.weights()
        with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside"):
            clip(module, weights)

    def test_a_refusal_changes_nothing(self, clip):
        weights = self.weights()
        with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside"):
            clip(OURS, weights)
        assert [weight.grad.tolist() for weight in weights] == [[1.0, 1.0], [3.0, 4.0], [12.0]]
        assert weights[0].grad._version == 0

    def test_inside_they_are_clipped(self, clip):
        def after(module):
            weights = self.weights()
            with torch.inference_mode():
                clip(module, weights)
            return weights

        for ours, theirs in zip(after(OURS), after(THEIRS), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad)
            assert ours.grad.is_inference() == theirs.grad.is_inference()

    def test_their_norm_is_found_anywhere(self):
        assert OURS.get_total_norm([weight.grad for weight in self.weights()[1:]]) == 13.0

    def test_one_that_is_not_written_is_no_error(self):
        weights = self.weights()
        OURS.clip_grad_norm_(weights, 100.0)
        OURS.clip_grad_value_(weights, 12.0)


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="torch can't flush here")
class TestFlushingDenormals:
    @pytest.fixture(autouse=True)
    def kept(self):
        yield
        torch.set_flush_denormal(False)

    @pytest.mark.parametrize("scale", [1.0, 2.0**-120, 2.0**-140])
    def test_gradients_are_clipped_as_ever(self, scale):
        made = [torch.tensor([3.0, -4.0]).mul(scale) for _ in range(2)]
        weights = [parameter(tensor) for tensor in made]
        for weight, flush in zip(weights, (False, True), strict=True):
            torch.set_flush_denormal(flush)
            OURS.clip_grad_norm_([weight], scale * 1e-3)  # far below torch's 1e-6, mostly
        torch.set_flush_denormal(False)
        bits = [weight.grad.view(torch.int32).tolist() for weight in weights]
        assert bits[0] == bits[1] != [0, 0]

    @pytest.mark.parametrize("flush", [False, True])
    def test_the_setting_is_kept(self, flush, clip):
        tiny = torch.tensor([2.0**-140])
        torch.set_flush_denormal(flush)
        assert (tiny.mul(0.5).item() == 0) == flush
        clip(OURS, [parameter(torch.tensor([3.0, 4.0]))])
        assert (tiny.mul(0.5).item() == 0) == flush
