"""The loss in pieces equals PyTorch's over the whole table, and never makes that table."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from elman.tasks.language.model import cross_entropy


def sample(rows, size, width, dtype=torch.float64):
    features = torch.randn(rows, width, dtype=dtype, requires_grad=True)
    weight = torch.randn(size, width, dtype=dtype, requires_grad=True)
    bias = torch.randn(size, dtype=dtype, requires_grad=True)
    return (features, weight, bias), torch.randint(size, (rows,))


@pytest.mark.parametrize("piece", [1, 100, 1 << 20])
@pytest.mark.parametrize(("rows", "size"), [(1, 1), (13, 40), (64, 7)])
def test_equals_the_loss_over_the_whole_table(rows, size, piece, monkeypatch):
    monkeypatch.setattr(cross_entropy, "PIECE", piece)
    (features, weight, bias), labels = sample(rows, size, 5)
    plain = F.cross_entropy(F.linear(features, weight, bias), labels)
    loss = cross_entropy.mean_nats(features, weight, bias, labels)
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(
        torch.autograd.grad(3.0 * loss, [features, weight, bias]),
        torch.autograd.grad(3.0 * plain, [features, weight, bias]),
    )
    each = cross_entropy.row_nats(features, weight, bias, labels)
    whole = F.cross_entropy(F.linear(features, weight, bias), labels, reduction="none")
    torch.testing.assert_close(each, whole.detach())


def test_gradients_go_only_where_they_are_wanted():
    (features, weight, bias), labels = sample(6, 9, 4)
    for wanted in (features, weight, bias):
        parts = [part if part is wanted else part.detach() for part in (features, weight, bias)]
        (found,) = torch.autograd.grad(cross_entropy.mean_nats(*parts, labels), [wanted])
        plain = F.cross_entropy(F.linear(features, weight, bias), labels)
        torch.testing.assert_close(found, *torch.autograd.grad(plain, [wanted]))
    fixed = cross_entropy.mean_nats(*(part.detach() for part in (features, weight, bias)), labels)
    assert not fixed.requires_grad


def test_scores_of_any_size_give_finite_losses():
    weight = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    bias, labels = torch.zeros(2), torch.tensor([1, 0])
    features = torch.ones(2, 1)
    loss = cross_entropy.mean_nats(features, weight, bias, labels)
    assert loss.item() == pytest.approx(1e4)
    (gradient,) = torch.autograd.grad(loss, [weight])
    assert gradient.isfinite().all()
    assert cross_entropy.row_nats(features, weight, bias, labels).tolist() == [2e4, 0.0]


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that any operation makes."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.elements = max(self.elements, result.numel())
        return result


def test_the_table_of_a_large_vocabulary_is_never_made():
    rows, size = 2048, 4096
    (features, weight, bias), labels = sample(rows, size, 4, torch.float32)
    with Largest() as largest:
        cross_entropy.mean_nats(features, weight, bias, labels).backward()
        cross_entropy.row_nats(features, weight, bias, labels)
    assert largest.elements <= cross_entropy.PIECE < rows * size
