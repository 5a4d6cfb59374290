"""A store of what is costly to make, which forgets what was not used for longest."""

from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from threading import Lock
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    @property
    def size(self) -> int: ...  # in bytes


T = TypeVar("T", bound=Sized)


class Store(Generic[T]):
    """At most so many things, that take at most about so many bytes; the last one put in stays
    whatever it takes. Getting one takes no lock."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.most = most
        self.most_bytes = most_bytes
        self._things: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> T | None:
        thing = self._things.get(key)
        if thing is not None:
            with suppress(KeyError):  # another thread has just dropped it
                self._things.move_to_end(key)
        return thing

    def put(self, key: Hashable, thing: T) -> None:
        """Put a thing in, or say that one that is in has grown."""
        with self._lock:
            self._things[key] = thing
            self._things.move_to_end(key)
            total = self.bytes()
            while len(self._things) > 1 and (
                len(self._things) > self.most or total > self.most_bytes
            ):
                total -= self._things.popitem(last=False)[1].size

    def bytes(self) -> int:
        return sum(thing.size for thing in list(self._things.values()))

    def clear(self) -> None:
        with self._lock:
            self._things.clear()

    def after_fork(self) -> None:
        """Another thread may have held the lock, and is not there any more."""
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._things)
