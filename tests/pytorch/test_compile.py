"""Training steps under torch.compile: the graph breaks at the clip, and results stay the same."""

import contextlib
import warnings

import pytest

import gradclip

torch = pytest.importorskip("torch")

# torch's own, about its deprecated parts, when it loads its compiler.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

STEPS = 3


@pytest.fixture(autouse=True)
def fresh_compiler():
    """Compile for each test anew, and leave no call to torch's functions."""
    torch._dynamo.reset()
    handed_over = gradclip.torch.handed_over()
    yield
    assert gradclip.torch.handed_over() == handed_over
    torch._dynamo.reset()


@pytest.fixture
def clips(monkeypatch):
    """The number of times that gradclip clipped, in a list."""
    calls = []

    def spy(name):
        function = getattr(gradclip._gradclip, name)

        def call(*args):
            calls.append(name)
            return function(*args)

        return torch.compiler.disable(call)

    for name in ("_clip_grad_norm", "_clip_grad_value"):
        monkeypatch.setattr(gradclip._gradclip, name, spy(name))
    return calls


def make():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4))
    return model, torch.optim.SGD(model.parameters(), lr=0.1), torch.randn(32, 8)


def by_gradclip(model):
    return gradclip.torch.clip_grad_norm_(model.parameters(), 0.01)


def by_gradclip_value(model):
    return gradclip.torch.clip_grad_value_(model.parameters(), 0.001)


def by_torch(model):
    return torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)


def by_torch_value(model):
    return torch.nn.utils.clip_grad_value_(model.parameters(), 0.001)


CLIPS = {
    "direct norm": (by_gradclip, contextlib.nullcontext),
    "direct value": (by_gradclip_value, contextlib.nullcontext),
    "installed norm": (by_torch, gradclip.torch.installed),
    "installed value": (by_torch_value, gradclip.torch.installed),
}


@pytest.fixture(params=CLIPS.values(), ids=CLIPS.keys())
def clip(request):
    """Clip directly, and by torch's names while gradclip is installed."""
    function, context = request.param
    with context():
        yield function


def step_with(clip):
    def step(model, optimizer, x):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        norm = clip(model)
        optimizer.step()
        return norm

    return step


def train(step, model, optimizer, x):
    norms = [step(model, optimizer, x) for _ in range(STEPS)]
    return norms, [weight.detach().clone() for weight in model.parameters()]


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_step_is_as_one_that_is_not(backend, clip, clips):
    step = step_with(clip)
    expected = train(step, *make())
    assert len(clips) == STEPS
    assert_same(train(torch.compile(step, backend=backend), *make()), expected)
    assert len(clips) == 2 * STEPS


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_model_and_a_clip_that_is_not(backend, clip, clips):
    expected = train(step_with(clip), *make())
    model, optimizer, x = make()
    compiled = torch.compile(model, backend=backend)
    assert_same(train(step_with(clip), compiled, optimizer, x), expected)
    assert len(clips) == 2 * STEPS


def test_a_compiled_optimizer_after_a_clip_that_is_not(clip, clips):
    expected = train(step_with(clip), *make())
    model, optimizer, x = make()
    optimizer.step = torch.compile(optimizer.step, backend="eager")
    assert_same(train(step_with(clip), model, optimizer, x), expected)
    assert len(clips) == 2 * STEPS


def test_a_clip_that_is_compiled_by_itself(clip, clips):
    def clipped(function):
        model, _, x = make()
        model(x).square().mean().backward()
        function(model)
        return [weight.grad for weight in model.parameters()]

    assert_same(clipped(torch.compile(clip, backend="eager")), clipped(clip))
    assert len(clips) == 2


def test_no_warning_is_of_gradclip(clip):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(torch.compile(step_with(clip), backend="eager"), *make())
    assert [str(w.message) for w in caught if "gradclip" in str(w.message) + w.filename] == []


def test_the_number_of_compilations_does_not_grow(clip):
    step = torch.compile(step_with(clip), backend="eager")
    state = make()
    train(step, *state)
    with torch._dynamo.config.patch(error_on_recompile=True):
        train(step, *state)


def test_a_graph_without_breaks_is_refused_by_the_compiler(clip, clips):
    model, _, x = make()
    model(x).square().mean().backward()
    before = [weight.grad.clone() for weight in model.parameters()]
    with pytest.raises(torch._dynamo.exc.Unsupported):
        torch.compile(clip, backend="eager", fullgraph=True)(model)
    assert clips == []
    assert all(map(torch.equal, before, (weight.grad for weight in model.parameters())))
