"""What a step is made of, as a key that changes whenever the step's graph could.

A traced graph bakes in everything in a step that is no tensor: training flags, Python numbers,
dropout rates, which function a name stands for. So a compiled step may be used again only if all of
that is as it was. Tensors enter with shape, dtype and requires_grad but not with their values or
identity: the caller hands in those that the step holds now. Floats that stand at a place of their
own are kept apart from the rest, because they are what tends to change from call to call.

Reading a step whole takes a while. So a fingerprint remembers what it has seen where, and tells
quickly whether all of that is still in its place.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from elman.engine.step.kinds import NotCacheable
from elman.engine.step.reader import Place, Reader
from elman.engine.step.varying import bits
from elman.engine.step.watch import Watch


class Key:
    """Compares as its parts do; the hash is taken once."""

    __slots__ = ("_hash", "parts")

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts = parts
        self._hash = hash(parts)

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Key) and self._hash == other._hash and self.parts == other.parts
        )

    def __hash__(self) -> int:
        return self._hash


@dataclass
class Fingerprint:
    """key: all but the floats; bits: of these. tensors: all that were found on the way, in a fixed
    order. wants_gradients: any of them. places: where the floats stand; pinned: numbers of those
    that have to stay what they are."""

    key: Key
    bits: bytes
    floats: list[float]
    places: list[Place]
    pinned: frozenset[int]
    tensors: list[Tensor]
    wants_gradients: bool
    watch: Watch
    served: Any = field(default=None, compare=False)
    """Whatever the cache last found for it, so that it need not look again."""

    def now(self, step: Any) -> "Fingerprint | None":
        """The fingerprint of the step as it is now, if it has not changed or only floats have."""
        if not self.watch.holds(step):
            return None
        if not self.places:
            return self
        floats = self.floats
        for number, place in enumerate(self.places):
            holder, name = place.holder, place.name
            try:
                value = holder[name] if place.is_item else getattr(holder, name)
            except (LookupError, AttributeError, ValueError):
                return None
            if value is self.floats[number] or place.index is not None:
                continue  # a tuple is watched as a whole
            if type(value) is not type(self.floats[number]):
                return None
            if floats is self.floats:
                floats = list(floats)
            floats[number] = value
        if floats is self.floats:
            return self
        return replace(self, floats=floats, bits=bits(floats), served=None)


def fingerprint(step: Any) -> Fingerprint:
    """Read a step.

    Raises:
        NotCacheable: the step holds an object that can't be looked into.
    """
    reader = Reader(step)
    try:
        reader.read_all()
    except RecursionError:
        raise NotCacheable("too many objects, one in the other") from None
    every = range(len(reader.floats))
    return Fingerprint(
        Key(tuple(reader.parts)), bits(reader.floats), reader.floats, reader.places,
        frozenset(reader.pinned if reader.may_vary else every), reader.tensors,
        any(tensor.requires_grad for tensor in reader.tensors), reader.watch,
    )  # fmt: skip


def modules_of(step: Any) -> list[nn.Module]:
    """All modules that the step is or can reach."""
    return _read_as_far_as_possible(step).modules


def objects_of(step: Any) -> list[Any]:
    """All objects that the step is or can reach and that are no plain values, each once."""
    return _read_as_far_as_possible(step).holders


def _read_as_far_as_possible(step: Any) -> Reader:
    reader = Reader(step)
    # What was found before an object that can't be looked into counts all the same.
    with suppress(NotCacheable, RecursionError):
        reader.read_all()
    return reader
