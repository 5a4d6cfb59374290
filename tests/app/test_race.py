"""The demo's race: equality first, then the ratio."""

from elman.app.own_cell import Leaky
from elman.app.race import race


def test_both_ways_are_timed_and_give_the_same_gradients():
    found = race(Leaky, budget=0.05)
    assert found.difference < 1e-4
    assert set(found.seconds) == {"Python loop", "elman.scan"}
    assert found.ratio == found.seconds["Python loop"] / found.seconds["elman.scan"] > 0


def test_a_wrong_gradient_would_show(monkeypatch):
    from elman.app import race as module

    real = module.scan

    def wrong(cell, x, state, backend):
        output, final = real(cell, x, state, backend=backend)
        return output * (1.01 if backend == "auto" else 1.0), final

    monkeypatch.setattr(module, "scan", wrong)
    assert race(Leaky, budget=0.05).difference > 1e-3
