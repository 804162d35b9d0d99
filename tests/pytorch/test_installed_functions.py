"""While gradclip's functions are installed, torch's names call them, with torch's results."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from torch_places import THEIRS, in_place, utils

import gradclip

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("torchs_own_functions")


@pytest.fixture
def calls(monkeypatch):
    """Names of gradclip's native functions, as they are called."""
    called = []

    def spy(name):
        function = getattr(gradclip._gradclip, name)

        def call(*args):
            called.append(name)
            return function(*args)

        return call

    for name in ("_clip_grad_norm", "_get_total_norm", "_clip_grads_with_norm", "_clip_grad_value"):
        monkeypatch.setattr(gradclip._gradclip, name, spy(name))
    return called


def parameter(*grad):
    result = torch.nn.Parameter(torch.zeros(len(grad)))
    result.grad = torch.tensor(grad)
    return result


def sparse_parameter():
    result = torch.nn.Parameter(torch.zeros(3))
    result.grad = torch.tensor([3.0, 0.0, 4.0]).to_sparse()
    return result


class Weights(torch.nn.Parameter):
    pass


def parameter_of_a_subclass():
    result = Weights(torch.zeros(2))
    result.grad = torch.tensor([3.0, 4.0]).as_subclass(Weights)
    return result


def test_a_function_imported_by_name_before_goes_through_gradclips_halves(calls):
    by_name = THEIRS[utils, "clip_grad_norm_"]
    weight = parameter(3.0, 4.0)
    assert by_name([weight], 10.0) == 5.0
    assert calls == []
    with gradclip.torch.installed():
        assert by_name([weight], 1.0) == 5.0
    assert calls == ["_get_total_norm", "_clip_grads_with_norm"]
    expected = parameter(3.0, 4.0)
    gradclip.torch.clip_grad_norm_([expected], 1.0)
    torch.testing.assert_close(weight.grad, expected.grad, rtol=2e-7, atol=0)


def test_the_replaced_functions_are_called(calls):
    weight = parameter(3.0, 4.0)
    with gradclip.torch.installed():
        assert utils.clip_grad_norm_(weight, 1.0) == 5.0
        utils.clip_grads_with_norm_(weight, 1.0, utils.get_total_norm([weight.grad]))
        utils.clip_grad_value_(weight, 0.5)
    assert calls == [
        *("_clip_grad_norm", "_get_total_norm", "_clip_grads_with_norm", "_clip_grad_value")
    ]


def test_the_deprecated_function_works(calls):
    weight = parameter(3.0, 4.0)
    with gradclip.torch.installed(), pytest.warns(FutureWarning, match="clip_grad_norm_"):
        assert utils.clip_grad_norm([weight], 1.0) == 5.0
    assert calls == ["_clip_grad_norm"]
    torch.testing.assert_close(weight.grad, torch.tensor([0.6, 0.8]))


def calls_left_to_torch():
    def clip_norm():
        weight = parameter_of_a_subclass()
        return utils.clip_grad_norm_([weight], 1.0), weight.grad

    def clip_with_norm():
        weight = sparse_parameter()
        utils.clip_grads_with_norm_([weight], 1.0, torch.tensor(5.0), foreach=False)
        return weight.grad.to_dense()

    def clip_value():
        weight = parameter(3.0, -4.0)
        utils.clip_grad_value_([weight, weight], 1.0)
        return weight.grad

    def twice():
        weight = parameter(3.0, 4.0)
        return utils.clip_grad_norm_([weight, weight], 1.0), weight.grad

    def zeroth():
        return utils.get_total_norm([torch.ones(3), torch.ones(2)], 0)

    return [clip_norm, clip_with_norm, clip_value, twice, zeroth]


@pytest.mark.parametrize("call", calls_left_to_torch(), ids=lambda call: call.__name__)
def test_a_call_left_to_torch_has_torchs_result_and_counts_once(call):
    expected = call()
    before = gradclip.torch.handed_over()
    with gradclip.torch.installed():
        found = call()
    assert gradclip.torch.handed_over() - before == 1
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_torchs_errors_come_through_once():
    bad = [torch.ones(2), "no tensor"]
    with pytest.raises((AttributeError, RuntimeError, TypeError)) as expected:
        utils.get_total_norm(bad)
    before = gradclip.torch.handed_over()
    with gradclip.torch.installed(), pytest.raises(type(expected.value)) as found:
        utils.get_total_norm(bad)
    assert str(found.value) == str(expected.value)
    assert gradclip.torch.handed_over() - before == 1


def test_threads_that_install_and_clip_at_once():
    start = threading.Barrier(8)

    def run(i):
        start.wait()
        for _ in range(100):
            if i % 2:
                gradclip.torch.install()
            weight = parameter(3.0, 4.0)
            assert utils.clip_grad_norm_([weight], 1.0) == 5.0
            torch.testing.assert_close(weight.grad, torch.tensor([0.6, 0.8]))
            if i % 4 == 1:
                gradclip.torch.uninstall()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    gradclip.torch.uninstall()
    assert in_place() == THEIRS


def test_threads_count_what_they_leave_to_torch():
    before = gradclip.torch.handed_over()

    def run(_):
        for _ in range(50):
            gradclip.torch.get_total_norm([torch.ones(2), torch.ones(1)], 0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    assert gradclip.torch.handed_over() - before == 8 * 50
