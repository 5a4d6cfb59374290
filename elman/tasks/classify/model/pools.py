"""From the outputs of all time steps to one vector for each row."""

import torch
from torch import Tensor


def mean(hidden: Tensor, lengths: Tensor) -> Tensor:
    """`(B, O)` mean over the time steps of each row; `hidden` `(T, B, O)` is zero beyond them."""
    return hidden.sum(0) / lengths.clamp(min=1)[:, None]


def largest(hidden: Tensor, lengths: Tensor) -> Tensor:
    """`(B, O)` largest value over the time steps of each row of `hidden` `(T, B, O)`."""
    return hidden.masked_fill(~within(len(hidden), lengths)[..., None], -torch.inf).amax(0)


def last(hidden: Tensor, lengths: Tensor, bidirectional: bool) -> Tensor:
    """`(B, O)` output after the last step that was read: of the backward half, the first one."""
    ends = hidden[lengths - 1, torch.arange(len(lengths), device=hidden.device)]
    if not bidirectional:
        return ends
    half = hidden.shape[2] // 2
    return torch.cat([ends[:, :half], hidden[0, :, half:]], dim=1)


def within(steps: int, lengths: Tensor) -> Tensor:
    """`(T, B)` bool: which time steps a row has."""
    return torch.arange(steps, device=lengths.device)[:, None] < lengths
