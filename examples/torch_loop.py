"""A PyTorch loop whose clip becomes gradclip's by one line, and what the norms tell about max_norm.

    python3 examples/torch_loop.py [--quick] [--out docs/torch_loop.png]

The loop is as it would be without gradclip: it calls torch.nn.utils.clip_grad_norm_. Some batches
have targets that are far off, as bad data has; their gradients are what is clipped.
"""

import torch
from command import options, save

import gradclip.torch
from gradclip.monitor import NormHistory

MAX_NORM = 2.0

gradclip.torch.install()


def batch(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points and a smooth function of them, one batch in 25 with targets far off."""
    points = torch.rand(64, 8, generator=generator)
    targets = torch.sin(4 * points.sum(dim=1, keepdim=True))
    if torch.rand((), generator=generator) < 0.04:
        targets = 30 * torch.randn(64, 1, generator=generator)
    return points, targets


def main() -> None:
    """Train, print what was clipped, draw the norms."""
    chosen = options(__doc__, "docs/torch_loop.png")
    generator = torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    history = NormHistory()
    for _ in range(10 if chosen.quick else 1000):
        points, targets = batch(generator)
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(points), targets).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        history.record(norm, MAX_NORM)
        optimizer.step()
    print(history.summary())
    save(history.plot(), chosen.out)


if __name__ == "__main__":
    main()
