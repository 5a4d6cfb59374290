"""Reading objects, modules of a network among them, and their classes."""

import abc
import contextvars
import functools
import inspect
import threading
import types
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from elman.engine.step import functions
from elman.engine.step.contents import read_attributes, read_dict, read_slots, read_tensor
from elman.engine.step.kinds import (
    BY_REDUCTION,
    BY_VALUE,
    FLOATS,
    Identity,
    NotCacheable,
    hides_something,
    is_fixed,
    slots_of,
)

if TYPE_CHECKING:
    from elman.engine.step.reader import Reader

_OF_PYTHON = frozenset((
    "__init__", "__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__slots__",
    "__annotations__", "__orig_bases__", "__parameters__", "__abstractmethods__", "__match_args__",
    "__dataclass_fields__", "__dataclass_params__", "__firstlineno__", "__static_attributes__",
    "_abc_impl",
))  # fmt: skip
"""Names in a class that have no part in what its objects do."""
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_INTERNAL = frozenset(nn.Module().__dict__) - {"training"}


def read_object(reader: "Reader", value: Any) -> None:
    """An object that is not known as anything else."""
    kind = type(value)
    if isinstance(value, functools.partial):
        for name in ("func", "args", "keywords"):
            reader.attribute(value, name)
    elif isinstance(value, BY_REDUCTION):
        reader.read(value.__reduce__()[1:])
        functions.look_up(reader, value.__reduce__()[1])
    elif isinstance(value, weakref.ref):
        reader.watch.is_safe = False  # watching it would keep alive what it refers to
        reader.read(value())
    elif isinstance(value, contextvars.ContextVar):
        reader.parts.append(Identity(value))
        reader.watch.is_safe = False
        reader.read(value.get(None))
    elif isinstance(value, functools._lru_cache_wrapper):
        reader.may_vary = False  # it would remember what stands in for a float
    elif isinstance(value, types.CellType):
        functions.read_cell(reader, "cell", value)
        return
    elif isinstance(value, BaseException):
        reader.read(value.args)
    elif isinstance(value, np.generic):
        reader.parts.append((value.dtype.str, value.tobytes()))
    elif hides_something(kind) and not isinstance(value, threading.local):
        raise NotCacheable(kind.__name__)
    elif _has_nothing(value):
        reader.parts.append(Identity(value))  # `object()`, which is only ever compared by `is`
    reader.read(reader.watch.kind(value))
    read_attributes(reader, value)


def _has_nothing(value: Any) -> bool:
    return not slots_of(type(value)) and not hasattr(value, "__dict__")


def read_module(reader: "Reader", module: nn.Module) -> None:
    parts, watch = reader.parts, reader.watch
    reader.modules.append(module)
    attributes = module.__dict__
    kind = watch.kind(module)
    reader.read(kind)
    if is_fixed(kind.__module__):
        parts.append(Identity(watch.attribute(kind, "forward")))
    for base in kind.__mro__:
        if is_fixed(base.__module__):
            read_patches(reader, base)
    watch.attribute(module, "__dict__")
    watch.size(attributes)
    parts.append(module.training)
    if "training" in attributes:
        watch.item(attributes, "training")
    if isinstance(module, torch.jit.ScriptModule | torch.fx.GraphModule):
        _read_generated(reader, module)
    if isinstance(module, torch.jit.ScriptModule):
        return
    _hooks(reader, attributes)
    for name in ("_parameters", "_buffers"):
        own = watch.item(attributes, name)
        watch.order(own)
        for key in own:
            parts.append(key)
            tensor = watch.item(own, key)
            parts.append(None) if tensor is None else read_tensor(reader, tensor)
    for name in attributes:
        if name not in _INTERNAL and name != "training":
            parts.append(name)
            reader.item(attributes, name)
    children = watch.item(attributes, "_modules")
    watch.order(children)
    for name in children:
        parts.append(name)
        reader.item(children, name)
    read_slots(reader, module)


def _read_generated(reader: "Reader", module: nn.Module) -> None:
    """A module whose code is not Python's, or is written anew whenever its graph changes."""
    reader.watch.is_safe = False
    reader.parts.append(Identity(inspect.getattr_static(module, "forward", None)))
    for tensor in (*module.parameters(), *module.buffers()):
        read_tensor(reader, tensor)


def _hooks(reader: "Reader", attributes: dict[str, Any]) -> None:
    """Functions that run with a module; those that run at other times may still hold it."""
    for name in attributes:
        if name in _INTERNAL and name.endswith("_hooks") and attributes[name]:
            reader.watch.is_safe = False
    for name in HOOKS:
        read_dict(reader, attributes[name])


def read_global_hooks(reader: "Reader") -> None:
    """Functions that run with every module."""
    for name in HOOKS:
        read_dict(reader, getattr(nn.modules.module, f"_global{name}"))


def read_class(reader: "Reader", kind: type) -> None:
    """A class, and what it and those that it inherits from define."""
    reader.parts.append(Identity(kind))
    if is_fixed(kind.__module__):
        return
    if type(kind) is not type:
        reader.read(type(kind))  # whose properties are attributes of the class
    if isinstance(kind, abc.ABCMeta):  # others may have been registered as its subclasses
        reader.parts.append(reader.watch.content(_abstract_classes, kind))
    reader.watch.attribute(kind, "__mro__")
    for base in kind.__mro__:
        if is_fixed(base.__module__) or not reader.meet(base):
            continue
        own = vars(base)
        reader.watch.size(own)
        for name in list(own):
            if name not in _OF_PYTHON:
                reader.parts.append(name)
                _member(reader, base, name)


def read_patches(reader: "Reader", kind: type) -> None:
    """What a user has put into a class of torch."""
    if kind is object or not reader.meet(kind):
        return
    own = vars(kind)
    reader.watch.size(own)
    for name, value in list(own.items()):
        is_users = isinstance(value, types.FunctionType) and not is_fixed(
            value.__globals__.get("__name__") or ""
        )
        if is_users or (type(value) in BY_VALUE | FLOATS and not name.startswith("__")):
            reader.parts.append(name)
            reader.member(kind, name)


def _abstract_classes(_: type) -> Any:
    return abc.get_cache_token()


def _member(reader: "Reader", kind: type, name: str) -> None:
    """What stands in a class: a method, a property, a number, or anything else."""
    try:
        reader.member(kind, name)
    except NotCacheable:  # such as what Python itself puts there
        reader.parts.append(Identity(vars(kind)[name]))


def read_descriptor(reader: "Reader", value: Any) -> None:
    """What Python calls when an attribute is looked up: the functions behind it."""
    reader.parts.append(type(value))
    if isinstance(value, property):
        for function in (value.fget, value.fset):
            reader.read(function)
    elif isinstance(value, functools.cached_property):
        reader.read(value.func)
    else:
        reader.read(value.__func__)
