"""What a step is made of, as a key that changes whenever the step's graph could.

A traced graph bakes in everything in a step that is no tensor: training flags, Python numbers,
dropout rates, which function a name stands for. So a compiled step may be used again only if all of
that is as it was. Tensors enter with shape, dtype and requires_grad but not with their values or
identity: the caller hands in those that the step holds now.
"""

import enum
import functools
import types
from contextlib import suppress
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


def fingerprint(step: Any) -> tuple[tuple, list[Tensor]]:
    """A hashable key, and all tensors that were found on the way, in a fixed order.

    Raises:
        NotCacheable: the step holds an object that can't be looked into.
    """
    reader = _Reader()
    reader.read(step)
    return tuple(reader.parts), reader.tensors


def modules_of(step: Any) -> list[nn.Module]:
    """All modules that the step is or can reach."""
    reader = _Reader()
    with suppress(NotCacheable):  # those that were found before it count all the same
        reader.read(step)
    return reader.modules


class _Reader:
    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.tensors: list[Tensor] = []
        self.modules: list[nn.Module] = []
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
            self.parts.append(("again", number))
            return False
        return True

    def _tensor(self, value: Tensor) -> None:
        known = self._seen.get(id(value))
        if known is not None:
            self.parts.append(("again", known))
            return
        self._seen[id(value)] = len(self._seen)
        self.tensors.append(value)
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
            self.read((value.func, value.args, value.keywords))
        elif isinstance(value, tuple | list):
            self.parts.append((type(value), len(value)))
            for item in value:
                self.read(item)
        elif isinstance(value, dict):
            self.parts.append((type(value), len(value)))
            for key, item in value.items():
                self.read(key)
                self.read(item)
        elif isinstance(value, set | frozenset):
            self.parts.append((type(value), frozenset(value)))
        elif hasattr(value, "__dict__") and not hasattr(type(value), "__slots__"):
            self.parts.append(type(value))
            self.read(vars(value))
        else:
            raise NotCacheable(type(value).__name__)

    def _module(self, module: nn.Module) -> None:
        parts: list[Any] = self.parts
        self.modules.append(module)
        kind: Any = type(module)
        attributes = module.__dict__
        parts.append(kind)
        parts.append((module.training, len(module._forward_hooks), len(module._forward_pre_hooks)))
        for own in (module._parameters, module._buffers):
            for tensor in own.values():
                parts.append(None) if tensor is None else self._tensor(tensor)
        for name, value in attributes.items():
            if name not in _INTERNAL and name != "training":
                parts.append(name)
                self.read(value)
        for name, child in module._modules.items():
            parts.append(name)
            self.read(child)
        for namespace, name in _names_of_class(kind):
            self.read(namespace.get(name))
        parts.append(kind.forward)

    def _function(self, function: types.FunctionType) -> None:
        self.parts.append(function.__code__)
        for name in _global_names(function.__code__):
            self.read(function.__globals__.get(name))
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:  # not filled yet
                content = None
            self.read(content)
        if function.__defaults__:
            self.read(function.__defaults__)
        if function.__kwdefaults__:
            self.read(function.__kwdefaults__)


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
