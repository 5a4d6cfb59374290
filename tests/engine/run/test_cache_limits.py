"""What the cache keeps and forgets; refusals; threads and forks."""

import gc
import os
import threading
import time
import warnings
import weakref
from dataclasses import dataclass

import pytest
import torch

import elman
from elman.engine.run import cache, series
from elman.engine.run.store import Store

# All of these steps are of one line's code, so in the end the cache has something to say.
pytestmark = pytest.mark.filterwarnings("ignore:elman.scan has compiled")

X, H = torch.randn(4, 3, 5), torch.zeros(3, 5)


@pytest.fixture
def compilations(monkeypatch):
    """One entry for each trace of a step."""
    found, trace = [], cache.trace
    monkeypatch.setattr(cache, "trace", lambda *given: found.append(given) or trace(*given))
    return found


@pytest.fixture
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def step_times(number):
    """A step of its own kind for each number."""
    return lambda x, h: (h, h * number + x)


@dataclass
class Thing:
    size: int = 1


def test_what_was_not_used_for_longest_goes_first():
    store = Store(most=3, most_bytes=100)
    for name in "abc":
        store.put(name, Thing())
    store.get("a")
    store.put("d", Thing())
    assert [name for name in "abcd" if store.get(name) is not None] == ["a", "c", "d"]


def test_bytes_are_counted_and_growth_is_seen():
    store = Store(most=100, most_bytes=100)
    small, large = Thing(10), Thing(60)
    store.put("small", small)
    store.put("large", large)
    assert store.bytes() == 70
    large.size = 95
    store.put("large", large)
    assert store.get("small") is None
    store.put("huge", Thing(1000))
    assert len(store) == 1
    assert store.get("huge") is not None


def test_a_dropped_compilation_is_gone(monkeypatch):
    monkeypatch.setattr(cache, "_entries", Store(2, 1 << 30))
    gone = []
    for number in range(4):
        elman.scan(step_times(number), X, H, backend="llvm")
        newest = next(reversed(cache._entries._things.values()))
        gone.append(weakref.ref(next(iter(newest._exact.values())).compiled))
        del newest
    gc.collect()
    assert [ref() is None for ref in gone] == [True, True, False, False]


def test_the_limit_in_bytes_holds(monkeypatch):
    one = Store(100, 1)
    monkeypatch.setattr(cache, "_entries", one)
    for number in range(3):
        elman.scan(step_times(number), X, H, backend="llvm")
        assert len(one) == 1
        assert one.bytes() > 10_000


def test_what_was_only_forgotten_has_not_changed(monkeypatch, recwarn):
    monkeypatch.setattr(cache, "_entries", Store(1, 1))
    first, second = step_times(3), torch.nn.Tanh()
    for _ in range(series.PATIENCE + 3):
        elman.scan(first, X, H, backend="llvm")
        elman.scan(lambda x, h: (h, second(x + h)), X, H, backend="llvm")
    assert not recwarn


def test_a_warning_that_the_user_wants_raised_is_raised():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="9 times"):
            [elman.scan(step_times(number), X, H) for number in range(20)]


def test_closures_made_anew_share_a_compilation(compilations):
    for _ in range(5):
        elman.scan(step_times(3), X, H, backend="llvm")
    assert len(compilations) <= 1


def test_a_step_that_breaks_its_contract_is_traced_once(compilations):
    def step(x, h):
        return x, h[:, :2]

    for _ in range(3):
        with pytest.raises(elman.errors.StepError, match=r"\(3, 5\).*\(3, 2\)"):
            elman.scan(step, X, H)
    assert len(compilations) == 1


def test_a_step_that_depends_on_values_is_traced_once(compilations, quiet):
    def step(x, h):
        return h, h + x if h.sum() > 0 else h - x

    for _ in range(3):
        elman.scan(step, X, H)
    assert len(compilations) == 1


def test_a_tensor_that_can_not_be_followed_is_tried_once(compilations):
    hidden = torch.ones(5)
    hidden_id = id(hidden)

    def find():
        return next(o for o in gc.get_objects() if id(o) == hidden_id)

    def step(x, h):
        return h, h + x * find()

    for _ in range(3):
        with pytest.raises(elman.errors.UnsupportedStep, match="makes or finds"):
            elman.scan(step, X, H, backend="llvm")
    assert len(compilations) == 1


def test_a_refused_step_that_keeps_changing_is_tried_less_and_less(compilations, quiet):
    cell = torch.nn.Module()
    cell.count = 0

    def step(x, h):
        return h, h + x * cell.count if h.sum() > 0 else h - x

    for number in range(60):
        cell.count = number
        found, _ = elman.scan(step, X, H)
        assert torch.equal(found, elman.scan(step, X, H, backend="reference")[0])
    assert series.PATIENCE <= len(compilations) <= series.PATIENCE + 6


class Model(torch.nn.Module):
    """Keeps a record of its training where its step can reach it."""

    def __init__(self, function):
        super().__init__()
        self.layer = torch.nn.Linear(5, 5)
        self.function = function
        self.losses = []

    def step(self, x, h):
        h = self.function(self.layer(h) + x)
        return h, h

    def forward(self, x, h):
        return self.step(x, h)


MODEL = Model(torch.tanh)
STEPS = {
    "the module": lambda model: model,
    "a method": lambda model: model.step,
    "a function in a function": lambda model: lambda x, h: model(x, h),
    "a function of a global": lambda model: lambda x, h: MODEL(x, h),
}


def trained(model, step_of, calls):
    for number in range(calls):
        elman.scan(step_of(model), X, H)
        model.losses.append(number)


@pytest.mark.filterwarnings("default:elman.scan has compiled")
@pytest.mark.parametrize("name", STEPS)
def test_a_step_made_anew_from_what_keeps_growing_is_spoken_of(name):
    model = MODEL if "global" in name else Model(torch.tanh)
    with pytest.warns(UserWarning, match=r"can reach keeps changing \(.*losses") as caught:
        trained(model, STEPS[name], series.PATIENCE + 2)
    assert len(caught) == 1


@pytest.mark.parametrize("name", STEPS)
def test_a_refused_step_made_anew_is_tried_less_and_less(name, compilations, quiet):
    model = MODEL if "global" in name else Model(torch.atan)
    model.function = torch.atan
    trained(model, STEPS[name], 30)
    model.function = torch.tanh
    assert len(compilations) <= 12


def test_a_step_that_becomes_possible_is_compiled_again(compilations, quiet):
    settings = {"count": 0, "checks": True}

    def step(x, h):
        if settings["checks"] and h.sum() > 1e9:
            return h, h
        return h, h + x * settings["count"]

    for number in range(30):
        settings["count"] = number
        elman.scan(step, X, H)
    settings["checks"] = False
    for _ in range(40):
        elman.scan(step, X, H)
    elman.scan(step, X, H, backend="llvm")


def test_threads_that_compile_at_once_get_right_results_and_compile_once(compilations):
    steps = [step_times(number) for number in (101, 102)]
    found = {}

    def call(number):
        found[number] = elman.scan(steps[number % 2], X, H, backend="llvm")[1]

    threads = [threading.Thread(target=call, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(compilations) == 2
    for number, state in found.items():
        expected = elman.scan(steps[number % 2], X, H, backend="reference")[1]
        torch.testing.assert_close(state, expected)


def compiling_elsewhere(step, monkeypatch):
    """Another thread that compiles a step until it is set free, and the real `trace`."""
    waiting, free, trace = threading.Event(), threading.Event(), cache.trace

    def slow(*given):
        waiting.set()
        assert free.wait(30)
        return trace(*given)

    monkeypatch.setattr(cache, "trace", slow)
    other = threading.Thread(target=elman.scan, args=(step, X, H))
    other.start()
    assert waiting.wait(30)
    return free, other, trace


def test_a_hit_does_not_wait_for_another_threads_compilation(monkeypatch):
    ready = step_times(7)
    elman.scan(ready, X, H, backend="llvm")
    free, other, _ = compiling_elsewhere(step_times(8), monkeypatch)
    started = time.monotonic()
    for step in (ready, step_times(7)):  # one that is known, and one that is read anew
        elman.scan(step, X, H, backend="llvm")
    assert time.monotonic() - started < 10
    assert not free.is_set()
    free.set()
    other.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_forked_while_another_thread_compiles(monkeypatch):
    free, other, trace = compiling_elsewhere(step_times(9), monkeypatch)
    child = os.fork()
    if child == 0:
        cache.trace = trace
        elman.scan(step_times(10), X, H, backend="llvm")
        os._exit(0 if gc.isenabled() else 1)
    for _ in range(300):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.1)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        status = -1
    free.set()
    other.join()
    assert status == 0
