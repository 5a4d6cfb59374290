"""What a step reads through functions, modules and classes: a change is seen at the next call."""

import functools
import sys
import types

import pytest
import torch
from torch import nn

import elman

X, H = torch.ones(3, 1, 1), torch.ones(1, 1)


def both(step):
    found, expected = (elman.scan(step, X, H, backend=b)[1].item() for b in ("llvm", "reference"))
    assert found == pytest.approx(expected, rel=1e-6)
    return found


def require_seen(step, change):
    before = both(step)
    assert both(step) == before
    change()
    assert both(step) != before


class Base:
    rate = 0.5

    def scaled(self, h):
        return h * 2


class Derived(Base):
    pass


def helper(h):
    return h * 0.5


THING = Derived()


def test_a_method_that_is_replaced_on_a_base_class(monkeypatch):
    def step(x, h):
        return h, THING.scaled(h) + x

    require_seen(step, lambda: monkeypatch.setattr(Base, "scaled", lambda self, h: h * 3))


def test_a_function_that_is_replaced(monkeypatch):
    def step(x, h):
        return h, helper(h) + x

    require_seen(step, lambda: monkeypatch.setattr(sys.modules[__name__], "helper", lambda h: h))


def test_a_global_that_appears_and_disappears(monkeypatch):
    def step(x, h):
        try:
            return h, h * LATE + x
        except NameError:
            return h, h + x

    module = sys.modules[__name__]
    require_seen(step, lambda: monkeypatch.setattr(module, "LATE", 2, raising=False))
    require_seen(step, lambda: monkeypatch.delattr(module, "LATE"))


def module_of(**contents):
    found = types.ModuleType("some_helpers")
    vars(found).update(contents)
    return found


def test_a_module_in_a_closure_in_an_attribute_and_in_a_dict():
    helpers, table = module_of(rate=2), {"helpers": module_of(rate=2)}

    def step(x, h):
        return h, h * helpers.rate * getattr(table["helpers"], "rate") + x  # noqa: B009

    require_seen(step, lambda: setattr(helpers, "rate", 3))
    require_seen(step, lambda: setattr(table["helpers"], "rate", 3))

    class Holding(nn.Module):
        def __init__(self, held):
            super().__init__()
            self.held = held

        def forward(self, x, h):
            return h, h * self.held.rate + x

    cell = Holding(module_of(rate=2))
    require_seen(cell, lambda: setattr(cell.held, "rate", 3))


def test_a_module_that_the_step_imports(monkeypatch):
    monkeypatch.setitem(sys.modules, "some_helpers", module_of(rate=2))

    def step(x, h):
        import some_helpers

        return h, h * some_helpers.rate + x

    require_seen(step, lambda: setattr(sys.modules["some_helpers"], "rate", 3))


def test_a_name_that_is_looked_up_as_text(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "TEXT", 2, raising=False)

    def step(x, h):
        return h, h * globals()["TEXT"] + x

    require_seen(step, lambda: monkeypatch.setattr(sys.modules[__name__], "TEXT", 3))


def test_a_default_argument_that_is_changed_and_an_attribute_of_a_function():
    def step(x, h, options={"count": 2}):  # noqa: B006
        return h, h * options["count"] * step.times + x

    step.times = 1
    require_seen(step, lambda: step.__defaults__[0].update(count=3))
    require_seen(step, lambda: setattr(step, "times", 2))


def test_a_descriptor_and_a_cached_property():
    class Field:
        def __init__(self):
            self.value = 2

        def __get__(self, instance, owner):
            return self.value

    class Owner:
        field = Field()

        @functools.cached_property
        def cached(self):
            return self.field

    owner = Owner()

    def step(x, h):
        return h, h * owner.field + owner.cached * x

    require_seen(step, lambda: setattr(vars(Owner)["field"], "value", 3))
    require_seen(step, lambda: vars(owner).update(cached=5))


def test_a_step_that_calls_itself_by_name():
    def step(x, h, depth=2):
        return (h, h + x) if depth == 0 else (h, step(x, h, depth - 1)[1] * rate)

    rate = 2
    require_seen(step, lambda: step.__setattr__("__defaults__", (3,)))


# Sizes.
