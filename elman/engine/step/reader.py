"""Reading all that a step can reach: objects of every kind, each at its place."""

import functools
import types
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from elman.engine.step import contents, functions, objects
from elman.engine.step.foreign import require_traceable
from elman.engine.step.kinds import (
    ARRAYS,
    BY_IDENTITY,
    BY_REPR,
    BY_VALUE,
    FLOATS,
    ITERATORS,
    Identity,
    NotCacheable,
    is_fixed,
    is_written_out,
)
from elman.engine.step.varying import Number
from elman.engine.step.watch import Watch

_MOST = 50_000
"""Parts beyond which comparing a step at every call would cost more than it saves."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a float stands: an item or an attribute of something that can be changed, or, with an
    index, one of the numbers of a tuple that stands there."""

    holder: Any
    name: Any
    is_item: bool
    index: int | None = None

    def content(self) -> Any:
        return self.holder[self.name] if self.is_item else getattr(self.holder, self.name)

    def put(self, value: Any) -> None:
        """Past whatever the holder does when it is asked politely, such as being frozen."""
        if isinstance(self.holder, dict):
            dict.__setitem__(self.holder, self.name, value)
        elif self.is_item:
            self.holder[self.name] = value
        elif isinstance(self.holder, type):
            type.__setattr__(self.holder, self.name, value)
        else:
            object.__setattr__(self.holder, self.name, value)


class Reader:
    """Reads a step and all that it can reach; how each kind of object is read stands in `contents`,
    `objects` and `functions`.

    parts: the key's, in the order of reading. floats stand apart from them, with their places;
    pinned: numbers of those floats that can't be changed for all who see them. tensors, modules:
    those that were found. holders: every object that was met, once, so that who wants to know what
    a call changes in them can look.
    """

    def __init__(self, step: Any) -> None:
        self.step = step
        self.parts: list[Any] = []
        self.floats: list[float] = []
        self.places: list[Place] = []
        self.pinned: set[int] = set()
        self.tensors: list[Tensor] = []
        self.modules: list[nn.Module] = []
        self.holders: list[Any] = []
        self.watch = Watch(step)
        self.names = functions.NamesRead()
        self.may_vary = True  # whether nothing could tell a float from what stands in for it
        self._seen: dict[int, int] = {}
        self._in_tuple: dict[int, range] = {}  # numbers of floats, by the id of their tuple

    def read_all(self) -> None:
        self.read(self.step)
        objects.read_patches(self, Tensor)
        functions.read_loose_modules(self)
        if self.modules:
            objects.read_global_hooks(self)

    def read(self, value: Any) -> None:
        kind = type(value)
        if kind in BY_VALUE:
            self.parts.append(value if kind is str or value is None else (kind, value))
        elif kind in BY_REPR:
            self.parts.append((kind, repr(value)))
        elif kind is Number:
            self.read(value.value)
        elif isinstance(value, Tensor):
            contents.read_tensor(self, value)
        elif isinstance(value, type):
            objects.read_class(self, value)
        elif self.meet(value):
            if len(self.parts) > _MOST:
                raise NotCacheable(f"more than {_MOST:,} objects, too many to compare")
            self._look_into(value)

    def meet(self, value: Any) -> bool:
        """Take down an object, and say whether that is the first time: objects may refer to one
        another."""
        number = self._seen.get(id(value))
        if number is None:
            self._seen[id(value)] = len(self._seen)
            self.holders.append(value)  # which also keeps its id from being given to another
            return True
        self.parts.append(("again", number))
        if value is self.step:
            self.watch.is_safe = False
        return False

    def _look_into(self, value: Any) -> None:
        """An object that has not been met yet."""
        require_traceable(value)
        if isinstance(value, nn.Module):
            objects.read_module(self, value)
        elif isinstance(value, types.FunctionType):
            functions.read_function(self, value)
        elif isinstance(value, types.MethodType):
            self.read(value.__self__)
            self.read(value.__func__)
        elif isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType):
            functions.read_builtin(self, value)
        elif isinstance(value, types.ModuleType):
            self.parts.append(Identity(value))
            if not is_fixed(value.__name__):
                self.names.loose_modules.append(value)
        elif isinstance(value, BY_IDENTITY + ITERATORS):
            self.parts.append(Identity(value))
            contents.read_state_of(self, value)
        elif is_written_out(value):
            self.parts.append((type(value), repr(value)))
        elif isinstance(value, staticmethod | classmethod | property | functools.cached_property):
            objects.read_descriptor(self, value)
        elif isinstance(value, ARRAYS):
            contents.read_array(self, value)
        elif contents.is_container(value):
            contents.read_container(self, value)
        else:
            objects.read_object(self, value)

    def item(self, holder: Any, name: Any) -> None:
        """What stands at `holder[name]`."""
        value = holder[name]
        if type(value) not in FLOATS:
            self.watch.item(holder, name)
        self._at(Place(holder, name, is_item=True), value)

    def attribute(self, holder: Any, name: str, called: str | None = None) -> None:
        """What stands at `holder.name`; called: what its user knows it as."""
        value = getattr(holder, name)
        if type(value) not in FLOATS:
            self.watch.attribute(holder, name)
        self._at(Place(holder, name, is_item=False), value)

    def member(self, kind: type, name: str) -> None:
        """What stands in a class, as it stands there: `kind.name` may be something else."""
        value = vars(kind)[name]
        if type(value) not in FLOATS:
            self.watch.item(vars(kind), name)
        self._at(Place(kind, name, is_item=False), value)

    def _at(self, place: Place, value: Any) -> None:
        kind = type(value)
        if kind in FLOATS:
            self._float(place, value)
        elif issubclass(kind, tuple) and not FLOATS.isdisjoint(map(type, value)):
            self._tuple(place, value)
        else:
            self.read(value)

    def _float(self, place: Place, value: float) -> None:
        if place.holder is self.step:
            self.watch.is_safe = False  # a place holds on to its holder
        self.parts.append(type(value))
        self.floats.append(value)
        self.places.append(place)

    def _tuple(self, place: Place, values: tuple[Any, ...]) -> None:
        if not self.meet(values):  # who sees it elsewhere would not see another one here
            self.pinned.update(self._in_tuple.get(id(values), ()))
            return
        self.parts.append((type(values), len(values)))
        start = len(self.floats)
        for index, value in enumerate(values):
            if type(value) in FLOATS:
                self._float(Place(place.holder, place.name, place.is_item, index), value)
            else:
                self.read(value)
        self._in_tuple[id(values)] = range(start, len(self.floats))
