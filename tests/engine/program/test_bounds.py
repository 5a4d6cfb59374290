"""Bounds of integers against all values that int8 numbers can take."""

import pytest
import torch
from torch import fx
from torch.fx.experimental.proxy_tensor import make_fx

from elman.engine.program.bounds import find_bounds

ALL = torch.arange(-128, 128)
A, B = (grid.flatten().to(torch.int8) for grid in torch.meshgrid(ALL, ALL, indexing="ij"))

TIGHT = {
    "add": lambda a, b: a.long() + b, "sub": lambda a, b: a.long() - b,
    "mul": lambda a, b: a.long() * b.long(), "neg": lambda a, b: -a.long(),
    "abs": lambda a, b: a.long().abs(), "sign": lambda a, b: a.sign(),
    "minimum": lambda a, b: torch.minimum(a.clamp(-3, 9), b), "clamp": lambda a, b: a.clamp(-5, 7),
    "maximum": lambda a, b: torch.maximum(a, b.clamp(2, 4)), "remainder": lambda a, b: a % 7,
    "fmod": lambda a, b: torch.fmod(a, 7), "square": lambda a, b: a.long() ** 2,
    "rsub": lambda a, b: 3 - a.long(),
    "cat": lambda a, b: torch.cat([a.clamp(0, 3), b.clamp(-2, 1)]), "flags": lambda a, b: a > b,
    "where": lambda a, b: torch.where(a > b, a.clamp(-9, 3), 40),
    "counts": lambda a, b: (a > b) * 3,
}  # fmt: skip
SAFE = {
    "full": lambda a, b: torch.full_like(a, 5) + 2, "places": lambda a, b: torch.arange(2, 9)[1:],
    "cube": lambda a, b: a.long() ** 3,
    "alpha": lambda a, b: torch.sub(a.long(), b, alpha=-3), "wraps": lambda a, b: a + b,
    "wraps twice": lambda a, b: (a * b).long() + 1,
    "narrowed": lambda a, b: (a.long() * 3).to(torch.int8),
    "sum": lambda a, b: a.view(-1, 4).sum(1),
    "sum of counts": lambda a, b: (a > b).view(-1, 8).sum(1),
    "unknown": lambda a, b: a.long() << 2, "by a variable": lambda a, b: a % (b.abs() | 1),
    "fourth": lambda a, b: a.long() ** 4, "floor": lambda a, b: torch.floor(a) - 1,
    "from floats": lambda a, b: (a / 3).to(torch.int8),
    "unsigned": lambda a, b: -(a.to(torch.uint8)),
    "argmax": lambda a, b: a.view(-1, 4).argmax(1), "product": lambda a, b: a.long() * b * a,
}  # fmt: skip


def bounds_of(function):
    graph = make_fx(function, tracing_mode="fake")(A, B).graph
    find_bounds(graph)
    result = next(node for node in graph.nodes if node.op == "output").args[0]
    assert isinstance(result, fx.Node)
    return result.meta["bounds"]


@pytest.mark.parametrize("name", [*TIGHT, *SAFE])
def test_bounds_hold_all_values(name):
    low, high = bounds_of({**TIGHT, **SAFE}[name])
    values = {**TIGHT, **SAFE}[name](A, B).long()
    assert low <= values.min()
    assert values.max() <= high


@pytest.mark.parametrize("name", TIGHT)
def test_bounds_are_no_wider_than_the_values(name):
    values = TIGHT[name](A, B).long()
    assert bounds_of(TIGHT[name]) == (values.min(), values.max())
