"""A function as max_norm of gradclip.torch.clip_grad_norm_, which torch's own doesn't take."""

import io
import json
import math

import pytest
from torch_cases import parameters

torch = pytest.importorskip("torch")

import gradclip  # noqa: E402
from gradclip.monitor import NormHistory  # noqa: E402
from gradclip.thresholds import AutoClip, ZClip  # noqa: E402
from gradclip.torch import clip_grad_norm_, installed  # noqa: E402


class Subclass(torch.Tensor):
    """What gradclip leaves to torch."""


PLACES = {"here": torch.Tensor, "left to torch": Subclass}


@pytest.fixture(params=PLACES)
def place(request):
    before = gradclip.torch.handed_over()
    yield PLACES[request.param]
    assert (gradclip.torch.handed_over() > before) == (request.param == "left to torch")


def weights(place, *values):
    return parameters([torch.tensor(value).as_subclass(place) for value in values])


def grads(given):
    return [w.grad.tolist() for w in given]


@pytest.mark.parametrize("norm_type", [1.0, 2.0, math.inf])
def test_it_clips_as_the_threshold_does(norm_type, place):
    given, fixed = (weights(place, [3.0], [4.0, 12.0]) for _ in range(2))
    norms = []
    found = clip_grad_norm_(given, lambda norm: norms.append(norm) or 2.0, norm_type)
    assert found == clip_grad_norm_(fixed, 2.0, norm_type)
    assert norms == [found.item()]
    for ours, of_a_number in zip(given, fixed, strict=True):
        torch.testing.assert_close(ours.grad, of_a_number.grad, rtol=2.0**-22, atol=0)


def test_the_norm_of_what_is_written_is_not_above_the_threshold():
    given = weights(torch.Tensor, [3.0], [4.0, 12.0])
    clip_grad_norm_(given, lambda norm: norm / 7)
    assert math.hypot(*(x for grad in grads(given) for x in grad)) <= 13 / 7


@pytest.mark.parametrize("answer", [math.inf, 13.1])
def test_a_loose_answer_changes_nothing(answer):
    given = weights(torch.Tensor, [3.0], [4.0, 12.0])
    versions = [w.grad._version for w in given]
    clip_grad_norm_(iter(given), lambda norm: answer)
    assert grads(given) == [[3.0], [4.0, 12.0]]
    assert [w.grad._version for w in given] == versions


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_it_is_not_called_for_a_norm_that_is_not_finite(value, place):
    given, fixed = (weights(place, [1.0, value]) for _ in range(2))
    for error_if_nonfinite in (True, False):
        threshold = AutoClip()
        if error_if_nonfinite:
            with pytest.raises(RuntimeError, match="non-finite"):
                clip_grad_norm_(given, threshold, error_if_nonfinite=True)
            assert grads(given)[0][0] == 1.0
        else:
            clip_grad_norm_(given, threshold)
            clip_grad_norm_(fixed, 1.0)
            assert str(grads(given)) == str(grads(fixed))
        assert threshold.state_dict()["norms"] == []


def test_it_is_called_for_no_gradients_too():
    norms = []
    assert clip_grad_norm_([], lambda norm: norms.append(norm) or 1.0) == 0.0
    assert norms == [0.0]


@pytest.mark.parametrize("error", [TypeError, ValueError, RuntimeError, KeyboardInterrupt])
def test_its_errors_pass_through_once_and_nothing_is_written(error, place):
    given, calls = weights(place, [3.0, 4.0]), []

    def fail(norm):
        calls.append(norm)
        raise error("its own")

    with pytest.raises(error, match="its own"):
        clip_grad_norm_(given, fail)
    assert calls == [5.0]
    assert grads(given) == [[3.0, 4.0]]


@pytest.mark.parametrize("answer", [-1.0, math.nan, None])
def test_an_answer_that_is_no_threshold_is_refused(answer, place):
    given = weights(place, [3.0, 4.0])
    with pytest.raises((ValueError, TypeError)):
        clip_grad_norm_(given, lambda norm: answer)
    assert grads(given) == [[3.0, 4.0]]


def train(threshold, steps, start=0):
    for step in range(start, start + steps):
        spike = 9.0 if step % 9 == 8 else 1 + 0.1 * math.sin(step)
        given = weights(torch.Tensor, [3.0 * spike], [4.0 * spike])
        yield clip_grad_norm_(given, threshold).item(), grads(given)


@pytest.mark.parametrize("make", [lambda: AutoClip(50, window=5), lambda: ZClip(warmup_steps=6)])
@pytest.mark.parametrize("carry", ["torch.save", "json"])
def test_training_goes_on_alike_from_a_checkpoint(make, carry):
    whole = make()
    expected = list(train(whole, 40))
    first, second = make(), make()
    before = list(train(first, 17))
    state = json.loads(json.dumps(first.state_dict()))
    if carry == "torch.save":
        file = io.BytesIO()
        torch.save(first.state_dict(), file)
        state = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    second.load_state_dict(state)
    assert before + list(train(second, 23, start=17)) == expected
    assert second.state_dict() == whole.state_dict()


def test_a_history_records_it_in_the_place_of_torchs_function_too():
    history = NormHistory()
    given = weights(torch.Tensor, [3.0], [4.0, 12.0])
    with installed():
        torch.nn.utils.clip_grad_norm_(given, history.threshold(6.5))
    assert history.norms.tolist() == [13.0]
    assert history.factors.tolist() == [0.5]
