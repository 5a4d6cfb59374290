"""Torch keeps nothing of a trace once the compiled step is gone."""

import gc
import linecache

import pytest
import torch
from torch.fx import graph_module
from torch.fx.experimental.symbolic_shapes import ShapeEnv

import elman
from elman.errors import UnsupportedStep
from tests.engine.settings import forget

X, H = torch.randn(3, 2, 4, requires_grad=True), torch.zeros(2, 4)


def kept():
    gc.collect()
    environments = sum(type(thing) is ShapeEnv for thing in gc.get_objects())
    sources = [name for name in linecache.cache if "eval_with_key" in name]
    return environments, len(sources), len(graph_module._loader.eval_cache)


def step_of(number, function):
    weight = torch.randn(4, 4, requires_grad=True)

    def step(x, h):
        h = function(h * number + x @ weight)
        return h.softmax(1), h

    return step


def test_of_steps_that_compile():
    elman.scan(step_of(0.5, torch.tanh), X, H, backend="llvm")[0].sum().backward()
    forget()
    before = kept()
    for number in range(3):
        elman.scan(step_of(float(number), torch.tanh), X, H, backend="llvm")[0].sum().backward()
    forget()
    assert kept() == before


def test_of_steps_that_are_refused():
    def uses(number):
        with pytest.raises(UnsupportedStep):
            elman.scan(step_of(float(number), torch.special.i0), X, H, backend="llvm")

    uses(0)
    forget()
    before = kept()
    for number in range(1, 4):
        uses(number)
    forget()
    assert kept() == before
