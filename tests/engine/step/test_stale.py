"""What a step reads through functions, modules and classes: a change is seen at the next call."""

import abc
import collections
import functools
import importlib
import logging
import operator
import random
import sys
import threading
import types

import numpy as np
import pytest
import torch
from torch import nn

import elman
from elman.errors import UnsupportedStep

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


# What somebody patches, or finds in a roundabout way.

RATE = {0: 2}


class Meta(type):
    @property
    def rate(cls):
        return RATE[0]


class Settings(metaclass=Meta):
    pass


def test_a_property_of_a_metaclass(monkeypatch):
    require_seen(lambda x, h: (h, h * Settings.rate + x), lambda: monkeypatch.setitem(RATE, 0, 3))


LAYER = nn.Linear(1, 1)


@pytest.mark.parametrize(
    ("step", "owner", "name"),
    [
        (lambda x, h: (h, torch.tanh(h)), torch, "tanh"),
        (lambda x, h: (h, nn.functional.relu(h)), nn.functional, "relu"),
        (lambda x, h: (h, LAYER(h)), nn.Linear, "forward"),
    ],
)
def test_a_function_of_torch_that_is_patched(monkeypatch, step, owner, name):
    torch.jit._builtins._get_builtin_table()  # else it may hold the patch, by its id, for good
    require_seen(step, lambda: monkeypatch.setattr(owner, name, lambda *args: args[-1] * 3))


@pytest.mark.parametrize(
    "find",
    [
        lambda: __import__("some_helpers"), lambda: importlib.import_module("some_helpers"),
        lambda: sys.modules["some_helpers"],
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:elman.scan")
def test_a_module_that_is_looked_up(monkeypatch, find):
    monkeypatch.setitem(sys.modules, "some_helpers", module_of(rate=0.5))
    step = lambda x, h: (h, h * find().rate + x)  # noqa: E731
    for rate in (0.5, 0.25):
        monkeypatch.setattr(sys.modules["some_helpers"], "rate", rate)
        assert elman.scan(step, X, H)[1].item() == elman.scan(step, X, H, backend="reference")[1]


def looked_up(way):
    helpers = module_of(rate=2, rate_1=2)
    return lambda x, h: (h, h * way(helpers) + x), lambda: vars(helpers).update(rate=3, rate_1=3)


NAME, NUMBER, get_rate = "rate", 1, operator.attrgetter("rate")


@pytest.mark.parametrize(
    "way",
    [
        lambda m: getattr(m, NAME), lambda m: getattr(m, f"rate_{NUMBER}"), lambda m: get_rate(m),
        lambda m: m.__dict__[NAME], lambda m: vars(m)[NAME],
        lambda m: sum(value for name, value in vars(m).items() if name[0] == "r"),
    ],
)  # fmt: skip
def test_a_name_in_a_module_that_is_put_together(way):
    require_seen(*looked_up(way))


@pytest.mark.parametrize(
    "way", [lambda: globals()[f"LAYER_{NUMBER}"], lambda: eval("LAYER_1 * 1")]  # noqa: S307
)  # fmt: skip
def test_a_global_name_that_is_put_together(monkeypatch, way):
    monkeypatch.setattr(sys.modules[__name__], "LAYER_1", 2, raising=False)
    change = lambda: monkeypatch.setattr(sys.modules[__name__], "LAYER_1", 3)  # noqa: E731
    require_seen(lambda x, h: (h, h * way() + x), change)


# The order of mappings, and objects whose attributes are exchanged as a whole.


def test_the_order_of_a_mapping():
    functions = {"a": torch.tanh, "b": torch.exp, "c": torch.sin, "d": torch.cos}

    def step(x, h):
        for function in functions.values():
            h = 0.5 * function(h)
        return h, h + x

    def swap():  # the first and the last stay where they are
        for name in ("b", "d"):
            functions[name] = functions.pop(name)

    require_seen(step, swap)
    numbers = collections.OrderedDict(a=2, b=3)
    require_seen(
        lambda x, h: (h, h * next(iter(numbers.values())) + x), lambda: numbers.move_to_end("a")
    )

    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleDict({"a": nn.Tanh(), "b": nn.Softplus()})
            self.weights = nn.ParameterDict({"a": torch.full((1,), 2.0), "b": torch.ones(1)})

        def forward(self, x, h):
            for layer, weight in zip(self.layers.values(), self.weights.values(), strict=True):
                h = layer(h) + weight * h
            return h, h + x

    cell = Cell()
    require_seen(cell, lambda: cell.layers.update({"a": cell.layers.pop("a")}))
    require_seen(cell, lambda: cell.weights.update({"a": cell.weights.pop("a")}))


def test_attributes_that_are_exchanged_as_a_whole():
    held = types.SimpleNamespace()

    class Options:
        pass

    held.options = Options()
    held.options.rate = 2
    step = lambda x, h: (h, h * held.options.rate + x)  # noqa: E731
    require_seen(step, lambda: setattr(held.options, "__dict__", {"rate": 3}))
    require_seen(step, lambda: setattr(held.options, "rate", 4))


# Classes.


class Scaling:
    def __init__(self, rate):
        self.rate = rate

    def __call__(self, h):
        return h * self.rate


class Odd:
    __rate__ = 2
    __call__ = Scaling(2)


class Other:
    rate = 7


class Abstract(abc.ABC):  # noqa: B024
    pass


ODD, PLAIN = Odd(), Other()


def test_special_names_bases_and_registered_classes(monkeypatch):
    require_seen(lambda x, h: (h, h * ODD.__rate__ + x), lambda: setattr(Odd, "__rate__", 3))
    step = lambda x, h: (h, ODD(h) + x)  # noqa: E731
    require_seen(step, lambda: setattr(vars(Odd)["__call__"], "rate", 3))
    require_seen(step, lambda: setattr(Odd, "__call__", Scaling(4)))
    assert elman.scan(lambda x, h: (h, h * THING.rate), X, H, backend="llvm")[1].item() == 0.125
    Derived.__bases__ = (Other, Base)
    try:
        assert both(lambda x, h: (h, h * THING.rate)) == 343
    finally:
        Derived.__bases__ = (Base,)
    step = lambda x, h: (h, h * (2 if isinstance(PLAIN, Abstract) else 3) + x)  # noqa: E731
    require_seen(step, lambda: Abstract.register(Other))


@pytest.mark.parametrize("owner", [torch.Tensor, nn.Module, nn.Linear])
def test_what_a_user_adds_to_a_class_of_torch(monkeypatch, owner):
    monkeypatch.setattr(owner, "twice", lambda self, h=2: h * 2, raising=False)
    if owner is torch.Tensor:
        step = lambda x, h: (h, h.twice(h) + x)  # noqa: E731
    else:
        step = lambda x, h: (h, LAYER.twice(h) + x)  # noqa: E731
    require_seen(step, lambda: monkeypatch.setattr(owner, "twice", lambda self, h: h * 3))


# Objects that are what they are, and still tell something.


def test_what_objects_of_the_standard_library_tell(monkeypatch):
    event, lock = threading.Event(), threading.Lock()
    semaphore, logger = threading.Semaphore(2), logging.getLogger("elman.tests.stale")
    generator = random.Random(0)
    logger.setLevel(10)
    logger.rate = generator.rate = 2
    monkeypatch.setattr(np, "rate", 2, raising=False)
    cases = [
        (lambda: event.is_set(), event.set), (lambda: lock.locked(), lock.acquire),
        (lambda: semaphore._value, semaphore.acquire),
        (lambda: logger.isEnabledFor(15), lambda: logger.setLevel(30)),
        (lambda: logger.rate, lambda: setattr(logger, "rate", 3)),
        (lambda: generator.rate, lambda: setattr(generator, "rate", 3)),
        (lambda: np.rate, lambda: monkeypatch.setattr(np, "rate", 3)),
        (lambda: len(helper.__name__), lambda: monkeypatch.setattr(helper, "__name__", "a")),
    ]  # fmt: skip
    for ask, change in cases:
        require_seen(lambda x, h, ask=ask: (h, h * (2 + ask()) + x), change)


# Tensors that are replaced by others that differ in more than their numbers.


def test_what_a_tensor_is_beside_its_numbers():
    held = {"w": torch.ones(1, 1)}

    def step(x, h):
        rate = 2 if isinstance(held["w"], nn.Parameter) else 3 if hasattr(held["w"], "mark") else 4
        return h, h * rate + x

    require_seen(step, lambda: setattr(held["w"], "mark", True))
    require_seen(step, lambda: held.update(w=nn.Parameter(torch.ones(1, 1))))


QUESTIONS = {
    "is_contiguous": lambda w: w.is_contiguous(), "stride": lambda w: w.stride(0) == 3,
    "storage_offset": lambda w: w.storage_offset() > 0, "is_leaf": lambda w: w.is_leaf,
    "grad_fn": lambda w: w.grad_fn is None, "_version": lambda w: w._version == 0,
    "_backward_hooks": lambda w: bool(w._backward_hooks), "retains_grad": lambda w: w.retains_grad,
}  # fmt: skip


@pytest.mark.parametrize("of", ["input", "state", "closed over"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_questions_whose_answer_no_key_holds_are_refused(name, of):
    w = torch.ones(1, 1)

    def step(x, h):
        asked = {"input": x, "state": h, "closed over": w}[of]
        return h, h * (2 if QUESTIONS[name](asked) else 3) + x

    with pytest.raises(UnsupportedStep, match=rf"asks for {name} of a tensor at test_stale\.py"):
        elman.scan(step, X, H, backend="llvm")
