"""What has changed between two readings of a step, in the user's words."""

import types
from typing import Any

from torch import nn

from elman.engine.step.kinds import NotCacheable
from elman.engine.step.reader import Reader
from elman.engine.step.varying import bits

_LONGEST = 60


def differs_in_values(old: tuple[Any, ...], new: tuple[Any, ...]) -> bool:
    """Whether two keys differ in plain values alone, such as a number or a name."""
    if len(old) != len(new):
        return False
    return all(a == b or _are_values(a, b) for a, b in zip(old, new, strict=True))


def _are_values(a: Any, b: Any) -> bool:
    if isinstance(a, str) and isinstance(b, str):
        return True
    are_pairs = isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b) == 2
    return are_pairs and isinstance(a[0], type) and a[0] is b[0]


def changed(
    step: Any,
    old: tuple[Any, ...],
    old_floats: list[float],
    new: tuple[Any, ...],
    new_floats: list[float],
) -> str:
    """`self.temperature: 0.51 -> 0.52`: the first of the changes."""
    reader = _NamingReader(step)
    try:
        reader.read_all()
    except (NotCacheable, RecursionError):
        return "it is not known what"
    if old == new:
        pairs = enumerate(zip(old_floats, new_floats, strict=True))
        number = next(n for n, (a, b) in pairs if bits([a]) != bits([b]))
        return f"{reader.of_floats[number]}: {old_floats[number]!r} -> {new_floats[number]!r}"
    both = enumerate(zip(old, new, strict=False))
    number = next((n for n, (a, b) in both if a != b), min(len(old), len(new)) - 1)
    name = reader.of_parts[number] if number < len(reader.of_parts) else "something"
    if _are_values(old[number], new[number]):
        return f"{name}: {_value(old[number])} -> {_value(new[number])}"
    return name


def _value(part: Any) -> str:
    text = repr(part) if isinstance(part, str) else str(part[1])
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


class _Named(list[Any]):
    """Parts; takes down where the reader is as each comes in."""

    def __init__(self, trail: list[str], names: list[str]) -> None:
        super().__init__()
        self._trail = trail
        self._names = names

    def append(self, part: Any) -> None:
        self._names.append("".join(self._trail) or "the step")
        super().append(part)


class _NamingReader(Reader):
    """of_parts, of_floats: the name of where each comes from."""

    def __init__(self, step: Any) -> None:
        super().__init__(step)
        self.of_parts: list[str] = []
        self.of_floats: list[str] = []
        self._trail = [] if isinstance(step, types.FunctionType) else ["self"]
        self._own: set[int] = set()  # ids of dictionaries that hold an object's attributes
        self.parts = _Named(self._trail, self.of_parts)

    def meet(self, value: Any) -> bool:
        own = getattr(value, "__dict__", None)
        if isinstance(own, dict):
            self._own.add(id(own))
            if isinstance(value, nn.Module):
                self._own.add(id(own["_modules"]))
        return super().meet(value)

    def item(self, holder: Any, name: Any) -> None:
        if isinstance(holder, dict) and "__builtins__" in holder:  # the globals of a module
            self._inside([name], lambda: Reader.item(self, holder, name))
        else:
            piece = f".{name}" if id(holder) in self._own else f"[{name!r}]"
            self._inside([*self._trail, piece], lambda: Reader.item(self, holder, name))

    def attribute(self, holder: Any, name: str, called: str | None = None) -> None:
        trail = [called] if called else [*self._trail, f".{name}"]
        self._inside(trail, lambda: Reader.attribute(self, holder, name))

    def member(self, kind: type, name: str) -> None:
        self._inside([f"{kind.__qualname__}.{name}"], lambda: Reader.member(self, kind, name))

    def _float(self, place: Any, value: float) -> None:
        index = "" if place.index is None else f"[{place.index}]"
        self.of_floats.append("".join(self._trail) + index)
        super()._float(place, value)

    def _inside(self, trail: list[str], read: Any) -> None:
        before = list(self._trail)
        self._trail[:] = trail
        try:
            read()
        finally:
            self._trail[:] = before
