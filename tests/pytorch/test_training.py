"""Clipping among optimizers, hooks, threads and processes: as torch's own functions."""

import copy
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

import gradclip

torch = pytest.importorskip("torch")

from torch_models import CLIPS, OURS, THEIRS, assert_same, backward, grads, make_model, parameter  # noqa: E402

pytestmark = pytest.mark.usefixtures("nothing_is_left_to_torch")


@pytest.fixture(params=CLIPS)
def clip(request):
    """Clip with each function of a module, whatever the gradients, if they aren't tiny."""
    return request.param


class TestTraining:
    """A few steps with each module's functions lead to the same weights."""

    @staticmethod
    def agree(train):
        ours, theirs = train(OURS), train(THEIRS)
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("foreach", [False, True])
    @pytest.mark.parametrize("optimizer", ["SGD", "AdamW", "RMSprop"])
    def test_optimizers(self, optimizer, foreach, clip):
        def train(module):
            model, x = make_model()
            step = getattr(torch.optim, optimizer)(model.parameters(), lr=0.01, foreach=foreach)
            for _ in range(3):
                step.zero_grad()
                backward(model, x)
                clip(module, model.parameters())
                step.step()
            return model

        self.agree(train)

    def test_accumulated_gradients(self, clip):
        def train(module):
            model, x = make_model()
            step = torch.optim.SGD(model.parameters(), lr=0.1)
            for _ in range(2):
                step.zero_grad(set_to_none=False)
                for part in x.split(8):
                    backward(model, part)
                    clip(module, model.parameters())
                step.step()
            return model

        self.agree(train)

    def test_a_grad_scaler(self, clip):
        def train(module):
            model, x = make_model()
            step = torch.optim.SGD(model.parameters(), lr=0.1)
            scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=1)
            for i in range(4):
                step.zero_grad()
                inputs = x * float("inf") if i == 1 else x
                scaler.scale(model(inputs).square().mean()).backward()
                scaler.unscale_(step)
                clip(module, model.parameters())
                scaler.step(step)
                scaler.update()
            assert scaler.get_scale() == 2.0**12
            return model

        self.agree(train)

    def test_autocast(self, clip):
        def train(module):
            model, x = make_model()
            step = torch.optim.SGD(model.parameters(), lr=0.1)
            for _ in range(2):
                step.zero_grad()
                with torch.autocast("cpu", torch.bfloat16):
                    loss = model(x).square().mean()
                loss.backward()
                clip(module, model.parameters())
                step.step()
            return model

        self.agree(train)

    def test_hooks_that_clip_each_parameter_as_its_gradient_is_ready(self, clip):
        def train(module):
            model, x = make_model()

            def hook(weight):
                clip(module, weight)
                with torch.no_grad():
                    weight.sub_(weight.grad, alpha=0.1)
                weight.grad = None

            for weight in model.parameters():
                weight.register_post_accumulate_grad_hook(hook)
            for _ in range(3):
                backward(model, x)
            return model

        self.agree(train)

    def test_anomaly_detection(self, clip):
        def train(module):
            model, x = make_model()
            with torch.autograd.set_detect_anomaly(True, check_nan=True):
                backward(model, x)
                clip(module, model.parameters())
                backward(model, x)
            return model

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Anomaly Detection has been enabled")
            self.agree(train)

    def test_checkpointed_layers(self, clip):
        def train(module):
            model, x = make_model()
            for _ in range(2):
                torch.utils.checkpoint.checkpoint(
                    model, x, use_reentrant=False
                ).square().mean().backward()
                clip(module, model.parameters())
            return model

        self.agree(train)

    def test_a_functional_call(self, clip):
        def train(module):
            model, x = make_model()
            weights = {name: torch.nn.Parameter(w * 2) for name, w in model.named_parameters()}
            torch.func.functional_call(model, weights, x).square().mean().backward()
            clip(module, weights.values())
            with torch.no_grad():
                for name, weight in model.named_parameters():
                    weight.copy_(weights[name].grad)
            return model

        self.agree(train)


class TestSharedWeights:
    @staticmethod
    def tied():
        model = torch.nn.Sequential(*(torch.nn.Linear(8, 8, bias=False) for _ in range(3)))
        model[2].weight = model[0].weight
        with torch.no_grad():
            model[0].weight.fill_(0.5)
            model[1].weight.copy_(torch.eye(8))
        backward(model, torch.ones(4, 8))
        return model

    def test_tied_weights_are_clipped_once(self, clip):
        ours, theirs = self.tied(), self.tied()
        assert len(list(ours.parameters())) == 2
        clip(OURS, ours.parameters())
        clip(THEIRS, theirs.parameters())
        assert_same(grads(ours), grads(theirs))

    def test_parameters_without_gradients_stay_without(self, clip):
        model, x = make_model()
        model[0].requires_grad_(False)
        backward(model, x)
        clip(OURS, model.parameters())
        assert [grad is None for grad in grads(model)] == [True, True, False, False]


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
)
def test_copies_of_a_clipped_module_are_independent(duplicate, clip):
    model, x = make_model()
    backward(model, x)
    twin = duplicate(model)
    backward(twin, x)
    before = [grad.clone() for grad in grads(twin)]
    clip(OURS, model.parameters())
    for grad, old in zip(grads(twin), before, strict=True):
        assert torch.equal(grad, old)
    third = duplicate(model)
    backward(third, x)
    clip(OURS, third.parameters())
    assert OURS.get_total_norm(grads(third)).isfinite()


@pytest.mark.usefixtures("num_threads")
def test_python_threads_with_models_of_their_own(clip):
    start = threading.Barrier(6)

    def train(seed):
        model, x = make_model(seed)
        for _ in range(10):
            backward(model, x)
            clip(OURS, model.parameters())
        return [weight.grad.clone() for weight in model.parameters()]

    def train_at_once(seed):
        start.wait()
        return train(seed)

    expected = [train(seed) for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(train_at_once, range(6)))
    for ours, alone in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, alone, rtol=1e-5, atol=1e-6)


class Rows(torch.utils.data.Dataset):
    """Each worker clips as well: it was forked while the pool of threads was alive."""

    def __len__(self):
        return 12

    def __getitem__(self, i):
        weight = parameter(torch.full((100_000,), float(i + 1)))
        OURS.clip_grad_norm_([weight], 1.0)
        return weight.grad[:8].clone(), i


@pytest.mark.filterwarnings("ignore:os.fork")  # of JAX, if it was imported
@pytest.mark.parametrize("persistent", [False, True])
def test_forked_workers_of_a_data_loader(persistent):
    large = parameter(torch.ones(2_000_000))
    gradclip.set_num_threads(4)
    OURS.clip_grad_norm_([large], 1.0)
    loader = torch.utils.data.DataLoader(
        Rows(),
        batch_size=4,
        num_workers=2,
        multiprocessing_context="fork",
        persistent_workers=persistent,
        timeout=60,
    )
    model, _ = make_model()
    seen = []
    for _ in range(2):
        for rows, index in loader:
            backward(model, rows)
            large.grad.fill_(1.0)
            assert OURS.clip_grad_norm_([large, *model.parameters()], 1.0) > 1.0
            torch.testing.assert_close(rows, torch.full((len(rows), 8), 100_000**-0.5))
            seen += index.tolist()
    assert seen == [*range(12)] * 2
