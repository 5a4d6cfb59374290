"""What torch itself says of a node's operation: its name, and its arguments by their names."""

import operator
from functools import lru_cache
from typing import Any

from torch import fx
from torch._ops import OpOverload

_REQUIRED = object()


def name_of(node: fx.Node) -> str:
    """`mm`, `softmax`, ...: the operation's name as users know it."""
    return _name_of(node.target)


@lru_cache(maxsize=4096)  # torch puts the name together anew each time
def _name_of(target: Any) -> str:
    packet = getattr(target, "overloadpacket", None)
    return getattr(packet or target, "__name__", str(target))


def bound(node: fx.Node) -> dict[str, Any]:
    """All arguments of a node by name, defaults among them."""
    found = {}
    for number, (name, default) in enumerate(_signature(node.target)):
        value = node.args[number] if number < len(node.args) else node.kwargs.get(name, default)
        if value is _REQUIRED:
            raise TypeError(f"{node.target} needs {name}")
        found[name] = value
    return found


@lru_cache(maxsize=4096)
def _signature(target: Any) -> tuple[tuple[str, Any], ...]:
    if target is operator.getitem:
        return ("self", _REQUIRED), ("index", _REQUIRED)
    if not isinstance(target, OpOverload):
        raise TypeError(f"{target} has no schema")
    return tuple([
        (argument.name, argument.default_value if argument.has_default_value() else _REQUIRED)
        for argument in target._schema.arguments
    ])  # fmt: skip
