"""Small calls go to torch.nn; the tests of the compiled layers want them compiled."""

import pytest

from elman.layers import drop_in, drop_in_cells


@pytest.fixture
def always_compiled(monkeypatch):
    """The compiled loop runs whatever it can; the calls that did are counted."""
    calls = []
    for module in (drop_in, drop_in_cells):
        run = module.run_auto
        monkeypatch.setattr(module, "compiled_is_faster", lambda *_: True)
        monkeypatch.setattr(module, "run_auto", lambda *a, run=run: calls.append(1) or run(*a))
    return calls
