"""Settings: typed dataclasses that flags, TOML files and Python keywords all fill in.

A field is declared once, with its default, range and help text; the command line, the checks and
`--print-config` follow from that declaration.
"""

import dataclasses
import difflib
import math
import operator
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from elman.errors import ArgumentError

S = TypeVar("S")


def setting(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] | None = None,
    recorded: bool = True,
    metavar: str | None = None,
) -> Any:
    """A field of a settings class: `minimum` and `maximum` are allowed, `above` and `below` not.

    recorded: a run writes it down; not so a path, since no path is ever taken from a run folder.
    metavar: what the help calls the value, where its type says too little.
    """
    metadata = {
        "help": help,
        "minimum": minimum,
        "maximum": maximum,
        "above": above,
        "below": below,
        "choices": choices,
        "recorded": recorded,
        "metavar": metavar,
    }
    return dataclasses.field(default=default, metadata=metadata)


def changed(cls: type, name: str, default: Any, **metadata: Any) -> Any:
    """The field `name` of another settings class with another default, and other metadata where
    it is given: help, choices and limits are declared once."""
    known = {field.name: field for field in dataclasses.fields(cls)}
    return dataclasses.field(default=default, metadata={**known[name].metadata, **metadata})


def names(*classes: type) -> list[str]:
    """The keys of some settings classes, in the order of their declaration."""
    return [field.name for cls in classes for field in dataclasses.fields(cls)]


def field_type(cls: type, name: str) -> type:
    """The plain type of a field: `int` for both `int` and `int | None`."""
    annotation = typing.get_type_hints(cls)[name]
    if isinstance(annotation, types.UnionType):
        (annotation,) = (arm for arm in typing.get_args(annotation) if arm is not types.NoneType)
    found: type = annotation
    return found


def build(cls: type[S], values: Mapping[str, Any], source: str) -> S:
    """An instance of `cls` from those of `values` that are its fields, each checked.

    `source` says where the values come from and begins the error message.
    """
    return cls(**_all_checked(cls, values, source))


def check(settings: Any, source: str) -> None:
    """Raise `ArgumentError` if a field of a settings object is of another type or out of range."""
    _all_checked(type(settings), vars(settings), source)


def refuse_unknown(values: Iterable[str], known: list[str], source: str) -> None:
    """Raise on the first key that no settings class knows, naming the nearest one that is known."""
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}"
            raise ArgumentError(f"{source}: unknown setting {key!r}; {hint}")


def given(settings: Any) -> dict[str, Any]:
    """The settings as a flat mapping without the ones that are None, ready for TOML."""
    return {k: v for k, v in dataclasses.asdict(settings).items() if v is not None}


def recorded(settings: Any) -> dict[str, Any]:
    """Those of the given settings that a run writes down."""
    kept = {f.name for f in dataclasses.fields(settings) if f.metadata["recorded"]}
    return {name: value for name, value in given(settings).items() if name in kept}


def _all_checked(cls: Any, values: Mapping[str, Any], source: str) -> dict[str, Any]:
    return {
        field.name: _checked(field_type(cls, field.name), field, values[field.name], source)
        for field in dataclasses.fields(cls)
        if field.name in values
    }


def _checked(kind: type, field: dataclasses.Field[Any], value: Any, source: str) -> Any:
    if value is None and field.default is None:
        return None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ArgumentError(
            f"{source}: {field.name} must be {_described(kind)}, got {value!r} "
            f"({type(value).__name__})"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise ArgumentError(f"{source}: {field.name} must be a finite number, got {value}")
    bounds, choices = field.metadata, field.metadata["choices"]
    if choices is not None and value not in choices:
        raise ArgumentError(
            f"{source}: {field.name} must be one of {', '.join(choices)}, got {value!r}"
        )
    limits: list[tuple[Any, Callable[[Any, Any], bool], str]] = [
        (bounds["minimum"], operator.lt, "at least"),
        (bounds["above"], operator.le, "greater than"),
        (bounds["maximum"], operator.gt, "at most"),
        (bounds["below"], operator.ge, "less than"),
    ]
    for limit, is_broken, words in limits:
        if limit is not None and is_broken(value, limit):
            raise ArgumentError(f"{source}: {field.name} must be {words} {limit}, got {value}")
    return value


def _described(kind: type) -> str:
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return words[kind]
