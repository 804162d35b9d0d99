"""Trainers that clip by themselves: with gradclip installed, they train as with torch's functions.

Stochastic gradient descent, since adaptive optimizers undo what scales all gradients.
"""

import pytest

import gradclip

torch = pytest.importorskip("torch")

# The libraries' own, about devices, workers and checkpoints.
pytestmark = pytest.mark.filterwarnings("ignore")

STEPS = 4
MAX_NORM = 0.05
CLIP_VALUE = 0.003


@pytest.fixture
def train_both(monkeypatch):
    """Train with torch's functions, then with gradclip's, which have to be called and to clip."""

    def train_both(train, native, changed, calls=STEPS):
        results, function = [], getattr(gradclip._gradclip, native)

        def spy(parameters, *args):
            before = [p.grad.clone() for p in parameters if p.grad is not None]
            result = function(parameters, *args)
            after = [p.grad for p in parameters if p.grad is not None]
            results.append(changed(before, after, result))
            return result

        monkeypatch.setattr(gradclip._gradclip, native, spy)
        expected = train()
        assert results == []
        handed_over = gradclip.torch.handed_over()
        with gradclip.torch.installed():
            found = train()
        assert gradclip.torch.handed_over() == handed_over
        assert results == [True] * calls
        torch.testing.assert_close(found, expected, rtol=2e-6, atol=1e-8)

    return train_both


def scaled(before, after, norm):
    found = torch.cat([grad.flatten() for grad in after])
    return bool(norm > MAX_NORM and found.double().norm() <= MAX_NORM and len(before) == len(after))


def clamped(before, after, _):
    largest = [max(grad.abs().max().item() for grad in grads) for grads in (before, after)]
    return largest[0] > CLIP_VALUE and largest[1] == torch.tensor(CLIP_VALUE).item()


def make_model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))


def make_data():
    torch.manual_seed(1)
    return torch.utils.data.TensorDataset(torch.randn(STEPS * 4, 8), torch.randn(STEPS * 4, 1))


def weights(model):
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def loss_of(model, batch):
    x, y = batch
    return torch.nn.functional.mse_loss(model(x), y)


@pytest.mark.parametrize(
    ("algorithm", "clip_val", "native", "changed"),
    [
        ("norm", MAX_NORM, "_clip_grad_norm", scaled),
        ("value", CLIP_VALUE, "_clip_grad_value", clamped),
    ],
)
def test_lightning(train_both, tmp_path, algorithm, clip_val, native, changed):
    lightning = pytest.importorskip("pytorch_lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = make_model()

        def training_step(self, batch, _):
            return loss_of(self.model, batch)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=1.0)

    def train():
        module = Module()
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_steps=STEPS,
            gradient_clip_val=clip_val,
            gradient_clip_algorithm=algorithm,
            default_root_dir=tmp_path,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, torch.utils.data.DataLoader(make_data(), batch_size=4))
        return weights(module)

    train_both(train, native, changed)


def test_hugging_face_trainer(train_both, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("accelerate")
    transformers = pytest.importorskip("transformers")

    def train():
        config = transformers.GPT2Config(
            vocab_size=16, n_positions=8, n_embd=8, n_layer=2, n_head=2, bos_token_id=0
        )
        transformers.set_seed(0)
        model = transformers.GPT2LMHeadModel(config)
        tokens = torch.randint(0, 16, (STEPS * 2, 8))
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=STEPS,
            per_device_train_batch_size=2,
            max_grad_norm=MAX_NORM,
            optim="sgd",
            learning_rate=1.0,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        data = [{"input_ids": row, "labels": row} for row in tokens]
        transformers.Trainer(model, arguments, train_dataset=data).train()
        return weights(model)

    train_both(train, "_clip_grad_norm", scaled)


@pytest.mark.parametrize(
    ("method", "threshold", "native", "changed"),
    [
        ("clip_grad_norm_", MAX_NORM, "_clip_grad_norm", scaled),
        ("clip_grad_value_", CLIP_VALUE, "_clip_grad_value", clamped),
    ],
)
def test_accelerate(train_both, method, threshold, native, changed):
    accelerate = pytest.importorskip("accelerate")

    def train():
        accelerator = accelerate.Accelerator(cpu=True)
        model = make_model()
        model, optimizer, loader = accelerator.prepare(
            model,
            torch.optim.SGD(model.parameters(), lr=1.0),
            torch.utils.data.DataLoader(make_data(), batch_size=4),
        )
        for batch in loader:
            optimizer.zero_grad()
            accelerator.backward(loss_of(model, batch))
            getattr(accelerator, method)(model.parameters(), threshold)
            optimizer.step()
        return weights(accelerator.unwrap_model(model))

    train_both(train, native, changed)


def test_stable_baselines3(train_both):
    gymnasium = pytest.importorskip("gymnasium")
    stable_baselines3 = pytest.importorskip("stable_baselines3")

    class Countdown(gymnasium.Env):
        """Five steps long; an action of 1 is rewarded."""

        observation_space = gymnasium.spaces.Box(0.0, 1.0, (2,))
        action_space = gymnasium.spaces.Discrete(2)

        def observation(self):
            return [self.left / 5, 1.0]

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.left = 5
            return self.observation(), {}

        def step(self, action):
            self.left -= 1
            return self.observation(), float(action), self.left == 0, False, {}

    def train():
        agent = stable_baselines3.A2C(
            "MlpPolicy",
            Countdown(),
            learning_rate=1.0,
            n_steps=5,
            max_grad_norm=MAX_NORM,
            use_rms_prop=False,
            policy_kwargs={"net_arch": [8], "optimizer_class": torch.optim.SGD},
            seed=0,
            device="cpu",
        )
        return weights(agent.learn(STEPS * 5).policy)

    train_both(train, "_clip_grad_norm", scaled)
