"""gradclip's threads beside torch's: the work of either is right while the other is at it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pool_work import EXPECTED, digest, sample

import gradclip

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("nothing_is_left_to_torch")


def multiplies(done):
    """Keep torch's workers busy; tell whether its products were right."""
    half = torch.full((300, 300), 0.5, dtype=torch.float64)
    right = True
    while not done.is_set():
        right &= bool((half @ half == 75.0).all())
    return right


def backpropagates(done):
    """Keep torch's autograd busy; tell whether its gradients were right."""
    right = True
    while not done.is_set():
        weight = torch.ones(200_000, requires_grad=True)
        (weight * 3.0).sum().backward()
        right &= bool((weight.grad == 3.0).all())
    return right


def clips_tensors():
    arrays = sample()
    norm = gradclip.clip_by_global_norm_([torch.from_numpy(array) for array in arrays], 0.5)
    return (norm, digest(*arrays)) == EXPECTED


def clips_parameters():
    """Torch's 1e-6 makes it another clip than that of tensors: only all-alike is known of it."""
    parameter = torch.nn.Parameter(torch.zeros(1 << 20, dtype=torch.float64))
    parameter.grad = torch.full_like(parameter, 2.0)
    norm = gradclip.torch.clip_grad_norm_([parameter], 512.0)
    gradients = parameter.grad
    alike = bool((gradients == gradients[0]).all())
    return float(norm) == 2048.0 and alike and 0.4999 < float(gradients[0]) <= 0.5


@pytest.mark.parametrize("count", [3, 64])
def test_clips_and_torch_s_own_work_at_once(count):
    gradclip.set_num_threads(count)
    done = threading.Event()
    with ThreadPoolExecutor(4) as pool:
        torchs = [pool.submit(work, done) for work in (multiplies, backpropagates)]
        other = pool.submit(lambda: [clips_tensors() for _ in range(10)])
        found = [clips_parameters() and clips_tensors() for _ in range(10)] + other.result()
        done.set()
        assert [work.result() for work in torchs] == [True, True]
    assert found == [True] * 20
