"""What a step is made of, as a key that changes whenever the step's graph could.

A traced graph bakes in everything in a step that is no tensor: training flags, Python numbers,
dropout rates, which function a name stands for. So a compiled step may be used again only if all of
that is as it was. Tensors enter with shape, dtype and requires_grad but not with their values or
identity: the caller hands in those that the step holds now.

Reading a step whole takes a while. So a fingerprint remembers what it has seen where, and tells
quickly whether all of that is still in its place.
"""

import enum
import functools
import sys
import types
import weakref
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from elman.engine.memory import obstacle
from elman.engine.watch import Watch

_PLAIN: frozenset[type] = frozenset((
    int, float, bool, str, bytes, complex, type(None), torch.dtype, torch.device, torch.layout,
    type(Ellipsis), slice,
))  # fmt: skip
_BY_IDENTITY = (
    types.ModuleType, types.BuiltinFunctionType, types.MethodDescriptorType,
    types.WrapperDescriptorType, types.GetSetDescriptorType, torch._ops.OpOverload,
    torch._ops.OpOverloadPacket, torch.jit.ScriptFunction,
)  # fmt: skip
_READABLE = (
    *_PLAIN, Tensor, nn.Module, tuple, list, dict, set, frozenset, types.FunctionType,
    types.MethodType, functools.partial, types.SimpleNamespace,
)  # fmt: skip
"""What is read where it stands in a class; of other objects there only user-defined ones are."""

_FIXED = {"torch", "numpy", "elman", *sys.stdlib_module_names}
"""Packages whose modules, classes and functions do not change while a program runs."""

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_INTERNAL = frozenset(nn.Module().__dict__) - {"training"}


class NotCacheable(Exception):
    """The step holds something whose changes can't be seen."""


class _Identity:
    """Equal only to itself; holds on to the object, so that no other one gets its number."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self._value is other._value

    def __hash__(self) -> int:
        return id(self._value)


class Key:
    """Compares as its parts do; the hash is taken once."""

    __slots__ = ("_hash", "_parts")

    def __init__(self, parts: tuple) -> None:
        self._parts = parts
        self._hash = hash(parts)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Key) and self._parts == other._parts)

    def __hash__(self) -> int:
        return self._hash


@dataclass
class Fingerprint:
    """tensors: all that were found on the way, in a fixed order. wants_gradients: any of them."""

    key: Key
    tensors: list[Tensor]
    wants_gradients: bool
    watch: Watch


def fingerprint(step: Any) -> Fingerprint:
    """Read a step.

    Raises:
        NotCacheable: the step holds an object that can't be looked into.
    """
    reader = _Reader(step)
    try:
        reader.read(step)
        reader.read_global_hooks()
    except RecursionError:
        raise NotCacheable("too many objects, one in the other") from None
    wants_gradients = any(tensor.requires_grad for tensor in reader.tensors)
    return Fingerprint(Key(tuple(reader.parts)), reader.tensors, wants_gradients, reader.watch)


def modules_of(step: Any) -> list[nn.Module]:
    """All modules that the step is or can reach."""
    reader = _Reader(step)
    # What was found before an object that can't be looked into counts all the same.
    with suppress(NotCacheable, RecursionError):
        reader.read(step)
    return reader.modules


class _Reader:
    def __init__(self, step: Any) -> None:
        self.parts: list[Any] = []
        self.tensors: list[Tensor] = []
        self.modules: list[nn.Module] = []
        self.watch = Watch(step)
        self._seen: dict[int, int] = {}
        self._namespaces: set[tuple[int, tuple[str, ...]]] = set()  # by id, and the names in them

    def read(self, value: Any) -> None:
        kind = type(value)
        if kind is float or kind is complex:  # 0.0 equals -0.0, and NaN does not equal itself
            self.parts.append((kind, repr(value)))
        elif kind in _PLAIN:
            self.parts.append(value if kind is str or value is None else (kind, value))
        elif isinstance(value, Tensor):
            self._tensor(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, _BY_IDENTITY):
            self.parts.append(value)
        elif isinstance(value, enum.Enum | torch.Size):
            self.parts.append((kind, value))
        elif self._is_new(value):
            if isinstance(value, int | float | complex | str | bytes):  # of a class of its own
                self.parts.append((kind, repr(value)))
            self._look_into(value)

    def read_global_hooks(self) -> None:
        """Functions that run with every module."""
        if self.modules:
            for name in _HOOKS:
                self._dict(getattr(nn.modules.module, f"_global{name}"))

    def _is_new(self, value: Any) -> bool:
        """Whether this object is met for the first time; objects may refer to one another."""
        number = self._seen.get(id(value))
        if number is None:
            self._seen[id(value)] = len(self._seen)
            return True
        self.parts.append(("again", number))
        if number == 0:  # the step itself
            self.watch.is_safe = False
        return False

    def _tensor(self, value: Tensor) -> None:
        if not self._is_new(value):
            return
        self.tensors.append(value)
        self.watch.tensor(value)
        self.parts.append((
            value.shape, value.dtype, value.requires_grad, value.device.type, obstacle(value)
        ))  # fmt: skip
        if value.__dict__:
            self._dict(value.__dict__)

    def _look_into(self, value: Any) -> None:
        if isinstance(value, nn.Module):
            self._module(value)
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.MethodType):
            self.read(value.__self__)
            self.read(value.__func__)
        elif isinstance(value, functools.partial):
            for name in ("func", "args", "keywords"):
                self.read(self.watch.attribute(value, name))
        elif isinstance(value, tuple | list):
            self.parts.append((type(value), self.watch.size(value)))
            for index in range(len(value)):
                self.read(self.watch.item(value, index))
        elif isinstance(value, dict):
            self._dict(value)
        elif isinstance(value, set | frozenset):
            self.parts.append((type(value), frozenset(value)))
            self.watch.is_safe = False  # its members can't be watched
        elif hasattr(value, "__dict__") and not hasattr(type(value), "__slots__"):
            self._class(self.watch.attribute(value, "__class__"))
            self._dict(vars(value))
        else:
            raise NotCacheable(type(value).__name__)

    def _dict(self, value: dict) -> None:
        self.parts.append((type(value), self.watch.size(value)))
        for key in value:
            self.read(key)
            self.read(self.watch.item(value, key))

    def _module(self, module: nn.Module) -> None:
        parts, watch = self.parts, self.watch
        self.modules.append(module)
        attributes = module.__dict__
        self._class(watch.attribute(module, "__class__"))
        watch.size(attributes)
        parts.append(watch.item(attributes, "training"))
        self._hooks(attributes)
        for name in ("_parameters", "_buffers"):
            own = watch.item(attributes, name)
            watch.size(own)
            for key in own:
                tensor = watch.item(own, key)
                parts.append(None) if tensor is None else self._tensor(tensor)
        for name in attributes:
            if name not in _INTERNAL and name != "training":
                parts.append(name)
                self.read(watch.item(attributes, name))
        children = watch.item(attributes, "_modules")
        watch.size(children)
        for name in children:
            parts.append(name)
            self.read(watch.item(children, name))

    def _hooks(self, attributes: dict[str, Any]) -> None:
        """Functions that run with a module; those that run at other times may still hold it."""
        for name in attributes:
            if name in _INTERNAL and name.endswith("_hooks") and attributes[name]:
                self.watch.is_safe = False
        for name in _HOOKS:
            self._dict(attributes[name])

    def _class(self, kind: type) -> None:
        """A class, and what it and those that it inherits from define."""
        self.parts.append(weakref.ref(kind))  # a class may close over a model
        for base in kind.__mro__:
            if _is_fixed(base.__module__) or not self._is_new(base):
                continue
            own = vars(base)
            self.watch.size(own)
            for name in own:
                is_method = isinstance(own[name], types.FunctionType) and name != "__init__"
                if not name.startswith("__") or is_method:
                    self.parts.append(name)
                    self._member(self.watch.item(own, name))

    def _member(self, value: Any) -> None:
        """What stands in a class: a method, a property, a number, or anything else."""
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
        elif isinstance(value, property):
            value = value.fget
        elif isinstance(value, functools.cached_property):
            value = value.func
        if isinstance(value, _READABLE) or (
            hasattr(value, "__dict__") and not _is_fixed(type(value).__module__)
        ):
            self.read(value)
        else:  # such as a logger, or what Python itself puts there
            self.parts.append(_Identity(value))

    def _function(self, function: types.FunctionType) -> None:
        names, closure = function.__globals__, function.__closure__
        if _is_fixed(names.get("__name__") or "") and not closure:
            self.parts.append(function)
            return
        code = self.watch.attribute(function, "__code__")
        self.parts.append(code)
        self._names_in(names, _names_of(code))
        for cell in closure or ():
            try:
                content = self.watch.attribute(cell, "cell_contents")
            except ValueError:  # not filled yet
                content, self.watch.is_safe = None, False
            self.read(content)
        for name in ("__defaults__", "__kwdefaults__"):
            value = self.watch.attribute(function, name)
            if value:
                self.read(value)

    def _names_in(self, namespace: dict[str, Any], names: tuple[str, ...]) -> None:
        """Those of the names that a function's globals define, or a module that it mentions."""
        if (id(namespace), names) in self._namespaces:
            return
        self._namespaces.add((id(namespace), names))
        self.watch.size(namespace)
        for name in names:
            if name not in namespace:
                module = sys.modules.get(name)  # that the code itself imports
                if module is not None and not _is_fixed(name):
                    self._names_in(vars(module), names)
                continue
            value = self.watch.item(namespace, name)
            self.parts.append(name)
            self.read(value)
            if isinstance(value, types.ModuleType) and not _is_fixed(value.__name__):
                self._names_in(vars(value), names)


def _is_fixed(module: str) -> bool:
    return module.split(".")[0] in _FIXED


@functools.lru_cache(maxsize=1024)
def _names_of(code: types.CodeType) -> tuple[str, ...]:
    """Names that a function, and functions defined in it, look up: globals and attributes."""
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.update(dict.fromkeys(_names_of(constant)))
    return tuple(names)
