"""The linear model beside the network."""

import numpy as np
import pytest
import torch

from elman.tasks.classify.data.dataset import pack
from elman.tasks.classify.model import linear_vote
from elman.tasks.classify.model.linear_vote import LinearVote
from elman.tasks.classify.model.signals import SignalReader
from elman.tasks.classify.settings import ClassifySettings


def waves(count, seed, channels=1):
    """Slow and quick waves of any phase and length: label 1 is quick."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    items = []
    for label in labels:
        time = np.arange(rng.integers(40, 60))[:, None] + rng.uniform(0, 20, channels)
        noise = rng.normal(size=(len(time), channels))
        items.append((np.sin(time / (3 - label)) + 0.5 * noise).astype(np.float32))
    return pack(items, labels)


def fitted(scaling="both", channels=1, training=None, validation=None):
    training = training or waves(24, 0, channels)
    validation = validation or waves(6, 1, channels)
    reader = SignalReader(channels, 50, ClassifySettings(scaling=scaling))
    reader.measure(training)
    vote = LinearVote(reader, channels, 50, 2)
    return vote, reader, vote.fit(training, validation, reader, "none")


def votes(vote, reader, dataset):
    rows = []
    for i in range(len(dataset)):
        example = torch.from_numpy(dataset.example(i))[:, None]
        lengths = torch.tensor([len(example)])
        rows.append(vote(reader.by_channel(example, lengths), lengths)[0])
    return torch.stack(rows)


@pytest.mark.parametrize("scaling", ["channel", "example", "both"])
@pytest.mark.parametrize("channels", [1, 3])
def test_some_twenty_examples_are_enough(scaling, channels):
    vote, reader, _ = fitted(scaling, channels)
    test = waves(100, 2, channels)
    found = votes(vote, reader, test)
    assert (found.argmax(1).numpy() == test.labels).mean() > 0.95
    torch.testing.assert_close(found.exp().sum(1), torch.ones(100))


def test_a_validation_example_is_judged_by_the_others_alone():
    """A validation example with a wrong label is learned from, yet not believed."""
    validation = waves(6, 1)
    validation.labels[0] = 1 - validation.labels[0]
    _, _, said = fitted(validation=validation)
    right = said.argmax(1).numpy() == validation.labels
    assert right.tolist() == [False, *[True] * 5]


def test_many_examples_are_sampled_and_validation_then_stands_apart(monkeypatch):
    training, validation = waves(40, 0), waves(6, 1)
    monkeypatch.setattr(linear_vote, "_MOST", 30)
    vote, reader, said = fitted(training=training, validation=validation)
    torch.testing.assert_close(said, votes(vote, reader, validation))


def test_what_stands_beyond_the_end_is_not_read():
    vote, reader, _ = fitted()
    values = torch.randn(50, 3, 1)
    lengths = torch.tensor([50, 20, 1])
    values[20:, 1], values[1:, 2] = torch.nan, torch.nan
    found = vote(reader.by_channel(values, lengths), lengths)
    alone = [
        vote(reader.by_channel(values[:n, i : i + 1], lengths[i : i + 1]), lengths[i : i + 1])
        for i, n in enumerate(lengths.tolist())
    ]
    torch.testing.assert_close(found, torch.cat(alone), rtol=1e-3, atol=1e-3)


def test_signals_that_never_change_are_no_trouble():
    flat = pack([np.full((30, 1), float(i % 2), np.float32) for i in range(12)], np.arange(12) % 2)
    vote, reader, said = fitted(training=flat, validation=flat.take(np.arange(4)))
    assert torch.isfinite(said).all()
    assert (votes(vote, reader, flat).argmax(1).numpy() == flat.labels).all()
