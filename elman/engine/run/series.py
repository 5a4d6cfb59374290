"""Steps that are compiled again and again, because something that they read keeps changing."""

import weakref
from collections import OrderedDict
from collections.abc import Callable
from types import CellType
from typing import Any

from torch import nn

from elman.engine.run.family import Refusal
from elman.engine.source import warn
from elman.engine.step.varying import bits
from elman.engine.step.what_changed import changed, differs_in_values

PATIENCE = 8
"""Compilations of one step after which it is time for a word, and for trying less often."""
_LONGEST_PAUSE = 1024
_MOST = 256


class Series:
    """Compilations in a row that differ in what the step read, and in nothing else.

    A step that was refused each time is tried less and less often: the plain loop is right in any
    case, and tracing takes longer than many a loop.
    """

    def __init__(self) -> None:
        self._owner: Callable[[], Any] = lambda: None
        self._found: tuple[tuple[Any, ...], list[float]] = ((), [])
        self._count = 0
        self._refusal: Refusal | None = None
        self._refused = 0
        self._pause = 0

    def count_down(self, step: Any, parts: tuple[Any, ...]) -> Refusal | None:
        """Another call: the last refusal, while it is not yet time to try again."""
        if self._pause == 0 or not self._goes_on(step, parts):
            return None
        self._pause -= 1
        return self._refusal

    def add(
        self, step: Any, parts: tuple[Any, ...], floats: list[float], refusal: Refusal | None
    ) -> None:
        """Another compilation; parts and floats: of the step's fingerprint."""
        if not self._goes_on(step, parts):
            self.__init__()  # type: ignore[misc]
        is_change = (parts, bits(floats)) != (self._found[0], bits(self._found[1]))
        self._count += is_change  # else it had only been forgotten
        if refusal is None or refusal != self._refusal:
            self._refused = 0
        self._refusal = refusal
        if refusal is not None:
            self._refused += 1
            over = self._refused - PATIENCE
            self._pause = min(2**over, _LONGEST_PAUSE) if over >= 0 else 0
        elif is_change and self._count == PATIENCE + 1:
            self._complain(step, parts, floats)
        self._owner = _weakly(_owner_of(step))
        self._found = (parts, floats)

    def _goes_on(self, step: Any, parts: tuple[Any, ...]) -> bool:
        return self._owner() is _owner_of(step) or differs_in_values(self._found[0], parts)

    def _complain(self, step: Any, parts: tuple[Any, ...], floats: list[float]) -> None:
        name = getattr(step, "__qualname__", type(step).__qualname__)
        what = changed(step, *self._found, parts, floats)
        warn(
            f"elman.scan has compiled {name} {self._count} times, because something that it can "
            f"reach keeps changing ({what}); keep that out of its reach, or make it a tensor, "
            f"whose value may change freely, or pass it with the input"
        )


_series: OrderedDict[Any, Series] = OrderedDict()


def series_of(step: Any, kind: Any) -> Series:
    """The series of a step, or of all steps of the same code, for one kind of arguments."""
    code = getattr(getattr(step, "__func__", step), "__code__", None)
    where = (code.co_filename, code.co_firstlineno, code.co_name) if code else None
    key = (where or (type(step).__module__, type(step).__qualname__), kind)
    found = _series.setdefault(key, Series())
    while len(_series) > _MOST:
        _series.popitem(last=False)
    return found


def _owner_of(step: Any) -> Any:
    """Whose step it is. A bound method, or a function inside of another, is a new object at each
    call; the object that it belongs to, or the first module that it closes over, stays."""
    owner = getattr(step, "__self__", None)
    if owner is not None:
        return owner
    cells, code = getattr(step, "__closure__", None) or (), getattr(step, "__code__", None)
    held = [cell.cell_contents for cell in cells if cell != CellType()]
    held += [step.__globals__.get(name) for name in (code.co_names if code else ())]
    return next((value for value in held if isinstance(value, nn.Module)), step)


def _weakly(step: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(step)
    except TypeError:
        return lambda: None
