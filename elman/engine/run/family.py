"""All that was compiled of one step for one kind of arguments; one differs from another in the
floats that the step reads."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from elman.engine.run.compiled import CompiledStep
from elman.engine.step.fingerprint import Fingerprint
from elman.engine.step.reader import Place
from elman.engine.step.varying import Expression, Number, Record, as_argument, same
from elman.errors import ElmanError

_MOST = 8
"""Compilations that a family keeps of each sort."""


_BYTES_OF_NODE = 10_000
"""By measurement: 7 kB of Python's objects, the rest machine code."""


def size_of(compiled: CompiledStep) -> int:
    """About how many bytes a compiled step takes, once all of its parts have run."""
    return _BYTES_OF_NODE * len(compiled.plan.trace.graph.nodes)


@dataclass(frozen=True)
class Refusal:
    """Why there is no compiled step, in words: an exception would hold on to all that was at hand
    when it was raised."""

    kind: type[ElmanError]
    text: str


@dataclass
class Entry:
    """compiled, or why there is none. closed: numbers of those tensors of the step that it closes
    over; numbers: positions among them of floats that change, and how they are computed.

    record: what the trace relies on; fixed: floats that have to be what they were, by place. Both
    are for a trace in which floats are arguments.
    """

    compiled: CompiledStep | Refusal
    closed: list[int] = field(default_factory=list)
    numbers: list[tuple[int, Expression]] = field(default_factory=list)
    record: Record | None = None
    fixed: dict[int, float] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return size_of(self.compiled) if isinstance(self.compiled, CompiledStep) else 1000

    def serves(self, floats: Sequence[float]) -> bool:
        return all(same(floats[number], value) for number, value in self.fixed.items()) and (
            self.record is None or self.record.holds(floats)
        )

    def closed_over(self, found: Fingerprint) -> list[Tensor]:
        """The tensors that the step closes over now, each in its own shape; floats that change
        among them as tensors of no dimension."""
        closed = [found.tensors[index] for index in self.closed]
        for position, number in self.numbers:
            closed.insert(position, as_argument(number(found.floats)))
        return closed


class Family:
    """exact: by the floats' bits, each with the floats as constants. general: those in which some
    floats are arguments. changing: places whose float has changed; constant: those among them that
    can't be arguments, because the step asks for their value."""

    def __init__(self) -> None:
        self._exact: OrderedDict[bytes, Entry] = OrderedDict()
        self._general: list[Entry] = []
        self._latest: list[float] | None = None
        self._changing: set[int] = set()
        self._constant: set[int] = set()

    @property
    def size(self) -> int:
        return sum(entry.size for entry in [*list(self._exact.values()), *self._general])

    def find(self, found: Fingerprint) -> Entry | None:
        entry = self._exact.get(found.bits)
        if entry is None:
            return next((e for e in self._general if e.serves(found.floats)), None)
        return entry

    def add(self, entry: Entry, found: Fingerprint) -> None:
        if entry.record is None:
            self._exact[found.bits] = entry
            if len(self._exact) > _MOST:
                self._exact.popitem(last=False)
        else:
            self._general = [entry, *self._general][:_MOST]

    def note_changes(self, found: Fingerprint) -> None:
        """Note which floats differ from those of the last compilation."""
        if self._latest is not None:
            pairs = zip(self._latest, found.floats, strict=True)
            self._changing.update(n for n, (a, b) in enumerate(pairs) if not same(a, b))
        self._latest = found.floats

    def varying(self, found: Fingerprint) -> list[int]:
        """Places whose floats should be arguments of the next compilation."""
        return sorted(self._changing - self._constant - found.pinned)

    def keep_constant(self, places: Sequence[int]) -> None:
        self._constant.update(places)


class NoStandIn(Exception):
    """A float's place can't be changed."""


@contextmanager
def standing_in(places: Sequence[Place], numbers: Sequence[int], record: Record) -> Iterator[None]:
    """Numbers that tell what is done with them, at the places of floats.

    Raises:
        NoStandIn: a place can't be changed.
    """
    before: dict[tuple[int, Any], tuple[Place, Any]] = {}
    try:
        for number in numbers:
            place = places[number]
            content = place.content()
            try:
                place.put(_with(content, place.index, record.number(number)))
            except (TypeError, AttributeError) as error:
                raise NoStandIn from error
            before.setdefault((id(place.holder), place.name), (place, content))
        with record.recording():
            yield
    finally:
        for place, content in before.values():
            place.put(content)


def _with(content: Any, index: int | None, number: Number) -> Any:
    if index is None:
        return number
    items = list(content)
    items[index] = number
    if type(content) is tuple:
        return tuple(items)
    return type(content)._make(items)
