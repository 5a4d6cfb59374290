"""Whether anything that was read of a step has changed since."""

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
        if not holds_nothing(value):
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


def holds_nothing(tensor: Tensor) -> bool:
    """Whether who keeps the tensor keeps nothing else: its graph or a hook may hold anything."""
    return tensor.grad_fn is None and not tensor._backward_hooks and not tensor.__dict__
