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
import types
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_PLAIN = (
    int, float, bool, str, bytes, complex, type(None), torch.dtype, torch.device, torch.layout,
    enum.Enum, type(Ellipsis), slice,
)  # fmt: skip
_BY_IDENTITY = (
    type, types.ModuleType, types.BuiltinFunctionType, types.MethodDescriptorType,
    types.WrapperDescriptorType, types.GetSetDescriptorType, torch._ops.OpOverload,
    torch._ops.OpOverloadPacket, torch.jit.ScriptFunction,
)  # fmt: skip
_INTERNAL = frozenset(nn.Module().__dict__) - {"training"}


class NotCacheable(Exception):
    """The step holds something whose changes can't be seen."""


class Watch:
    """What was seen where, by identity: unlike the key, which compares values, it is quick.

    is_safe: nothing that is watched holds on to the step itself, so that who keeps this does not
    keep the step.
    """

    def __init__(self, step: Any) -> None:
        self.is_safe = True
        self._step_id = id(step)
        self._of_step: list[tuple[str, Any]] = []
        self._items: list[tuple[Any, Any, Any]] = []
        self._attributes: list[tuple[Any, str, Any]] = []
        self._sizes: list[tuple[Any, int]] = []
        self._tensors: list[tuple[Tensor, torch.Size, torch.dtype, bool, torch.device]] = []

    def item(self, holder: Any, name: Any) -> Any:
        value = holder[name]
        self._items.append((holder, name, value))
        return value

    def attribute(self, holder: Any, name: str) -> Any:
        value = getattr(holder, name)
        if id(holder) == self._step_id:
            self._of_step.append((name, value))
        else:
            self._attributes.append((holder, name, value))
        return value

    def size(self, holder: Any) -> int:
        self._sizes.append((holder, len(holder)))
        return len(holder)

    def tensor(self, value: Tensor) -> None:
        entry = (value, value.shape, value.dtype, value.requires_grad, value.device)
        self._tensors.append(entry)
        # A hook or the graph of a tensor may hold anything.
        if value.grad_fn is not None or value._backward_hooks or value.__dict__:
            self.is_safe = False

    def holds(self, step: Any) -> bool:
        """Whether nothing has changed."""
        try:
            for name, value in self._of_step:
                if getattr(step, name) is not value:
                    return False
            for holder, name, value in self._items:
                if holder[name] is not value:
                    return False
            for holder, name, value in self._attributes:
                if getattr(holder, name) is not value:
                    return False
        except (LookupError, AttributeError, ValueError):
            return False
        for holder, size in self._sizes:
            if len(holder) != size:
                return False
        for tensor, shape, dtype, requires_grad, device in self._tensors:
            if (
                tensor.requires_grad is not requires_grad
                or tensor.dtype is not dtype
                or tensor.shape != shape
                or tensor.device != device
            ):
                return False
        return True


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
    reader.read(step)
    wants_gradients = any(tensor.requires_grad for tensor in reader.tensors)
    return Fingerprint(Key(tuple(reader.parts)), reader.tensors, wants_gradients, reader.watch)


def modules_of(step: Any) -> list[nn.Module]:
    """All modules that the step is or can reach."""
    reader = _Reader(step)
    with suppress(NotCacheable):  # those that were found before it count all the same
        reader.read(step)
    return reader.modules


class _Reader:
    def __init__(self, step: Any) -> None:
        self.parts: list[Any] = []
        self.tensors: list[Tensor] = []
        self.modules: list[nn.Module] = []
        self.watch = Watch(step)
        self._seen: dict[int, int] = {}

    def read(self, value: Any) -> None:
        kind = type(value)
        if kind in _PLAIN_SET:
            self.parts.append(value if kind is str or value is None else (kind, value))
        elif isinstance(value, Tensor):
            self._tensor(value)
        elif isinstance(value, _BY_IDENTITY):
            self.parts.append(value)
        elif isinstance(value, enum.Enum | torch.Size):
            self.parts.append((kind, value))
        elif self._is_new(value):
            self._look_into(value)

    def _is_new(self, value: Any) -> bool:
        """Whether this object is met for the first time; objects may refer to one another."""
        number = self._seen.setdefault(id(value), len(self._seen))
        if number != len(self._seen) - 1:
            self._again(number)
            return False
        return True

    def _again(self, number: int) -> None:
        self.parts.append(("again", number))
        if number == 0:
            self.watch.is_safe = False

    def _tensor(self, value: Tensor) -> None:
        known = self._seen.get(id(value))
        if known is not None:
            self._again(known)
            return
        self._seen[id(value)] = len(self._seen)
        self.tensors.append(value)
        self.watch.tensor(value)
        self.parts.append((value.shape, value.dtype, value.requires_grad, value.device.type))

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
            self.parts.append(self.watch.attribute(value, "__class__"))
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
        kind = watch.attribute(module, "__class__")
        parts.append(kind)
        watch.size(attributes)
        hooks = [watch.size(attributes[name]) for name in ("_forward_hooks", "_forward_pre_hooks")]
        parts.append((watch.item(attributes, "training"), *hooks))
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
        for namespace, name in _names_of_class(kind):
            self._global(namespace, name)
        parts.append(watch.attribute(kind, "forward"))

    def _global(self, namespace: dict[str, Any], name: str) -> None:
        if name in namespace:
            self.read(self.watch.item(namespace, name))
        else:
            self.watch.size(namespace)
            self.read(None)

    def _function(self, function: types.FunctionType) -> None:
        code = self.watch.attribute(function, "__code__")
        self.parts.append(code)
        for name in _global_names(code):
            self._global(function.__globals__, name)
        for cell in function.__closure__ or ():
            try:
                content = self.watch.attribute(cell, "cell_contents")
            except ValueError:  # not filled yet
                content, self.watch.is_safe = None, False
            self.read(content)
        for name in ("__defaults__", "__kwdefaults__"):
            value = self.watch.attribute(function, name)
            if value:
                self.read(value)


_PLAIN_SET = frozenset(kind for kind in _PLAIN if kind is not enum.Enum)


@functools.lru_cache(maxsize=1024)
def _global_names(code: types.CodeType) -> tuple[str, ...]:
    """Names that a function, and functions defined in it, may look up among the globals."""
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.update(dict.fromkeys(_global_names(constant)))
    return tuple(names)


@functools.lru_cache(maxsize=1024)
def _names_of_class(kind: Any) -> list[tuple[dict[str, Any], str]]:
    """Globals that the methods of a module class may use. torch's own classes use none that
    change."""
    found: list[tuple[dict[str, Any], str]] = []
    for base in kind.__mro__:
        if base.__module__.split(".")[0] in ("torch", "builtins"):
            continue
        for member in vars(base).values():
            function = getattr(member, "__func__", getattr(member, "fget", member))
            if isinstance(function, types.FunctionType) and function.__name__ != "__init__":
                found += [
                    (function.__globals__, name)
                    for name in _global_names(function.__code__)
                    if name in function.__globals__
                ]
    return list({(id(space), name): (space, name) for space, name in found}.values())
