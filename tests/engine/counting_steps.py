"""Steps that change something in Python, and count with it: each with what it leaves, and the words
for it."""

import collections
import ctypes
import dataclasses
import functools
import heapq
import threading
import types

import numpy as np
import torch
from torch import nn

COUNT = 0


RATES = types.ModuleType("rates")


def after(x, h, factor):
    h = torch.tanh(x + h) * factor
    return h, h


def closure():
    n = 0

    def step(x, h):
        nonlocal n
        n += 1
        return after(x, h, 1 / n)

    return step, lambda: n, "changes the closure variable n"


def global_variable():
    def step(x, h):
        global COUNT
        COUNT += 1
        return after(x, h, 1 / COUNT)

    global COUNT
    COUNT = 0
    return step, lambda: COUNT, "sets the global variable COUNT"


def global_by_name():
    def step(x, h):
        globals()["COUNT"] += 1
        return after(x, h, 1 / COUNT)

    global COUNT
    COUNT = 0
    return step, lambda: COUNT, "sets the global variable COUNT"


def other_module():
    RATES.now = 1.0

    def step(x, h):
        RATES.now *= 0.5
        return after(x, h, RATES.now)

    return step, lambda: RATES.now, r"sets the global variable RATES\.now"


class Counting(nn.Module):
    total = 0

    def __init__(self):
        super().__init__()
        self.n = 0
        self.past = []
        self.named = {}

    def forward(self, x, h):
        self.n += 1
        return after(x, h, 1 / self.n)


def attribute():
    cell = Counting()
    return cell, lambda: cell.n, r"sets self\.n"


def curriculum():
    class Cell(Counting):
        def forward(self, x, h):
            self.n += 1
            return after(x, h, 1.0 if self.n < 4 else 0.5)

    cell = Cell()
    return cell, lambda: cell.n, r"sets self\.n"


def class_attribute():
    class Cell(Counting):
        def forward(self, x, h):
            Cell.total += 1
            return after(x, h, 1 / Cell.total)

    return Cell(), lambda: Cell.total, r"sets Cell\.total"


def function_attribute():
    def step(x, h):
        step.n += 1
        return after(x, h, 1 / step.n)

    step.n = 0
    return step, lambda: step.n, r"sets step\.n"


def default_argument():
    def step(x, h, seen=[]):  # noqa: B006
        seen.append(1)
        return after(x, h, 1 / len(seen))

    step.__defaults__[0].clear()
    return step, lambda: len(step.__defaults__[0]), "changes the list seen"


def element(holder, name):
    def make():
        held = holder()

        def step(x, h):
            held[0] += 1
            return after(x, h, 1 / float(held[0]))

        return step, lambda: float(held[0]), f"changes the {name} held"

    return make


class Plain:
    def __init__(self):
        self.n = 0

    def step(self, x, h):
        self.n += 1
        return after(x, h, 1 / self.n)


class Slotted:
    __slots__ = ("n",)

    def __init__(self):
        self.n = 0


@dataclasses.dataclass(slots=True)
class Record:
    n: int = 0


class CStruct(ctypes.Structure):
    _fields_ = (("n", ctypes.c_int),)


class Pair(collections.namedtuple("_Pair", "n m")):
    __slots__ = ()


def held(make_object, word=r"sets thing\.n"):
    def make():
        thing = make_object()

        def step(x, h):
            thing.n += 1
            return after(x, h, 1 / thing.n)

        return step, lambda: thing.n, word

    return make


def bound_method():
    thing = Plain()
    return thing.step, lambda: thing.n, r"sets self\.n"


def partial():
    thing = Plain()
    return functools.partial(Plain.step, thing), lambda: thing.n, r"sets an argument of partial\.n"


def partial_of_an_iterator():
    def step(rates, x, h):
        return after(x, h, next(rates))

    rates = iter([1 / n for n in range(1, 99)])
    return functools.partial(step, rates), lambda: next(rates), "is given an iterator"


def replaced_tuple():
    pair = Pair(0, 1)

    def step(x, h):
        nonlocal pair
        pair = pair._replace(n=pair.n + 1)
        return after(x, h, 1 / pair.n)

    return step, lambda: pair, "closure variable pair"


def decorated():
    n = 0

    def counted(function):
        @functools.wraps(function)
        def wrapper(*args):
            nonlocal n
            n += 1
            return function(*args)

        return wrapper

    @counted
    @torch.no_grad()
    def step(x, h):
        return after(x, h, 1 / n)

    return step, lambda: n, "closure variable n"


def containers(start, change, word):
    def make():
        box = start()

        def step(x, h):
            return after(x, h, 1 / (1 + float(change(box))))

        return step, lambda: list(box), word

    return make


def thread_local():
    local = threading.local()
    local.n = 0

    def step(x, h):
        local.n += 1
        return after(x, h, 1 / local.n)

    return step, lambda: local.n, r"local\.n"


def tensor_attribute():
    weight = nn.Parameter(torch.ones(5))
    weight.n = 0

    def step(x, h):
        weight.n += 1
        return after(x, h * weight, 1 / weight.n)

    return step, lambda: weight.n, r"sets weight\.n"


def through_data():
    class Cell(Counting):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(5))

        def forward(self, x, h):
            self.seen.data += 1
            return after(x, h, 1 / self.seen)

    cell = Cell()
    return cell, lambda: cell.seen, "more than the numbers"


def parameter_replaced():
    class Cell(Counting):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(5))

        def forward(self, x, h):
            self.weight.data = self.weight.data * 0.5
            return after(x, h, self.weight)

    cell = Cell()
    return cell, lambda: cell.weight.detach(), "more than the numbers"


COUNTING = {
    "closure": closure,
    "global": global_variable,
    "global by name": global_by_name,
    "another module": other_module,
    "attribute": attribute,
    "curriculum": curriculum,
    "class attribute": class_attribute,
    "function attribute": function_attribute,
    "default argument": default_argument,
    "list element": element(lambda: [0], "list"),
    "array element": element(lambda: np.zeros(2), "array"),
    "ctypes": element(lambda: (ctypes.c_int * 1)(), "buffer"),
    "bytearray": element(lambda: bytearray(1), "buffer"),
    "dict element": element(lambda: {0: 0}, "dict"),
    "ordered dict": element(lambda: collections.OrderedDict({0: 0}), "dict"),
    "plain object": held(Plain),
    "slots": held(Slotted),
    "dataclass": held(Record),
    "namespace": held(lambda: types.SimpleNamespace(n=0)),
    "ctypes structure": held(CStruct, "changes the buffer thing"),
    "bound method": bound_method,
    "partial": partial,
    "partial of an iterator": partial_of_an_iterator,
    "named tuple": replaced_tuple,
    "decorated": decorated,
    "deque": containers(
        lambda: collections.deque([1, 2, 3]), lambda d: d.rotate() or d[0], "changes the deque box"
    ),
    "heap": containers(
        lambda: list(range(20)), lambda q: heapq.heapreplace(q, q[0] + 7), "changes the list box"
    ),
    "pop": containers(lambda: list(range(20)), lambda q: q.pop(), "changes the list box"),
    "set": containers(set, lambda s: s.add(len(s)) or len(s), "changes the set box"),
    "counter": containers(
        collections.Counter, lambda c: c.update("a") or c["a"], "changes the dict box"
    ),
    "order of a dict": containers(
        lambda: collections.OrderedDict(a=1, b=2, c=3),
        lambda d: d.move_to_end(next(iter(d))) or d[next(iter(d))], "changes the dict box",
    ),
    "thread local": thread_local,
    "tensor attribute": tensor_attribute,
    "through .data": through_data,
    "parameter's data": parameter_replaced,
}  # fmt: skip
