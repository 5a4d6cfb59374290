"""A fault of ours inside a pass costs no run; errors of others pass."""

import pytest
import torch
from torch import nn

import elman
from elman.engine.run.compiled import CompiledStep
from tests.engine.run.test_gradients import ROWS, STEPS, WEIGHT, WIDTH, leaves, loop, step


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_fault_costs_no_run(direction, monkeypatch):
    def broken(*_, **__):
        raise KeyError("a fault")

    x, h = leaves()
    expected, _ = loop(x, h)
    monkeypatch.setattr(CompiledStep, direction, broken)

    def faulty_step(x, h, direction=direction):
        return step(x, h)

    def run():
        output, _ = elman.scan(faulty_step, x, h)
        return output, torch.autograd.grad(output.sum(), [x, h, WEIGHT])

    with pytest.warns(UserWarning, match=r"faulty_step.*KeyError.*a fault"):
        output, found = run()
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(found, torch.autograd.grad(expected.sum(), [x, h, WEIGHT]))


def test_a_fault_after_random_draws_is_named(monkeypatch):
    drop = nn.Dropout(0.5)
    x, h = leaves()

    def dropping(x, h):
        return drop(x) + h @ WEIGHT, h

    output, _ = elman.scan(dropping, x, h)
    monkeypatch.setattr(CompiledStep, "backward", lambda *_, **__: [].pop())
    with pytest.raises(elman.errors.UnsupportedStep, match=r"dropping draws random numbers"):
        output.sum().backward()


@pytest.mark.parametrize("error", [MemoryError("full"), KeyboardInterrupt()], ids=repr)
def test_other_errors_pass(error, monkeypatch):
    def raising(*_, **__):
        raise error

    x, h = leaves()
    output, _ = elman.scan(step, x, h)
    monkeypatch.setattr(CompiledStep, "backward", raising)
    with pytest.raises(type(error)):
        output.sum().backward()


def test_a_users_error_in_a_compiled_part_is_raised_as_it_is():
    table = nn.Embedding(5, WIDTH)

    def looking_up(token, h):
        h = torch.tanh(table(token) + h)
        return h, h

    elman.scan(looking_up, torch.zeros(STEPS, ROWS, dtype=torch.long), torch.zeros(ROWS, WIDTH))
    with pytest.raises(IndexError):
        elman.scan(
            looking_up, torch.full((STEPS, ROWS), 9), torch.zeros(ROWS, WIDTH), backend="auto"
        )
