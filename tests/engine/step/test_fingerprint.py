"""What a step holds is understood: nothing is compiled anew while nothing has changed, and every
change is seen."""

import argparse
import array
import collections
import contextvars
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import itertools
import logging
import operator
import pathlib
import re
import threading
import time
import types
import typing
import weakref
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

import elman
from elman.engine.run import cache
from elman.engine.step.fingerprint import fingerprint, objects_of

X, H = torch.ones(3, 1, 1), torch.ones(1, 1)


class Cell(nn.Module):
    """A step that holds something."""

    def __init__(self, held=None):
        super().__init__()
        self.held = held

    def forward(self, x, h):
        return h, h


def identity(step):
    """What decides whether a compiled step serves."""
    found = cache._fingerprint(step)
    return found.key, found.bits


def require_stable(step):
    first = fingerprint(step)
    assert identity(step) == (first.key, first.bits)
    assert identity(step) == (first.key, first.bits)
    second = fingerprint(step)
    assert (second.key, second.bits) == (first.key, first.bits)


@dataclasses.dataclass
class Plain:
    rate: float = 0.5


@dataclasses.dataclass(slots=True)
class Slotted:
    rate: float = 0.5
    name: str = "a"


@dataclasses.dataclass(frozen=True)
class Frozen:
    rate: float = 0.5


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Option(enum.Flag):
    A = 1
    B = 2


class Named(typing.NamedTuple):
    rate: float
    count: int


class AnyAttribute:
    def __getattr__(self, name):
        return 1.0


class SlottedModule(nn.Module):
    __slots__ = ("rate",)


class Integer(int):
    pass


class Text(str):
    pass


class Numbers(list):
    pass


class Mapping(dict):
    pass


class Pair(tuple):
    pass


class Members(set):
    pass


class Methods:
    def scaled(self, factor):
        return factor

    doubled = functools.partialmethod(scaled, 2.0)

    @functools.cached_property
    def rate(self):
        return 0.5


@functools.lru_cache
def remembered(value):
    return value


@functools.singledispatch
def chosen(value):
    return 1.0


def generator():
    yield 1


KEPT = Plain()
VARIABLE = contextvars.ContextVar("variable", default=0.5)
LOCAL = threading.local()
LOCAL.rate = 0.5


def weak_values():
    found = weakref.WeakValueDictionary()
    found["a"] = KEPT
    return found


def slotted_module():
    found = SlottedModule()
    found.rate = 0.5
    return found


UNDERSTOOD = {
    "numpy scalars": lambda: [np.float32(1), np.int64(2), np.bool_(True), np.str_("a")],
    "numpy arrays": lambda: [np.arange(5.0), np.array(1), np.zeros(3, dtype=[("a", "f4")])],
    "array of objects": lambda: np.array([1, "a"], dtype=object),
    "large array": lambda: np.zeros(100_000),
    "numpy dtype": lambda: [np.dtype("f4"), np.float32],
    "range, slice": lambda: [range(5), slice(1, 2), ...],
    "path": lambda: pathlib.Path("a") / "b",
    "logger": lambda: [logging.getLogger("x"), logging.LoggerAdapter(logging.getLogger("x"), {})],
    "locks": lambda: [threading.Lock(), threading.RLock(), threading.Condition()],
    "generators": lambda: [torch.Generator(), np.random.default_rng(), generator()],
    "iterators": lambda: [iter([1]), itertools.count(), zip([1], [2], strict=True), enumerate([1])],
    "deque": lambda: collections.deque([1.0, 2], maxlen=3),
    "mapping proxy": lambda: types.MappingProxyType({"a": 1.0}),
    "dict views": lambda: [{"a": 1}.keys(), {"a": 1}.values(), {"a": 1}.items()],
    "dataclasses": lambda: [Plain(), Slotted(), Frozen()],
    "enums": lambda: [Color.RED, Option.A | Option.B, Color],
    "named tuple": lambda: Named(0.5, 2),
    "namespaces": lambda: [types.SimpleNamespace(a=1.0), argparse.Namespace(b=2.0)],
    "dict subclasses": lambda: [
        collections.defaultdict(list, a=[1]), collections.OrderedDict(a=1.0),
        collections.Counter("aab"),
    ],
    "wrapped collections": lambda: [
        collections.ChainMap({"a": 1.0}, {"b": 2}), collections.UserDict(a=1.0),
        collections.UserList([1.0]), collections.UserString("a"),
    ],
    "bytes": lambda: [b"a", bytearray(b"a"), memoryview(b"a"), array.array("d", [1.0])],
    "times": lambda: [
        datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), datetime.date(2020, 1, 1),
        datetime.timedelta(1),
    ],
    "exact numbers": lambda: [decimal.Decimal("1.0"), fractions.Fraction(1, 3), 1j],
    "patterns": lambda: [re.compile("a"), re.match("a", "a")],
    "weak references": lambda: [weakref.ref(KEPT), weak_values(), weakref.WeakSet([Color])],
    "descriptors": lambda: [Methods(), property(lambda self: 1), staticmethod(abs)],
    "wrapped functions": lambda: [remembered, chosen, functools.partial(max, 1.0)],
    "methods written in C": lambda: [[].append, {"a": 1.0}.get, "a".upper, str.upper],
    "operators": lambda: [operator.itemgetter(1), operator.methodcaller("f", 1.0)],
    "module lists": lambda: nn.ModuleList([nn.Linear(2, 2), nn.ModuleDict({"a": nn.Tanh()})]),
    "parameter lists": lambda: nn.ParameterList([torch.ones(2)]),
    "module with slots": slotted_module,
    "torch's values": lambda: [
        torch.Size([1]), torch.finfo(torch.float32), torch.device("cpu"), torch.float32,
        torch.channels_last,
    ],
    "context": lambda: [VARIABLE, LOCAL],
    "types": lambda: [list[int], int | str, typing.Any, typing.Literal[1], Plain],
    "answers to every name": lambda: [AnyAttribute(), mock.Mock(), mock.MagicMock()],
    "own kinds of values": lambda: [Integer(1), Text("a"), Numbers([1.0]), Pair((1.0,))],
    "exception": lambda: ValueError("a", 1),
    "sentinel": object,
    "sets": lambda: [{1, 2.0, "a"}, frozenset({(1, 2)}), {Frozen()}],
    "cycle": lambda: (lambda a: a.append(a) or a)([1]),
    "closures of closures": lambda: (lambda a: lambda: (lambda: a))(1.0),
    "optimizer": lambda: torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Lazy modules")
@pytest.mark.parametrize("name", UNDERSTOOD)
def test_what_does_not_change_is_compiled_once(name):
    require_stable(Cell(UNDERSTOOD[name]()))


CHANGES = {
    "numpy scalar": (np.float32(1), lambda c: setattr(c, "held", np.float32(2))),
    "dtype of a numpy scalar": (np.float32(1), lambda c: setattr(c, "held", np.float16(1))),
    "numpy array": (np.zeros(3), lambda c: c.held.__setitem__(1, 5.0)),
    "large numpy array": (np.zeros(100_000), lambda c: c.held.__setitem__(77, 5.0)),
    "array": (array.array("d", [1.0]), lambda c: c.held.__setitem__(0, 2.0)),
    "bytearray": (bytearray(b"ab"), lambda c: c.held.__setitem__(0, 0)),
    "deque": (collections.deque([1, 2]), lambda c: c.held.rotate()),
    "set": ({1, 2}, lambda c: c.held.symmetric_difference_update({2, 3})),
    "kind of a set's member": ({1}, lambda c: (c.held.clear(), c.held.add(True))),
    "zero's sign": ({"a": 0.0}, lambda c: c.held.update(a=-0.0)),
    "number's kind": ([1], lambda c: c.held.__setitem__(0, True)),
    "dataclass with slots": (Slotted(), lambda c: setattr(c.held, "name", "b")),
    "frozen dataclass": (Frozen(), lambda c: setattr(c, "held", Frozen(0.25))),
    "enum": (Color.RED, lambda c: setattr(c, "held", Color.BLUE)),
    "default factory": (
        collections.defaultdict(list), lambda c: setattr(c.held, "default_factory", dict)
    ),
    "chain map": (collections.ChainMap({}, {"a": 1}), lambda c: c.held.maps[1].update(a=2)),
    "user dict": (collections.UserDict(a=1), lambda c: c.held.update(a=2)),
    "weak reference": (weak_values(), lambda c: c.held.update(a=Color)),
    "attribute of a dict": (Mapping(), lambda c: setattr(c.held, "rate", 1)),
    "attribute of a list": (Numbers(), lambda c: setattr(c.held, "rate", 1)),
    "attribute of a set": (Members(), lambda c: setattr(c.held, "rate", 1)),
    "attribute of a tuple": (Pair(), lambda c: setattr(c.held, "rate", 1)),
    "attribute of an int": (Integer(1), lambda c: setattr(c.held, "rate", 1)),
    "attribute of a str": (Text("a"), lambda c: setattr(c.held, "rate", 1)),
    "bound method of a list": ([1].append, lambda c: c.held(2)),
    "bound method of a dict": ({"a": 1}.get, lambda c: c.held.__self__.update(a=2)),
    "argument of a partial": (functools.partial(max, a=1), lambda c: c.held.keywords.update(a=2)),
    "class of an object": (Plain(), lambda c: setattr(c.held, "__class__", AnyAttribute)),
    "module with slots": (slotted_module(), lambda c: setattr(c.held, "rate", 2)),
    "item of a long list": (list(range(5000)), lambda c: c.held.__setitem__(77, 5)),
    "item of a long dict": (dict.fromkeys(range(5000)), lambda c: c.held.update({77: 5})),
    "key of a long dict": (
        dict.fromkeys(range(5000)), lambda c: (c.held.pop(4999), c.held.update({"a": None}))
    ),
    "long list of objects": (
        [Plain() for _ in range(2000)], lambda c: setattr(c.held[9], "rate", 1)
    ),
    "parameter list": (
        nn.ParameterList([torch.ones(2)]), lambda c: c.held.append(torch.ones(2))
    ),
    "attribute of a mock": (mock.Mock(), lambda c: setattr(c.held, "rate", 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_seen(name):
    held, change = CHANGES[name]
    cell = Cell(held)
    before = identity(cell)
    assert identity(cell) == before
    change(cell)
    assert identity(cell) != before


def test_a_variable_of_a_context_and_of_a_thread():
    cell = Cell([VARIABLE, LOCAL])
    before = identity(cell)
    token = VARIABLE.set(0.25)
    assert identity(cell) != before
    VARIABLE.reset(token)
    assert identity(cell) == before
    found = []

    def other():
        LOCAL.rate = 0.25
        found.append(identity(cell))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found[0] != before
    assert identity(cell) == before


def test_a_loggers_handlers_do_not_matter():
    logger = logging.getLogger("elman.test")
    cell = Cell([logger, threading.Lock()])
    before = identity(cell)
    logger.addHandler(logging.NullHandler())
    assert identity(cell) == before


def test_objects_that_are_held_are_let_go():
    class Big:
        pass

    held = Big()
    gone = weakref.ref(held)
    elman.scan(Cell([held, {held}, held.__init__]), X, H)
    del held
    import gc

    gc.collect()
    assert gone() is None


def test_the_quick_look_is_quick_at_large_containers():
    cell = Cell({"words": {f"w{n}": n for n in range(100_000)}, "list": list(range(100_000))})
    before = identity(cell)
    started = time.process_time()
    assert identity(cell) == before
    assert time.process_time() - started < 0.1
    cell.held["words"]["w500"] = -1
    assert identity(cell) != before


def test_too_many_objects_are_named():
    cell = Cell([[number] for number in range(50_000)])
    with pytest.warns(UserWarning, match=r"more than 50,000 objects") as seen:
        elman.scan(cell, X, H)
    assert seen[0].filename == __file__
    huge = Cell(np.zeros(3 << 20))
    with pytest.warns(UserWarning, match=r"an array of 25,165,824 bytes"):
        elman.scan(huge, X, H)


def test_every_holder_is_met_once():
    inner = [1, 2]
    cell = Cell({"a": inner, "b": [inner]})
    found = objects_of(cell)
    assert [value for value in found if value is inner] == [inner]
    assert any(value is cell.held for value in found)
