"""What can be changed in place: each kind with a way to read it, to compare it, to put it back.

Contents are compared by the identity of what they hold: what changes deeper down is the matter of
the holder there. Numbers, strings and arrays are compared by value.
"""

import array
import collections
import ctypes
import functools
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import CellType, FunctionType, MemberDescriptorType
from typing import Any, NamedTuple

import torch

PLAIN: frozenset[type] = frozenset((
    int, float, bool, str, bytes, complex, type(None), torch.dtype, torch.device, torch.layout,
    type(Ellipsis), type(NotImplemented), slice, range,
))  # fmt: skip
_MISSING = object()
_LARGEST_ARRAY = 2**28
"""Bytes. A larger array is a data set, and to copy it would take longer than to compile a step."""


class Place(NamedTuple):
    """Where something stands, as the user would write it; `before` is what it stands in."""

    before: "Place | None"
    label: str

    def __str__(self) -> str:
        labels = [place.label for place in self._outwards()]
        text = "".join(reversed(labels))
        for own in ("._parameters", "._buffers", "._modules"):  # of a module
            text = text.replace(own, "")
        return text

    def name(self) -> str | None:
        """The attribute or variable that it is, or that holds it."""
        names = (place.label.removeprefix(".") for place in self._outwards())
        return next((name for name in names if name.isidentifier()), None)

    def _outwards(self) -> Iterator["Place"]:
        place: Place | None = self
        while place is not None:
            yield place
            place = place.before


def is_same(old: Any, new: Any) -> bool:
    """Whether a place holds what it held."""
    if old is new:
        return True
    kind = type(old)
    if kind is not type(new):
        return False
    if kind is float or kind is complex:  # NaN does not equal itself, and 0.0 equals -0.0
        return repr(old) == repr(new)
    if kind in PLAIN:
        return bool(old == new)
    if kind is tuple or kind is list:
        return len(old) == len(new) and all(map(is_same, old, new))
    if kind is dict:
        return list(old) == list(new) and all(map(is_same, old.values(), new.values()))
    if hasattr(old, "tobytes") and hasattr(old, "dtype"):
        is_alike: bool = old.shape == new.shape and old.dtype == new.dtype
        return is_alike and bool(old.tobytes() == new.tobytes())
    return False


@dataclass
class Named:
    """Names, or keys, with a value each: attributes, variables, dicts.

    text: what a step does that changes one, with {place} and {name}.
    """

    target: Any
    place: Place
    text: str
    read: Callable[[Any], dict[str, Any]]
    put: Callable[[Any, Any, Any], Any]
    remove: Callable[[Any, Any], Any]
    before: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.read(self.target)

    def restore(self) -> str | None:
        """Put back what has changed, and say what that was."""
        before, now = self.before, self.read(self.target)
        changed = [
            name for name in {**before, **now}
            if not is_same(before.get(name, _MISSING), now.get(name, _MISSING))
            and not (name not in before and _is_remembered(self.target, name, now[name]))
        ]  # fmt: skip
        for name in changed:
            if name in before:
                self.put(self.target, name, before[name])
            else:
                self.remove(self.target, name)
        if isinstance(self.target, dict) and list(now) != list(before):  # which is part of a dict
            changed = changed or list(now)
            for name in before:
                self.remove(self.target, name)
                self.put(self.target, name, before[name])
        return self.text.format(place=self.place, name=changed[0]) if changed else None


def _is_remembered(owner: Any, name: str, value: Any) -> bool:
    """Whether this is the value of a cached property: computed once, then kept, as is right. A
    tensor would be a fake one."""
    kinds = type(owner).__mro__
    defined = next((vars(kind)[name] for kind in kinds if name in vars(kind)), None)
    return isinstance(defined, functools.cached_property) and type(value) in PLAIN


@dataclass
class Whole:
    """What is read and written as a whole: lists, sets, arrays, random generators."""

    target: Any
    place: Place | str
    text: str
    read: Callable[[Any], Any]
    write: Callable[[Any, Any], Any]
    before: Any = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.read(self.target)

    def restore(self) -> str | None:
        """Put it back if it has changed, and say what that was."""
        if is_same(self.before, self.read(self.target)):
            return None
        self.write(self.target, self.before)
        return self.text.format(place=self.place)


Holder = Named | Whole


def attributes(value: Any, place: Place) -> Named:
    return Named(
        value, place, "sets {place}.{name}", lambda v: dict(v.__dict__),
        lambda v, name, old: v.__dict__.__setitem__(name, old),
        lambda v, name: v.__dict__.__delitem__(name),
    )  # fmt: skip


def class_attributes(value: type, place: Place) -> Named:
    return Named(
        value, place, "sets {place}.{name}",
        # Under names with two underscores Python keeps notes of its own.
        lambda v: {n: x for n, x in vars(v).items() if n[:2] != "__" and n != "_abc_impl"},
        type.__setattr__, type.__delattr__,
    )  # fmt: skip


def slots(value: Any, place: Place) -> Named | None:
    """Attributes of an object whose class lists them."""
    members: dict[str, MemberDescriptorType] = {}
    for base in type(value).__mro__:
        for name, member in vars(base).items() if "__slots__" in vars(base) else ():
            if isinstance(member, MemberDescriptorType):
                members.setdefault(name, member)
    if not members:
        return None

    def read(value: Any) -> dict[str, Any]:
        found = {name: getattr(value, name, _MISSING) for name in members}
        return {name: held for name, held in found.items() if held is not _MISSING}

    return Named(
        value, place, "sets {place}.{name}", read,
        lambda v, name, old: members[name].__set__(v, old),
        lambda v, name: members[name].__delete__(v),
    )  # fmt: skip


def variables(namespace: dict[str, Any], names: set[str], place: Place) -> Named:
    """Global variables that the step's code names; others may change at any time."""
    return Named(
        namespace, place, "sets the global variable {place}{name}",
        lambda v: {name: v[name] for name in sorted(names) if name in v},
        dict.__setitem__, dict.__delitem__,
    )  # fmt: skip


def closure_variable(value: CellType, place: Place) -> Named:
    def read(value: CellType) -> dict[str, Any]:
        try:
            return {place.label: value.cell_contents}
        except ValueError:  # not filled yet
            return {}

    def put(value: CellType, _: str, old: Any) -> None:
        value.cell_contents = old

    def remove(value: CellType, _: str) -> None:
        del value.cell_contents

    return Named(value, place, "changes the closure variable {name}", read, put, remove)


def parts_of_function(value: FunctionType, place: Place) -> Named:
    names = ("__defaults__", "__kwdefaults__", "__code__")
    return Named(
        value, place, "sets {place}.{name}", lambda v: {name: getattr(v, name) for name in names},
        setattr, delattr,
    )  # fmt: skip


def contents(value: Any, place: Place) -> Holder | None:
    """Of a dict, list, set, array or random generator; None for anything else."""
    if isinstance(value, dict):
        own = collections.OrderedDict if isinstance(value, collections.OrderedDict) else dict
        return Named(
            value, place, "changes the dict {place}", lambda v: dict(own.items(v)),
            own.__setitem__, own.__delitem__,
        )  # fmt: skip
    for kinds, text, read, write in _WHOLE:
        if isinstance(value, kinds):
            return Whole(value, place, text, read, write)
    numpy = sys.modules.get("numpy")
    return None if numpy is None else _of_numpy(numpy, value, place)


def _of_numpy(numpy: Any, value: Any, place: Place) -> Whole | None:
    if isinstance(value, numpy.ndarray):
        if not value.flags.writeable or value.nbytes > _LARGEST_ARRAY:
            return None
        return Whole(
            value, place, "changes the array {place}", numpy.copy,
            lambda v, old: v.__setitem__(..., old),
        )  # fmt: skip
    if isinstance(value, numpy.random.Generator):
        value = value.bit_generator
    if isinstance(value, numpy.random.RandomState):
        return Whole(
            value, place, "draws random numbers from {place}",
            lambda v: v.get_state(legacy=False), lambda v, old: v.set_state(old),
        )  # fmt: skip
    if isinstance(value, numpy.random.BitGenerator):
        return Whole(
            value, place, "draws random numbers from {place}", lambda v: v.state,
            lambda v, old: setattr(v, "state", old),
        )  # fmt: skip
    return None


def numpys_random_numbers() -> Whole | None:
    """Those of `numpy.random.rand` and its like."""
    numpy = sys.modules.get("numpy")
    place = Place(None, "numpy.random")
    return None if numpy is None else _of_numpy(numpy, numpy.random.mtrand._rand, place)


def _set_members(value: set[Any], old: dict[int, Any]) -> None:
    value.clear()
    value.update(old.values())


def _refill(value: Any, old: Any) -> None:
    value.clear()
    value.extend(old)


def _overwrite(value: Any, old: bytes) -> None:
    memoryview(value).cast("B")[:] = old


_BUFFERS = (bytearray, array.array, ctypes._SimpleCData, ctypes.Structure, ctypes.Array)
_WHOLE: tuple[Any, ...] = (
    (list, "changes the list {place}", list, lambda v, old: list.__setitem__(v, slice(None), old)),
    (set, "changes the set {place}", lambda v: {id(member): member for member in v}, _set_members),
    (collections.deque, "changes the deque {place}", list, _refill),
    (random.Random, "draws random numbers from {place}", lambda v: v.getstate(),
     lambda v, old: v.setstate(old)),
    (_BUFFERS, "changes the buffer {place}", bytes, _overwrite),
)  # fmt: skip
