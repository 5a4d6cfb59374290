"""The loss of a read-out over a large vocabulary, without the whole table of its scores.

N rows of features and V tokens make a table `(N, V)` of logits, and its gradient is as large. Both
are made for a few rows at a time, so that a piece stays in the processor's cache, and the gradient
of a piece is used while it is there: nothing is computed twice, and nothing of size N x V is kept.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

PIECE = 1 << 20
"""Elements of a piece of the table."""


def mean_nats(features: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    """`F.cross_entropy(F.linear(features, weight, bias), labels)`.

    features: `(N, F)`; weight: `(V, F)`; bias: `(V,)`; labels: `(N,)`. A scalar.
    """
    mean: Tensor = _MeanNats.apply(features, weight, bias, labels)  # type: ignore[no-untyped-call]
    return mean


@torch.no_grad()
def row_nats(features: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    """The same for each row, `(N,)`, without gradients."""
    losses = features.new_empty(len(features))
    room = _room(features, weight)
    for rows in _pieces(len(features), len(weight)):
        losses[rows], _ = _nats_and_shares(features[rows], weight, bias, labels[rows], room)
    return losses


class _MeanNats(torch.autograd.Function):
    r"""For a row h with the label y, p = softmax(W h + b):

    .. math:: L = -\log p_y, \quad
        \partial L / \partial h = W^T d, \quad
        \partial L / \partial W = d h^T, \quad \partial L / \partial b = d
        \quad\text{with}\quad d = p - e_y
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
        count, size = len(features), len(weight)
        learns = any(ctx.needs_input_grad)
        of_features = torch.empty_like(features) if learns else None
        of_weight, of_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        total = features.new_zeros(())
        room = _room(features, weight)
        for rows in _pieces(count, size):
            own = features[rows]
            losses, shares = _nats_and_shares(own, weight, bias, labels[rows], room)
            total += losses.sum()
            if of_features is None:
                continue
            shares[torch.arange(len(own), device=own.device), labels[rows]] -= 1.0
            torch.mm(shares, weight, out=of_features[rows])
            of_weight.addmm_(shares.t(), own)
            of_bias += shares.sum(0)
        if of_features is not None:
            ctx.save_for_backward(of_features, of_weight, of_bias)
        ctx.count = count
        return total / count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outer: Any) -> tuple[Tensor | None, ...]:
        scale = outer[0] / ctx.count
        gradients = [
            saved * scale if wanted else None
            for saved, wanted in zip(ctx.saved_tensors, ctx.needs_input_grad, strict=False)
        ]
        return (*gradients, None)


def _pieces(count: int, size: int) -> Iterator[slice]:
    """Rows of a table `(count, size)` in pieces of about `PIECE` elements."""
    rows = max(1, PIECE // size)
    for start in range(0, count, rows):
        yield slice(start, start + rows)


def _room(features: Tensor, weight: Tensor) -> Tensor:
    """Memory of a piece. One for all: the system clears new memory before it gives it away, which
    would take as long as the exponentials."""
    return features.new_empty(min(len(features), max(1, PIECE // len(weight))), len(weight))


def _nats_and_shares(
    features: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, room: Tensor
) -> tuple[Tensor, Tensor]:
    """-log p of the labels, `(N,)`, and all probabilities p, `(N, V)`, made in `room`."""
    table = torch.mm(features, weight.t(), out=room[: len(features)])
    table += bias
    table -= table.amax(1, keepdim=True)
    of_labels = table.gather(1, labels[:, None])
    shares = table.exp_()
    sums = shares.sum(1, keepdim=True)
    losses = (sums.log() - of_labels).squeeze(1)
    return losses, shares.div_(sums)
