"""The loss over a sample of the vocabulary: exact where nothing is left out, right on average."""

import pytest
import torch

from elman.tasks.language.model import cross_entropy, sampled
from tests.tasks.language.model.test_cross_entropy import sample


def test_equals_the_whole_loss_where_nothing_is_left_out():
    (features, weight, bias), labels = sample(20, sampled.SAMPLE, 4)
    found = sampled.mean_nats(features, weight, bias, labels)
    assert torch.equal(found, cross_entropy.mean_nats(features, weight, bias, labels))


def test_the_sum_is_right_on_average(monkeypatch):
    """With one row and label the loss is log Z - l, so Z can be had back from it."""
    monkeypatch.setattr(sampled, "SAMPLE", 5)
    (features, weight, bias), labels = sample(1, 40, 4)
    own = (features @ weight.t() + bias)[0, labels[0]]
    with torch.no_grad():
        sums = [
            (sampled.mean_nats(features, weight, bias, labels) + own).exp() for _ in range(4000)
        ]
        whole = (cross_entropy.mean_nats(features, weight, bias, labels) + own).exp()
    spread = torch.stack(sums).std() / len(sums) ** 0.5
    assert abs(torch.stack(sums).mean() - whole) < 4 * spread
    assert torch.stack(sums).std() > 0


def test_gradients_are_those_of_the_loss_written_out(monkeypatch):
    monkeypatch.setattr(sampled, "SAMPLE", 3)
    parts, labels = sample(6, 30, 4)
    features, weight, bias = parts
    torch.manual_seed(5)
    found = torch.autograd.grad(sampled.mean_nats(*parts, labels), parts)
    torch.manual_seed(5)
    inside = labels.unique()
    outside = torch.tensor([v for v in range(30) if v not in inside.tolist()])
    drawn = outside[torch.randperm(len(outside))[:3]]
    logits = features @ weight.t() + bias
    total = logits[:, inside].exp().sum(1) + len(outside) / 3 * logits[:, drawn].exp().sum(1)
    loss = (total.log() - logits.gather(1, labels[:, None])[:, 0]).mean()
    torch.testing.assert_close(found, torch.autograd.grad(loss, parts))


def test_the_same_seed_draws_the_same_tokens():
    parts, labels = sample(6, 3 * sampled.SAMPLE, 4)
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(sampled.mean_nats(*parts, labels).item())
    assert losses[0] == losses[1] != losses[2]
    whole = cross_entropy.mean_nats(*parts, labels).item()
    assert losses[0] == pytest.approx(whole, rel=0.2)
