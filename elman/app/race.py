"""One cell trained as a Python loop and through the compiled loop, side by side."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from elman.engine import scan

STEPS, ROWS, INPUTS, HIDDEN = 100, 32, 16, 64
BACKENDS = {"Python loop": "reference", "elman.scan": "auto"}


@dataclass
class Race:
    """seconds: of a training step, the median, for each way to run it. difference: between their
    losses and gradients, as a share of the largest number."""

    seconds: dict[str, float]
    difference: float

    @property
    def ratio(self) -> float:
        return self.seconds["Python loop"] / self.seconds["elman.scan"]


def race(cell_class: type[nn.Module], budget: float = 3.0) -> Race:
    """Check that both ways give the same gradients, then train with each in turn.

    The task is to give back the sum of what was seen so far, which needs the state.
    """
    torch.manual_seed(0)
    cell, read_out = cell_class(INPUTS, HIDDEN), nn.Linear(HIDDEN, INPUTS)
    optimizer = torch.optim.Adam([*cell.parameters(), *read_out.parameters()], 1e-3)
    x = torch.randn(STEPS, ROWS, INPUTS) * 0.1
    goal = x.cumsum(0)

    def loss_of(backend: str) -> Tensor:
        hidden, _ = scan(cell, x, torch.zeros(ROWS, HIDDEN), backend=backend)
        loss: Tensor = (read_out(hidden) - goal).square().mean()
        return loss

    difference = _difference(loss_of, list(cell.parameters()))
    times: dict[str, list[float]] = {name: [] for name in BACKENDS}
    begin = time.perf_counter()
    while time.perf_counter() - begin < budget or len(times["Python loop"]) < 3:
        for name, backend in BACKENDS.items():
            for counts in (False, True):  # the first one warms up after the other's turn
                start = time.perf_counter()
                optimizer.zero_grad()
                loss_of(backend).backward()
                optimizer.step()
                if counts:
                    times[name].append(time.perf_counter() - start)
    return Race({name: statistics.median(found) for name, found in times.items()}, difference)


def _difference(loss_of: Callable[[str], Tensor], parameters: list[Tensor]) -> float:
    found = []
    for backend in BACKENDS.values():
        loss = loss_of(backend)
        found.append([loss.detach(), *torch.autograd.grad(loss, parameters)])
    return max(
        float((a - b).abs().max() / b.abs().max().clamp(min=1e-12))
        for a, b in zip(*found, strict=True)
    )
