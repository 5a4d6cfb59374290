"""Python that changes between steps: the plain loop runs, says why, and nothing fake gets out."""

import functools
import gc
import warnings
from typing import ClassVar

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor

import elman
from elman.engine import backends
from elman.errors import UnsupportedStep
from tests.engine.counting_steps import COUNTING, Counting, after
from tests.engine.noting_steps import NOTING

X, H = torch.randn(6, 3, 5), torch.zeros(3, 5)
CASES = {**COUNTING, **NOTING}


@pytest.fixture(autouse=True)
def _warnings_start_anew():
    backends._warned.clear()


@pytest.mark.parametrize("name", CASES)
def test_the_plain_loop_runs_and_leaves_what_it_leaves(name):
    outcomes, before = {}, count_fakes()
    for backend in ("reference", "auto"):
        step, observed, _ = CASES[name]()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            twice = [elman.scan(step, X, H, backend=backend)[0] for _ in range(2)]
        outcomes[backend] = [*twice, observed()]
        assert bool(said) == (backend == "auto"), [str(warning.message) for warning in said]
    require_equal(outcomes["auto"], outcomes["reference"])
    step, _, pattern = CASES[name]()
    with pytest.raises(UnsupportedStep, match=pattern) as caught:
        elman.scan(step, X, H, backend="llvm")
    assert "\n" not in str(caught.value)
    del caught
    gc.collect()
    assert count_fakes() <= before


def count_fakes():
    """Graphs that are kept hold some."""
    return sum(type(each) is FakeTensor for each in gc.get_objects())


def require_equal(found, expected):
    if isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for pair in zip(found, expected, strict=True):
            require_equal(*pair)
    elif isinstance(expected, torch.Tensor):
        assert type(found) is type(expected)
        assert torch.equal(found, expected)
    else:
        assert found == expected


def test_the_grad_mode_of_the_caller_is_seen():
    def step(x, h):
        return after(x, h, 1.0 if torch.is_grad_enabled() else 2.0)

    for mode in (torch.enable_grad, torch.no_grad, torch.enable_grad):
        with mode():
            found = elman.scan(step, X, H, backend="llvm")[0]
            torch.testing.assert_close(found, elman.scan(step, X, H, backend="reference")[0])


def test_a_step_that_raises_at_its_third_call_raises_there():
    calls = []

    def step(x, h):
        calls.append(1)
        if len(calls) == 3:
            raise ValueError("the third")
        return after(x, h, 1.0)

    with pytest.warns(UserWarning, match="list calls"), pytest.raises(ValueError, match="third"):
        elman.scan(step, X, H)
    assert len(calls) == 3


def test_a_backward_hook_that_notes_gradients():
    def run(backend):
        seen = []

        def step(x, h):
            h = torch.tanh(x + h)
            h.register_hook(lambda gradient: seen.append(gradient))
            return h, h

        start = H.clone().requires_grad_()
        elman.scan(step, X, start, backend=backend)[0].sum().backward()
        return seen

    with pytest.warns(UserWarning, match="changes the list seen"):
        found = run("auto")
    torch.testing.assert_close(found, run("reference"))


def test_a_cache_of_the_users_gets_nothing_fake():
    @functools.lru_cache
    def mask(width):
        return torch.tril(torch.ones(width, width))

    def step(x, h):
        return after(x, h @ mask(h.shape[1]), 0.1)

    expected = elman.scan(step, X, H, backend="reference")[0]
    mask.cache_clear()
    torch.testing.assert_close(elman.scan(step, X, H)[0], expected)
    assert type(mask(5)) is torch.Tensor


class Registry:
    """Out of sight: found by a name that is put together."""

    kept: ClassVar[list] = []


def test_what_is_kept_where_nobody_looks_is_found_and_taken_back():
    def step(x, h):
        getattr(globals()["".join(("Reg", "istry"))], "kept").append(h)  # noqa: B009
        return after(x, h, 0.9)

    with pytest.raises(UnsupportedStep, match="keeps a tensor in a list"):
        elman.scan(step, X, H, backend="llvm")
    assert Registry.kept == []


def test_a_lazy_part_is_made_by_the_plain_loop_and_compiled_afterwards():
    class Cell(Counting):
        def forward(self, x, h):
            if not hasattr(self, "weight"):
                self.weight = torch.ones(5) * 0.3
            return after(x, h * self.weight, 1.0)

    cell = Cell()
    with pytest.warns(UserWarning, match=r"sets self\.weight"):
        first = elman.scan(cell, X, H)[0]
    torch.testing.assert_close(elman.scan(cell, X, H, backend="llvm")[0], first)
