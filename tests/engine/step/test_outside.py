"""What a step asks of the world around it is seen before it happens."""

import datetime
import logging
import operator
import os
import random
import secrets
import sys
import threading
import time
import uuid
import warnings

import numpy as np
import pytest
import torch

import elman
from elman.errors import UnsupportedStep
from tests.engine.counting_steps import after

X, H = torch.randn(6, 3, 5), torch.zeros(3, 5)

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

    with pytest.raises(UnsupportedStep, match=rf"({pattern}).* at test_outside\.py:\d+"):
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
    "no_grad": lambda h: torch.no_grad() and 1.0,
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
