"""What share of a training step clipping takes: a small actor-critic in PyTorch, as PPO has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from time import perf_counter, perf_counter_ns
from typing import Any

import numpy as np

from bench.contenders import Contender
from bench.measure import settle
from bench.models import POLICY

MINIBATCH, MAX_NORM, LEARNING_RATE = 64, 0.5, 3e-4  # those of PPO in Stable-Baselines3
STEPS = 20  # timed at once
FEWEST_ROUNDS = 7
SAME = 1e-4  # weights after STEPS steps agree to so much, whoever clips


@dataclass(frozen=True)
class Share:
    """Seconds that a training step takes with a contender, and those of them that clipping does."""

    step: float
    clip: float


class Trainer:
    """An actor and a critic, a minibatch, an optimizer, and somebody who clips."""

    def __init__(self, clip_grad_norm_: Any) -> None:
        """Build them, the same ones each time."""
        import torch

        torch.manual_seed(1)
        nets = [self._net(widths) for widths in POLICY]
        self.actor, self.critic = nets
        self.parameters = [p for net in nets for p in net.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=LEARNING_RATE)
        self.observations = torch.randn(MINIBATCH, POLICY[0][0])
        self.actions = torch.randn(MINIBATCH, POLICY[0][-1])
        self.advantages, self.returns = torch.randn(2, MINIBATCH)
        self.clip_grad_norm_ = clip_grad_norm_
        self.clip_ns = 0

    @staticmethod
    def _net(widths: Sequence[int]) -> Any:
        from torch.nn import Linear, Sequential, Tanh

        layers: list[Any] = []
        for inner, out in pairwise(widths):
            layers += [Linear(inner, out), Tanh()]
        return Sequential(*layers[:-1])

    def step(self) -> None:
        """Take one training step: forward, backward, clip, update."""
        log_likelihood = -((self.actor(self.observations) - self.actions) ** 2).sum(1)
        error = self.critic(self.observations)[:, 0] - self.returns
        loss = (error**2).mean() - (log_likelihood * self.advantages).mean()
        self.optimizer.zero_grad()
        loss.backward()
        start = perf_counter_ns()
        self.clip_grad_norm_(self.parameters, MAX_NORM)
        self.clip_ns += perf_counter_ns() - start
        self.optimizer.step()

    def steps(self) -> Share:
        """Take STEPS steps; return what one of them takes."""
        self.clip_ns = 0
        start = perf_counter_ns()
        for _ in range(STEPS):
            self.step()
        nanoseconds = perf_counter_ns() - start
        return Share(nanoseconds / STEPS / 1e9, self.clip_ns / STEPS / 1e9)

    def weights(self) -> np.ndarray:
        """Return all weights in one array."""
        return np.concatenate([p.detach().numpy().ravel() for p in self.parameters])


def measure(contenders: Sequence[Contender], seconds: float) -> dict[str, Share]:
    """Time gradclip and torch in turns for about `seconds`; torch's `foreach` is its default."""
    from bench.peers import torch as peers

    functions = {peers.GRADCLIP: peers.ours(), peers.TORCH: peers.theirs()}
    trainers = {c.name: Trainer(functions[c]) for c in contenders if c in functions}
    for trainer in trainers.values():
        trainer.steps()
    ours, *others = (trainer.weights() for trainer in trainers.values())
    assert all(np.allclose(ours, weights, SAME, SAME) for weights in others), "different training"

    rounds: dict[str, list[Share]] = {name: [] for name in trainers}
    order, end = list(trainers), perf_counter() + seconds
    while len(rounds[order[0]]) < FEWEST_ROUNDS or perf_counter() < end:
        Random(len(rounds[order[0]])).shuffle(order)
        for name in order:
            settle()
            rounds[name].append(trainers[name].steps())
    return {name: median_round(shares) for name, shares in rounds.items()}


def median_round(shares: Sequence[Share]) -> Share:
    """Return the round whose steps took the median time."""
    return sorted(shares, key=lambda share: share.step)[len(shares) // 2]
