"""Python that changes between steps: the plain loop runs, says why, and nothing fake gets out."""

import collections
import ctypes
import dataclasses
import datetime
import functools
import gc
import heapq
import io
import itertools
import logging
import operator
import os
import random
import secrets
import sys
import threading
import time
import types
import uuid
import warnings
import weakref
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

import elman
from elman.engine import backends
from elman.errors import UnsupportedStep

X, H = torch.randn(6, 3, 5), torch.zeros(3, 5)
COUNT = 0
RATES = types.ModuleType("rates")
RATES.now = 1.0


@pytest.fixture(autouse=True)
def _warnings_start_anew():
    backends._warned.clear()


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


def drawing(draw, pattern="."):
    def make():
        random.seed(3)
        np.random.seed(3)
        torch.manual_seed(3)

        def step(x, h):
            return after(x, h, draw())

        return step, lambda: (random.random(), np.random.rand()), pattern

    return make


def scheduled_sampling():
    random.seed(3)

    def step(x, h):
        given = x if random.random() < 0.5 else h
        return after(given, h, 1.0)

    return step, random.random, r"calls random\.Random\.random at test_python_state\.py:\d+"


def own_generator(generator, draw):
    def make():
        source = generator()

        def step(x, h):
            return after(x, h, draw(source))

        return step, lambda: draw(source), "random"

    return make


def seeding():
    def step(x, h):
        torch.manual_seed(0)
        return after(x, h + torch.rand_like(h), 1.0)

    return step, lambda: torch.rand(1).item(), r"calls torch\.random\.manual_seed"


def iterator(make_iterator):
    def make():
        source = make_iterator()

        def step(x, h):
            return after(x, h, 1 / (1 + float(next(source))))

        return step, lambda: next(source), "uses source"

    return make


def iterator_attribute():
    class Cell(Counting):
        def forward(self, x, h):
            return after(x, h, next(self.rates))

    cell = Cell()
    cell.rates = (1 / n for n in range(1, 99))
    return cell, lambda: next(cell.rates), "uses rates"


def containers(start, change, word):
    def make():
        box = start()

        def step(x, h):
            return after(x, h, 1 / (1 + float(change(box))))

        return step, lambda: list(box), word

    return make


def states_read_back():
    class Cell(Counting):
        def forward(self, x, h):
            if len(self.past) > 2:
                h = h + self.past[-2]
            self.past.append(h.detach())
            return after(x, h, 1.0)

    cell = Cell()
    return cell, lambda: torch.stack(cell.past), r"changes the list self\.past"


def memo_by_step():
    class Cell(Counting):
        def forward(self, x, h):
            self.named[len(self.named)] = h.mean(1)
            return after(x, h, 1 / len(self.named))

    cell = Cell()
    return cell, lambda: torch.stack(list(cell.named.values())), r"changes the dict self\.named"


def hook(register, word):
    def make():
        cell, seen = Counting(), []
        cell.linear = nn.Linear(5, 5)
        nn.init.ones_(cell.linear.weight)
        nn.init.zeros_(cell.linear.bias)
        cell.forward = lambda x, h: after(cell.linear(x), h, 1.0)
        handle = register(cell, seen)
        weakref.finalize(cell, handle.remove)
        return cell, lambda: (torch.stack(seen), handle.remove())[0], word

    return make


def forward_hook(cell, seen):
    return cell.linear.register_forward_hook(lambda m, i, out: seen.append(out.detach()))


def forward_pre_hook(cell, seen):
    return cell.linear.register_forward_pre_hook(lambda m, i: seen.append(i[0].detach()))


def global_hook(cell, seen):
    return nn.modules.module.register_module_forward_hook(
        lambda m, i, out: seen.append(out.detach()) if isinstance(m, nn.Linear) else None
    )


def bound_append():
    seen = []
    note = seen.append

    def step(x, h):
        note(h.detach())
        return after(x, h, 1.0)

    return step, lambda: torch.stack(seen), "changes the list note"


def recorder():
    class Run:
        def __init__(self):
            self.history = collections.defaultdict(list)

        def log(self, values):
            for name, value in values.items():
                self.history[name].append(value)

    run = Run()

    def step(x, h):
        run.log({"norm": h.norm(dim=1), "rows": h.shape[0]})
        return after(x, h, 1.0)

    return step, lambda: (torch.stack(run.history["norm"]), run.history["rows"]), r"run\.history"


def stream(write, word):
    def make():
        out = io.StringIO()
        logger = logging.Logger("steps")
        logger.addHandler(logging.StreamHandler(out))

        def step(x, h):
            write(out, logger, h)
            return after(x, h, 1.0)

        return step, out.getvalue, word

    return make


def environment():
    os.environ["ELMAN_TEST_RATE"] = "0.5"

    def step(x, h):
        return after(x, h, float(os.environ["ELMAN_TEST_RATE"]))

    return step, lambda: None, r"asks for os\.environ"


def thread_local():
    local = threading.local()
    local.n = 0

    def step(x, h):
        local.n += 1
        return after(x, h, 1 / local.n)

    return step, lambda: local.n, r"local\.n"


def swallowed():
    def step(x, h):
        try:
            factor = random.random()
        except Exception:  # noqa: BLE001
            factor = 1.0
        return after(x, h, factor)

    random.seed(3)
    return step, random.random, "random"


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


CASES = {
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
    "scheduled sampling": scheduled_sampling,
    "random": drawing(random.random, r"random\.Random\.random"),
    "gauss": drawing(lambda: random.gauss(1, 1), r"random\.Random\.gauss"),
    "choice": drawing(lambda: random.choice([1.0, 2.0]), r"random\.Random\.choice"),
    "numpy": drawing(np.random.rand, r"draws random numbers from numpy\.random"),
    "numpy normal": drawing(lambda: np.random.normal(), r"numpy\.random"),
    "own random": own_generator(lambda: random.Random(1), lambda r: r.random()),
    "own numpy": own_generator(lambda: np.random.default_rng(1), lambda r: r.random()),
    "own numpy state": own_generator(lambda: np.random.RandomState(1), lambda r: r.rand()),
    "torch seed": seeding,
    "generator": iterator(lambda: (n for n in range(99))),
    "count": iterator(itertools.count),
    "cycle": iterator(lambda: itertools.cycle([1, 2, 3])),
    "iter": iterator(lambda: iter(range(99))),
    "map": iterator(lambda: map(float, range(99))),
    "iterator attribute": iterator_attribute,
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
    "past states": states_read_back,
    "memo": memo_by_step,
    "forward hook": hook(forward_hook, "changes the list seen"),
    "forward pre-hook": hook(forward_pre_hook, "changes the list seen"),
    "global hook": hook(global_hook, "changes the list seen"),
    "bound append": bound_append,
    "recorder": recorder,
    "print": stream(lambda out, log, h: print("a step", file=out), "uses out"),
    "print shown": stream(lambda out, log, h: print(tuple(h.shape), file=out), "uses out"),
    "write": stream(lambda out, log, h: out.write("."), "uses out"),
    "log": stream(lambda out, log, h: log.warning("%s", h), "uses out"),
    "environment": environment,
    "thread local": thread_local,
    "swallowed": swallowed,
    "tensor attribute": tensor_attribute,
    "through .data": through_data,
    "parameter's data": parameter_replaced,
}  # fmt: skip


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
    assert count_fakes() == before


def count_fakes():
    """Graphs that are kept hold some."""
    gc.collect()
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


OUTSIDE = {
    "time": (time.time, r"time\.time"),
    "clock": (time.perf_counter, r"time\.perf_counter"),
    "now": (lambda: datetime.datetime.now().second, r"datetime\.datetime\.now"),
    "today": (lambda: datetime.date.today().day, r"datetime\.date\.today"),
    "uuid": (lambda: uuid.uuid4().int % 7, r"uuid\.uuid4"),
    "urandom": (lambda: os.urandom(1)[0], r"posix\.urandom|nt\.urandom"),
    "secrets": (lambda: secrets.randbelow(9), r"secrets\.randbelow"),
    "unseeded": (lambda: np.random.default_rng().random(), "urandom|secrets|getrandbits"),
    "system random": (lambda: random.SystemRandom().random(), r"random"),
    "threads": (torch.get_num_threads, r"torch\.get_num_threads"),
    "inference": (torch.is_inference_mode_enabled, r"torch\.is_inference_mode_enabled"),
    "autocast": (lambda: torch.is_autocast_enabled("cpu"), r"torch\.is_autocast_enabled"),
    "deterministic": (torch.are_deterministic_algorithms_enabled, "are_deterministic_algorithms"),
    "precision": (torch.get_float32_matmul_precision, "get_float32_matmul_precision"),
    "a local file": (lambda: len(open(__file__).read()), r"calls (io\.)?open"),  # noqa: SIM115
    "print": (lambda: print(end=""), "calls print"),  # noqa: T201
    "stream": (lambda: sys.stderr.write(""), r"write"),
    "log": (lambda: logging.getLogger("elman.x").warning("x"), r"logging\.Logger\.warning"),
    "repr": (None, "__repr__|__format__"),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_a_step_asks_of_the_world_is_named_with_its_line(name):
    ask, pattern = OUTSIDE[name]

    def step(x, h):
        if ask is None:
            f"{h}"
        else:
            ask()
        return after(x, h, 1.0)

    with pytest.raises(UnsupportedStep, match=rf"({pattern}).* at test_python_state\.py:\d+"):
        elman.scan(step, X, H, backend="llvm")


def test_a_profiler_of_the_user_is_left_alone():
    events = []
    sys.setprofile(lambda frame, event, argument: events.append(event))
    try:
        before = sys.getprofile()
        elman.scan(lambda x, h: after(x, h, 0.75), X, H, backend="llvm")
        assert sys.getprofile() is before
    finally:
        sys.setprofile(None)
    assert events


HARMLESS = {
    "seeded": lambda h: np.random.default_rng(0).random(),
    "a list of its own": lambda h: len([1, 2, 3]),
    "an iterator of its own": lambda h: next(iter([2.0])),
    "operators": lambda h: operator.mul(2.0, 3.0),
    "warning": lambda h: warnings.warn("once", stacklevel=2) or 1.0,
    "default dtype": lambda h: 1.0 if torch.get_default_dtype() == torch.float32 else 2.0,
    "grad mode": lambda h: 1.0 if torch.is_grad_enabled() else 2.0,
    "no_grad": lambda h: torch.no_grad().__class__ and 1.0,
    "disabled log": lambda h: logging.getLogger("elman.tests").debug("%s", h) or 1.0,
    "its own seed": lambda h: len(str(h.shape[1])),
}


@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.filterwarnings("ignore:once")
def test_what_is_the_same_every_time_is_compiled(name):
    idle, lock, items = (n for n in range(3)), threading.Lock(), iter([1])

    class Owner:
        def __init__(self):
            self.idle, self.items, self.lock = idle, items, lock
            self.rate = 0.5

    owner = Owner()

    def step(x, h):
        return after(x, h, HARMLESS[name](h) * owner.rate)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*anew at every call")
        found = elman.scan(step, X, H, backend="llvm")[0]
    torch.testing.assert_close(found, elman.scan(step, X, H, backend="reference")[0])


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
        getattr(globals()["Reg" + "istry"], "kept").append(h)  # noqa: B009
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
