"""Steps that draw numbers, move iterators on, or note what they see: as in `counting_steps`."""

import collections
import io
import itertools
import logging
import os
import random
import weakref

import numpy as np
import torch
from torch import nn

from tests.engine.counting_steps import Counting, after


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

    return step, random.random, r"calls random\.Random\.random at noting_steps\.py:\d+"


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


def swallowed():
    def step(x, h):
        try:
            factor = random.random()
        except Exception:  # noqa: BLE001
            factor = 1.0
        return after(x, h, factor)

    random.seed(3)
    return step, random.random, "random"


NOTING = {
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
    "swallowed": swallowed,
}  # fmt: skip
