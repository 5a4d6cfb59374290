"""Python's garbage collector, kept from what makes many objects that all are needed."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collections() -> Iterator[None]:
    """Tracing and emitting make so many objects that Python would look for garbage several times,
    each time among all that torch has loaded: a fifth of the time of compiling."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
