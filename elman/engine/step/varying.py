"""Floats that change between calls, as arguments of the compiled loop.

While a step is traced, a `Number` stands at each place whose float has changed. It computes as the
float does, and remembers how. Where it meets a tensor in simple arithmetic, a tensor of no
dimension takes its place, which the trace lifts like any tensor that the step closes over; each
call fills it with the float of its day. Wherever the step asks for more (`if s > 0.5`, `int(s)`,
`math.exp(s)`, `h ** s`), it gets the answer of today, and the answer becomes a guard: the trace
serves as long as the answers stay the same.
"""

import math
import operator
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.utils._pytree as pytree
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

Expression = Callable[[Sequence[float]], Any]
"""A value computed from the floats at all places of a step."""

_ARITHMETIC = frozenset(
    getattr(owner, name)
    for owner, names in (
        (torch, "add sub subtract rsub mul multiply div divide true_divide where"),
        (Tensor, "add sub subtract mul multiply div divide true_divide where __add__ __radd__ "
                 "__sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __rdiv__ __div__ "
                 "add_ sub_ subtract_ mul_ multiply_ div_ divide_ true_divide_ "
                 "__iadd__ __isub__ __imul__ __itruediv__ __idiv__"),
    )
    for name in names.split() if hasattr(owner, name)
)  # fmt: skip
"""Operations that give the same to the last bit for a number and for a tensor of no dimension."""

_DTYPES = (torch.float32, torch.float64)
_active = threading.local()


class Record:
    """What happened to the numbers of one trace.

    guards: expressions, and what they gave. arguments: tensors that stand for numbers, by id, each
    with the tensor itself, so that its id stays its own.
    """

    def __init__(self, floats: Sequence[float]) -> None:
        self.floats = list(floats)
        self.guards: list[tuple[Expression, Any]] = []
        self.arguments: dict[int, tuple[Tensor, Expression]] = {}

    @contextmanager
    def recording(self) -> Iterator[None]:
        before = getattr(_active, "record", None)
        _active.record = self
        try:
            yield
        finally:
            _active.record = before

    def number(self, index: int) -> "Number":
        return Number(self.floats[index], lambda floats: floats[index], self)

    def holds(self, floats: Sequence[float]) -> bool:
        """Whether every answer that the trace relies on is the same for these floats."""
        try:
            return all(same(guard(floats), answer) for guard, answer in self.guards)
        except Exception:  # noqa: BLE001  what the step will meet, too, when it runs
            return False


def numbers_replaced(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of one of torch's functions with something that torch knows for every number."""
    if getattr(_active, "record", None) is None:
        return args, kwargs
    leaves, structure = pytree.tree_flatten((args, kwargs))
    if not any(type(leaf) is Number for leaf in leaves):
        return args, kwargs
    as_tensor = function in _ARITHMETIC and not kwargs and _is_one_dtype(function, args)
    replaced: tuple[tuple[Any, ...], dict[str, Any]] = pytree.tree_unflatten(
        [_replacement(leaf, as_tensor) if type(leaf) is Number else leaf for leaf in leaves],
        structure,
    )
    return replaced


def _is_one_dtype(function: Any, args: tuple[Any, ...]) -> bool:
    """Whether the result's dtype is that of a tensor with dimensions, whatever stands for the
    number: beside integers, or tensors of no dimension, a tensor would weigh more than a float."""
    if function in (torch.where, Tensor.where):
        args = args[1:] if function is torch.where else (args[0], *args[2:])
    tensors = [arg for arg in args if isinstance(arg, Tensor)]
    return bool(tensors) and all(t.dtype in _DTYPES and t.dim() > 0 for t in tensors)


def _replacement(number: "Number", as_tensor: bool) -> Any:
    return number._tensor() if as_tensor else number._answer(_itself)


def _itself(value: Any) -> Any:
    return value


def as_argument(value: float) -> Tensor:
    """A float as a tensor of no dimension."""
    return torch.tensor(value, dtype=torch.float64, device="cpu")


def same(a: Any, b: Any) -> bool:
    """Equal and of one type; floats to the bit."""
    if type(a) is not type(b):
        return False
    return bits([a]) == bits([b]) if isinstance(a, float) else bool(a == b)


def bits(floats: Sequence[float]) -> bytes:
    return struct.pack(f"{len(floats)}d", *floats)


class Number:
    """Stands for a float while a step is traced; after that, and in other threads, it is only the
    float's value with another type."""

    __slots__ = ("_expression", "_record", "_stand_in", "value")

    def __init__(self, value: float, expression: Expression, record: Record) -> None:
        self.value = value
        self._expression = expression
        self._record = record
        self._stand_in: Tensor | None = None

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self.value)  # for isinstance

    @classmethod
    def __torch_function__(
        cls,
        function: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        # Where no mode replaces numbers: in what the backward pass calls, such as a hook.
        told = lambda leaf: leaf._answer(_itself) if type(leaf) is Number else leaf  # noqa: E731
        args, kwargs = pytree.tree_map(told, (args, kwargs or {}))
        return function(*args, **kwargs)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self._answer(_itself), dtype=dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answer(_itself), name)

    def __reduce_ex__(self, protocol: Any) -> Any:  # for copy
        return type(self.value), (self._answer(_itself),)

    def __round__(self, digits: int | None = None) -> Any:
        if digits is None:
            return self._answer(round)
        return self._computed(lambda value: round(value, digits), (self,))

    def __hash__(self) -> int:
        return int(self._answer(hash))

    def __format__(self, text: str) -> str:
        return str(self._answer(lambda value: format(value, text)))

    def __pow__(self, other: Any, modulo: Any = None) -> Any:
        return self._computed(operator.pow, (self, other))

    def _is_recording(self) -> bool:
        return getattr(_active, "record", None) is self._record

    def _answer(self, question: Callable[[Any], Any]) -> Any:
        """What the step is told; the trace serves while it would be told the same."""
        answer = question(self.value)
        if self._is_recording():
            expression = self._expression
            self._record.guards.append((lambda floats: question(expression(floats)), answer))
        return answer

    def _computed(self, function: Callable[..., Any], operands: tuple[Any, ...]) -> Any:
        """A number computed from numbers, or `NotImplemented`, as a float would say."""
        if not all(isinstance(operand, float | int) for operand in operands):
            return NotImplemented
        value = function(*map(_value_of, operands))
        if not isinstance(value, float) or not self._is_recording():
            return value if not self._is_recording() else self._answer_of(function, operands, value)
        parts = [_expression_of(operand) for operand in operands]
        return Number(value, lambda floats: function(*[p(floats) for p in parts]), self._record)

    def _answer_of(
        self, function: Callable[..., Any], operands: tuple[Any, ...], value: Any
    ) -> Any:
        parts = [_expression_of(operand) for operand in operands]
        self._record.guards.append((lambda floats: function(*[p(floats) for p in parts]), value))
        return value

    def _tensor(self) -> Tensor:
        """The tensor of no dimension that stands for the number."""
        if self._stand_in is None:
            with _disable_current_modes():
                self._stand_in = as_argument(self.value)
            self._record.arguments[id(self._stand_in)] = (self._stand_in, self._expression)
        return self._stand_in


def _value_of(value: Any) -> Any:
    return value.value if type(value) is Number else value


def _expression_of(value: Any) -> Expression:
    return value._expression if type(value) is Number else lambda floats: value


def _add_operators() -> None:
    """The methods that Python looks up in the class."""

    def computing(function: Callable[..., Any], swapped: bool = False) -> Callable[..., Any]:
        if swapped:
            return lambda self, other: self._computed(function, (other, self))
        return lambda self, other: self._computed(function, (self, other))

    def asking(question: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self: self._answer(question)

    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod"):
        function = getattr(operator, name)
        setattr(Number, f"__{name}__", computing(function))
        setattr(Number, f"__r{name}__", computing(function, swapped=True))
    Number.__rpow__ = computing(operator.pow, swapped=True)  # type: ignore[attr-defined]
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(Number, f"__{name}__", computing(getattr(operator, name)))
    for name in ("neg", "pos", "abs"):
        function = getattr(operator, name)
        setattr(Number, f"__{name}__", lambda self, f=function: self._computed(f, (self,)))
    questions: dict[str, Callable[..., Any]] = {
        "bool": bool, "int": int, "float": float, "complex": complex, "repr": repr, "str": str,
        "trunc": math.trunc, "floor": math.floor, "ceil": math.ceil,
    }  # fmt: skip
    for name, question in questions.items():
        setattr(Number, f"__{name}__", asking(question))


_add_operators()
