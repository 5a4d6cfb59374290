"""What a step asks of torch, call by call: so that two runs of it can be compared."""

import sys
import weakref
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import FrameType, FunctionType
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.overrides import TorchFunctionMode

from elman.engine.memory import obstacle, require_plain
from elman.engine.source import is_users, users_line, warnings_at
from elman.engine.step.holders import PLAIN, is_same
from elman.engine.step.varying import numbers_replaced
from elman.errors import UnsupportedStep

_SHOWING = frozenset((
    "__repr__", "__str__", "__format__", "__reduce_ex__", "data_ptr", "numpy",
    "tolist", "__array__", "__dlpack__", "__deepcopy__",
))  # fmt: skip
"""Methods of tensors that need numbers or memory, of which a tensor that is traced has none."""
_OWN = frozenset((
    "requires_grad", "grad_fn", "is_leaf", "_version", "grad", "_backward_hooks", "retains_grad",
    "output_nr", "_base", "_is_view", "is_inference", "is_contiguous", "stride", "storage_offset",
    "is_set_to", "is_shared", "is_pinned", "is_conj", "is_neg", "untyped_storage",
))  # fmt: skip
"""What one tensor has and another with the same numbers has not. Libraries that ask for it choose
among equal ways."""
_CHANGING = frozenset((
    "requires_grad_", "register_hook", "register_post_accumulate_grad_hook", "retain_grad", "set_",
    "resize_", "share_memory_",
))  # fmt: skip
"""What changes a tensor, but not its numbers."""


@dataclass
class Call:
    """A call of torch. Tensors are numbered as they come up: `T3` stands for the fourth.

    given: arguments, flat, and how they were built. results: shape and dtype of the tensors.
    """

    function: Any
    given: list[Any]
    built: Any
    results: list[tuple[Any, ...]]
    line: str

    @property
    def name(self) -> str:
        return _name(self.function)


@dataclass(frozen=True)
class _Numbers:
    """Stand for a tensor. It has several if it was returned as it was given, which the same
    operation may do at one time and not at another."""

    values: tuple[int, ...]

    def is_alike(self, other: "_Numbers") -> bool:
        return not set(self.values).isdisjoint(other.values)


@dataclass(frozen=True)
class _ClosedOver:
    """A tensor that the step closes over. original: its id, if it is the same one each time."""

    numbers: _Numbers
    original: int | None


class Recording(TorchFunctionMode):
    """Records the calls that are made under it, and puts a stand-in wherever the step uses a
    tensor that it closes over.

    Without that, tracing would bake such a tensor in as a constant, and it would get no gradient.

    device: the type of device that they are on. found, stand_ins: originals and what stands for
    them. during: entered around each call. warns:
    whether what torch warns of is passed on.
    """

    warns = True

    def __init__(
        self,
        is_reachable: Callable[[Any], bool],
        device: str,
        during: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.found: list[Tensor] = []
        self.stand_ins: list[Tensor] = []
        self.has_hooks = False
        self._is_reachable = is_reachable
        self._device = device
        self._during = during
        self._known: dict[int, Tensor] = {}
        self._numbers: dict[int, _Numbers] = {}
        self._kept: list[Tensor] = []  # so that no other gets the id of one
        self._inputs = 0
        self._stand_in_ids: set[int] = set()
        self._data: list[Tensor] = []  # theirs, in which changes don't count as changes of theirs

    def begin(self, inputs: list[Tensor], state: list[Tensor]) -> None:
        """The step is about to run on these leaves, `(B, ...)` of one time step."""
        self._inputs = len(inputs)
        for tensor in (*inputs, *state):
            self._number(tensor, is_new=True)

    def end(self, results: Iterable[Tensor]) -> None:
        """The step has returned these leaves, `(B, ...)`."""
        given = [self._number(tensor) for tensor in results]
        self.calls.append(Call("return", given, None, [], "the end of the step"))

    def release(self) -> list[weakref.ref[Any]]:
        """Let go of all tensors that were met; says where they were."""
        references = [weakref.ref(tensor) for tensor in self._kept]
        for held in (self._kept, self._numbers, self._known, self.stand_ins, self._data):
            held.clear()
        return references

    def require_untouched(self) -> None:
        if any(tensor._version != 0 for tensor in (*self.stand_ins, *self._data)):
            raise UnsupportedStep(
                "the step changes a tensor that it closes over in place; "
                "put it into the state instead"
            )

    def __torch_function__(
        self,
        function: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if function is torch.ops.prim.device.default:  # autograd asks, not the step
            return function(*args, **(kwargs or {}))
        frame = sys._getframe(1)
        line = users_line(frame)
        args, kwargs = numbers_replaced(function, args, kwargs or {})
        leaves, built = pytree.tree_flatten((args, kwargs))
        given: list[Any] = []
        for index, leaf in enumerate(leaves):
            if isinstance(leaf, Tensor):
                leaves[index], description = self._taken(leaf, line)
                given.append(description)
            elif isinstance(leaf, torch.Generator):
                raise UnsupportedStep(
                    f"the step draws from a torch.Generator of its own at {line}, and compiled "
                    f"loops draw from torch's; it runs with backend='reference'"
                )
            else:
                given.append(leaf)
        if leaves and isinstance(leaves[0], Tensor):
            self._require_allowed(function, leaves[0], frame, line)
        args, kwargs = pytree.tree_unflatten(leaves, built)
        with warnings_at(frame if self.warns else None), self._during():
            result = self.run(function, args, kwargs, line)
        results = [
            (leaf.shape, leaf.dtype) for leaf in pytree.tree_leaves(result)
            if isinstance(leaf, Tensor) and self._number(leaf, is_new=True)
        ]  # fmt: skip
        if _name(function) == "data" and id(leaves[0]) in self._stand_in_ids:
            self._data.append(result)
        self.calls.append(Call(function, given, built, results, line))
        return result

    def run(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], line: str) -> Any:
        return function(*args, **kwargs)

    def _require_allowed(self, function: Any, first: Tensor, frame: FrameType, line: str) -> None:
        name = _name(function)
        is_closed_over = id(first) in self._stand_in_ids
        if name in _SHOWING:
            raise UnsupportedStep(
                f"the step shows or reads the numbers of a tensor ({name} at {line}), which has "
                f"none when a step is compiled; it runs with backend='reference'"
            )
        is_set = getattr(function, "__name__", "") == "__set__"
        is_grad = name == "grad" and is_users(frame)  # torch looks at it on its own, too
        if is_closed_over and (is_set or is_grad or name in _CHANGING):
            raise UnsupportedStep(
                f"the step changes or reads more than the numbers of a tensor that it closes over "
                f"({name} at {line}); do so outside of the step"
            )
        self.has_hooks |= name == "register_hook"
        if name not in _OWN or not is_users(frame):
            return
        number = self._numbers.get(id(first))
        is_input = number is not None and number.values[0] < self._inputs
        if name != "requires_grad" or not (is_closed_over or is_input):
            raise UnsupportedStep(
                f"the step asks for {name} of a tensor at {line}, which can differ between steps; "
                f"it runs with backend='reference'"
            )

    def _number(self, tensor: Tensor, is_new: bool = False) -> _Numbers:
        """is_new: it was given to the step, or is the result of a call."""
        numbers = self._numbers.get(id(tensor))
        if numbers is None or is_new:
            before = () if numbers is None else numbers.values
            numbers = self._numbers[id(tensor)] = _Numbers((*before, len(self._kept)))
            self._kept.append(tensor)
        return numbers

    def _taken(self, value: Tensor, line: str) -> tuple[Tensor, Any]:
        """The tensor that the call gets, and how it is recorded."""
        if isinstance(value, FakeTensor | FunctionalTensor):
            return value, self._number(value)
        known = self._known.get(id(value))
        if known is None:
            if torch._C._functorch.is_functorch_wrapped_tensor(value):
                raise UnsupportedStep(
                    f"the step uses a transform of torch.func (vmap, grad) at {line}; "
                    f"it runs with backend='reference'"
                )
            if obstacle(value, self._device) and not self._is_reachable(value):
                raise UnsupportedStep(
                    f"the step makes a tensor from what is none, such as an array, used at {line}; "
                    f"make it once, outside the step"
                )
            name = f"a tensor {tuple(value.shape)} that the step closes over"
            require_plain(name, value, self._device)
            known = self._known[id(value)] = torch.empty_strided(
                value.shape, value.stride(), dtype=value.dtype, device=value.device,
                requires_grad=value.requires_grad,
            )  # fmt: skip
            self.found.append(value)
            self.stand_ins.append(known)
            self._stand_in_ids.add(id(known))
        # Of two originals that the step can choose between it matters which; one that it makes
        # itself is another one each time.
        which = id(value) if self._is_reachable(value) else None
        return known, _ClosedOver(self._number(known), which)


def difference(first: list[Call], second: list[Call], in_numbers: Callable[[Any], Any]) -> str:
    """Where two runs of a step did not do the same, in words; empty if they did.

    in_numbers: for a symbolic size in `second`, its value in the first.
    """
    for one, other in zip(first, second, strict=False):
        if one.function != other.function:
            return f"{one.name} at {one.line} at one time, {other.name} at {other.line} at another"
        if len(one.given) == len(other.given):
            for old, new in zip(one.given, other.given, strict=True):
                new = in_numbers(new)
                if not _is_alike(old, new):
                    return f"{one.name} at {one.line} gets {_said(old)} or {_said(new, 'another')}"
        elif one.built != other.built:
            return f"{one.name} at {one.line} gets other arguments"
        for old, new in zip(one.results, other.results, strict=False):
            if old[1] != new[1] or tuple(old[0]) != tuple(map(in_numbers, new[0])):
                return f"{one.name} at {one.line} gives a tensor of another shape"
    if len(first) != len(second):
        more = max(first, second, key=len)[min(len(first), len(second))]
        return f"{more.name} at {more.line} happens or not"
    return ""


def _said(value: Any, article: str = "one") -> str:
    return f"{article} tensor" if isinstance(value, _Numbers | _ClosedOver) else f"{value!r:.60}"


def _is_alike(old: Any, new: Any) -> bool:
    if is_same(old, new):
        return True
    if type(old) is not type(new) or type(old) in PLAIN:
        return False
    if isinstance(old, FunctionType):  # defined in the step
        return old.__code__ is new.__code__
    if isinstance(old, _Numbers):
        return old.is_alike(new)
    if isinstance(old, _ClosedOver):
        return old.original == new.original and old.numbers.is_alike(new.numbers)
    return not hasattr(old, "tobytes")  # an object of the step's own


def name_of_call(function: Any) -> str:
    """`matmul` for `@`, too."""
    return _name(function).strip("_")


def _name(function: Any) -> str:
    """Of an attribute its name, and not that of the function that gets it."""
    name = function if isinstance(function, str) else getattr(function, "__name__", str(function))
    is_access = name in ("__get__", "__set__", "__delete__")
    return getattr(function.__self__, "__name__", name) if is_access else name
