"""Reading what containers, arrays and tensors hold."""

import _thread
import collections
import logging
import threading
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn.parameter import is_lazy

from elman.engine.memory import obstacle
from elman.engine.step.kinds import (
    BY_REPR,
    BY_VALUE,
    FLOATS,
    LARGEST,
    NotCacheable,
    bytes_of,
    slots_of,
)

if TYPE_CHECKING:
    from elman.engine.step.reader import Reader

_MANY = 64
"""Items of a container beyond which they are watched as a whole if all are plain values."""
_VERY_MANY = 1024
"""The same for items of any kind."""
_VIEWS: Any = (type({}.keys()), type({}.values()), type({}.items()))
_BASES = (int, float, complex, str, bytes)
_CONTAINERS = (
    tuple, list, collections.deque, dict, types.MappingProxyType, set, frozenset, *_VIEWS, *_BASES,
)  # fmt: skip


def is_container(value: Any) -> bool:
    """Whether it is a container, or a number or string of a class of its own."""
    return isinstance(value, _CONTAINERS)


def read_container(reader: "Reader", value: Any) -> None:
    """Read what `is_container`."""
    if isinstance(value, tuple | list | collections.deque):
        _sequence(reader, value)
    elif isinstance(value, _VIEWS):
        reader.read(value.mapping)
    elif isinstance(value, dict | types.MappingProxyType):
        read_dict(reader, value)
        if isinstance(value, collections.defaultdict):
            reader.attribute(value, "default_factory")
    elif isinstance(value, set | frozenset):
        _set(reader, value)
    else:
        base = next(base for base in _BASES if isinstance(value, base))
        reader.parts.append((base.__repr__(value), getattr(value, "_name_", None)))
    if type(value).__module__ not in ("builtins", "collections"):
        reader.read(reader.watch.kind(value))
    read_attributes(reader, value)


def read_attributes(reader: "Reader", value: Any) -> None:
    """What stands in an object's `__dict__` and in its slots, whatever its `__getattr__` says."""
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        own = None
    if isinstance(value, threading.local):  # every thread has attributes of its own
        reader.attribute(value, "__dict__")
    elif isinstance(own, dict):
        if getattr(value, "__dict__", None) is own:
            reader.watch.attribute(value, "__dict__")  # it may be another one later
        read_dict(reader, own)
    read_slots(reader, value)


def read_state_of(reader: "Reader", value: Any) -> None:
    """What an object that is known by its identity tells a step all the same."""
    for kind, ask in _ASKED:
        if isinstance(value, kind):
            reader.parts.append(reader.watch.content(ask, value))
    own = getattr(value, "__dict__", None)
    if isinstance(own, dict):
        reader.watch.size(own)
        for name in list(own):
            if type(own[name]) in BY_VALUE | FLOATS and not name.startswith("gauss"):
                reader.parts.append(name)
                reader.item(own, name)


def _level(logger: logging.Logger) -> tuple[Any, ...]:
    return logger.getEffectiveLevel(), logger.disabled, logger.manager.disable


_ASKED: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (logging.Logger, _level),
    (threading.Event, lambda event: event.is_set()),
    (_thread.LockType, lambda lock: lock.locked()),
    (threading.Semaphore, lambda semaphore: semaphore._value),
)


def read_slots(reader: "Reader", value: Any) -> None:
    for name, member in slots_of(type(value)):
        reader.parts.append(name)
        try:
            member.__get__(value)
        except AttributeError:
            reader.parts.append("unset")
            reader.watch.is_safe = False
        else:
            reader.attribute(value, name)


def _sequence(reader: "Reader", value: Any) -> None:
    reader.parts.append((type(value), getattr(value, "maxlen", None), len(value)))
    if isinstance(value, tuple):
        _values(reader, value)
    elif _is_many(value, value):
        _values(reader, reader.watch.run(iter, value))
    else:
        reader.watch.size(value)
        for index in range(len(value)):
            reader.item(value, index)


def read_dict(reader: "Reader", value: Any) -> None:
    reader.parts.append((type(value), len(value)))
    if _is_many(value, value.values()):
        _values(reader, reader.watch.run(iter, value))
        _values(reader, reader.watch.run(_values_of, value))
        return
    reader.watch.order(value)
    for key in list(value):
        reader.read(key)
        reader.item(value, key)


def _is_many(container: Any, items: Any) -> bool:
    size = len(container)
    return size > _VERY_MANY or (size > _MANY and BY_VALUE.issuperset(map(type, items)))


def _values_of(mapping: Any) -> Any:
    return mapping.values()


def _values(reader: "Reader", values: Any) -> None:
    if len(values) > _MANY and BY_VALUE.issuperset(map(type, values)):
        reader.parts.append((tuple(map(type, values)), tuple(values)))
        return
    for value in values:
        reader.read(value)


def _set(reader: "Reader", value: Any) -> None:
    """In no order; members that are no plain values in that of this very set."""
    simple = BY_VALUE | BY_REPR
    plain = frozenset([(type(member), repr(member)) for member in value if type(member) in simple])
    reader.parts.append((type(value), len(value), plain))
    for member in reader.watch.run(iter, value):
        if type(member) not in simple:
            reader.read(member)


def read_array(reader: "Reader", value: Any) -> None:
    size = value.nbytes if hasattr(value, "nbytes") else len(value)
    if str(getattr(value, "dtype", "")) == "object":
        reader.watch.is_safe = False
        reader.read(value.tolist())
    elif size > LARGEST:
        raise NotCacheable(f"an array of {size:,} bytes, too many to compare")
    else:
        reader.parts.append((type(value), reader.watch.content(bytes_of, value)))


def read_tensor(reader: "Reader", value: Tensor) -> None:
    """A tensor of any shape: all but its numbers."""
    if not reader.meet(value):
        return
    if is_lazy(value):
        reader.parts.append(type(value))
        reader.watch.is_safe = False
        return
    reader.tensors.append(value)
    reader.watch.tensor(value)
    reader.parts.append((
        type(value), value.shape, value.dtype, value.requires_grad, value.device.type,
        obstacle(value),
    ))  # fmt: skip
    if value.__dict__:
        read_dict(reader, value.__dict__)
