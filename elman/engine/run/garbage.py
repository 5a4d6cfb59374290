"""Python's garbage collector, kept from what makes many objects that all are needed."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

_off: list[bool] = []  # not empty while collections are off because of us


@contextmanager
def no_collections() -> Iterator[None]:
    """Tracing and emitting make so many objects that Python would look for garbage several times,
    each time among all that torch has loaded: a fifth of the time of compiling."""
    was_on = gc.isenabled()
    if was_on:
        _off.append(True)
        gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
            _off.clear()


def _after_fork() -> None:
    """A child made while another thread was compiling would be without collections for ever."""
    if _off:
        gc.enable()
        _off.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
