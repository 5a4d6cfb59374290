"""The state before the first step, from whatever a cell offers."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from elman.errors import ArgumentError
from elman.nest import Nest, apply


def has_initial_state(cell: Any) -> bool:
    return hasattr(cell, "initial_state") or hasattr(cell, "initHidden")


def initial_state(
    cell: Any,
    batch_size: int,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Nest:
    """`cell.initial_state(batch_size)`; or what `cell.initHidden()` gives for one row, repeated, in
    the dtype and on the device of the cell's parameters.

    Raises:
        ArgumentError: the cell has neither, or `initHidden()` gives more than one row.
    """
    kind = type(cell).__name__
    if hasattr(cell, "initial_state"):
        if dtype is None and device is None:
            return cell.initial_state(batch_size)
        return cell.initial_state(batch_size, dtype, device)
    if not hasattr(cell, "initHidden"):
        raise ArgumentError(
            f"{kind} has no initial_state(batch_size) and no initHidden(), so its first state is "
            f"unknown; pass the state, or give it one of the two"
        )
    like = like_of(cell) if isinstance(cell, nn.Module) else None

    def for_every_row(leaf: Tensor) -> Tensor:
        if leaf.dim() < 1 or leaf.shape[0] != 1:
            raise ArgumentError(
                f"{kind}.initHidden() must give the state of one row, (1, ...), but its shape is "
                f"{tuple(leaf.shape)}; write initial_state(batch_size) instead"
            )
        if like is not None:
            leaf = leaf.to(device or like.device, dtype or like.dtype)
        return leaf.expand(batch_size, *leaf.shape[1:])

    return apply(for_every_row, cell.initHidden())


def like_of(cell: nn.Module) -> Tensor:
    """A tensor of the dtype and on the device of the cell's parameters, as far as they are known:
    lazy ones are made by the first call."""
    return next((p for p in cell.parameters() if not is_lazy(p)), torch.empty(0))
