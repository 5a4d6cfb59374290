"""Whether anything that was read of a step has changed since."""

from collections.abc import Callable
from operator import is_
from typing import Any

import torch
from torch import Tensor


class Watch:
    """What was seen where, by identity: unlike the key, which compares values, it is quick.

    is_safe: whether this may be kept: every change would show, and nothing that is watched holds on
    to the step itself, whose end would then never come.
    """

    def __init__(self, step: Any) -> None:
        self.is_safe = True
        self._step_id = id(step)
        self._step_kind = type(step)
        self._of_step: list[tuple[str, Any]] = []
        self._items: list[tuple[Any, Any, Any]] = []
        self._attributes: list[tuple[Any, str, Any]] = []
        self._kinds: list[tuple[Any, type]] = []
        self._named: list[tuple[dict[str, Any], str]] = []
        self._absent: list[tuple[Any, Any]] = []
        self._sizes: list[tuple[Any, int]] = []
        self._orders: list[tuple[Any, list[Any]]] = []
        self._runs: list[tuple[Callable[[Any], Any], Any, list[Any]]] = []
        self._contents: list[tuple[Callable[[Any], Any], Any, Any]] = []
        self._tensors: list[tuple[Tensor, type, torch.Size, torch.dtype, bool, torch.device]] = []

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

    def kind(self, value: Any) -> type:
        if id(value) != self._step_id:
            self._kinds.append((value, type(value)))
        return type(value)

    def item_is_step(self, namespace: dict[str, Any], name: str) -> None:
        """The step stands under its own name in a module, which holds it in any case."""
        self._named.append((namespace, name))

    def absent(self, holder: Any, name: Any) -> None:
        """The holder has no such item."""
        self._absent.append((holder, name))

    def size(self, holder: Any) -> int:
        self._sizes.append((holder, len(holder)))
        return len(holder)

    def order(self, holder: Any) -> None:
        """The keys of a mapping, and that they stay in their order, in which somebody may look."""
        if len(holder) < 2:
            self.size(holder)
        else:
            self._orders.append((holder, list(holder)))

    def run(self, items: Callable[[Any], Any], holder: Any) -> list[Any]:
        """All `items(holder)` at once: for many, that is ten times quicker than one by one."""
        values = list(items(holder))
        self._runs.append((items, holder, values))
        return values

    def content(self, content_of: Callable[[Any], Any], holder: Any) -> Any:
        """What stands in the holder, compared by value."""
        value = content_of(holder)
        self._contents.append((content_of, holder, value))
        return value

    def tensor(self, value: Tensor) -> None:
        """All of a tensor, of any shape, but its numbers."""
        entry = (value, type(value), value.shape, value.dtype, value.requires_grad, value.device)
        self._tensors.append(entry)
        if not holds_nothing(value):
            self.is_safe = False

    def holds(self, step: Any) -> bool:
        """Whether nothing has changed; floats that stand at a place of their own aside."""
        if type(step) is not self._step_kind:
            return False
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
            for namespace, name in self._named:
                if namespace[name] is not step:
                    return False
            for holder, name in self._absent:
                if name in holder:
                    return False
        except (LookupError, AttributeError, ValueError):
            return False
        for value, kind in self._kinds:
            if type(value) is not kind:
                return False
        for holder, size in self._sizes:
            if len(holder) != size:
                return False
        for holder, keys in self._orders:
            if len(holder) != len(keys) or not all(map(is_, holder, keys)):
                return False
        for tensor, kind, shape, dtype, requires_grad, device in self._tensors:
            if (
                type(tensor) is not kind
                or tensor.requires_grad is not requires_grad
                or tensor.dtype is not dtype
                or tensor.shape != shape
                or tensor.device != device
                or tensor.__dict__  # there was nothing in it, else this would not be kept
            ):
                return False
        return not (self._runs or self._contents) or self._many_hold()

    def _many_hold(self) -> bool:
        for items, holder, values in self._runs:
            if len(holder) != len(values) or not all(map(is_, items(holder), values)):
                return False
        return all(content_of(holder) == value for content_of, holder, value in self._contents)


def holds_nothing(tensor: Tensor) -> bool:
    """Whether who keeps a tensor, of any shape, keeps nothing else: its graph or a hook may hold
    anything."""
    return tensor.grad_fn is None and not tensor._backward_hooks and not tensor.__dict__
