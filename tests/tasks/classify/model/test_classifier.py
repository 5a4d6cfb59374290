"""The network: what it reads, and what it must not read."""

import numpy as np
import pytest
import torch

from elman.cells import CELLS
from elman.tasks.classify.data.dataset import Catalogue
from elman.tasks.classify.data.tokens import Characters, Words
from elman.tasks.classify.data.words import BUCKETS, COLUMNS
from elman.tasks.classify.model.classifier import SequenceClassifier
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.targets.one_label import OneLabel, label_weights
from elman.tasks.classify.task import batch_rows
from elman.tasks.setup import Setup

POOLS = ("mean", "max", "mean-max", "last")
LABELS = OneLabel(("x", "y", "z"), (1, 1, 1))
TEXT = Catalogue(LABELS, Characters(9, tuple(range(97, 107))))
WORDS = Catalogue(LABELS, Words(9, tuple("abcdefghij")))
SIGNAL = Catalogue(LABELS, channels=2, length=4)
LENGTHS = torch.tensor([5, 1, 3])


def model_of(catalogue, backend="reference", **changes):
    chosen = ClassifySettings(**{"cell": "rnn", "hidden_size": 6, "dropout": 0.0, **changes})
    return SequenceClassifier(catalogue, chosen, Setup(CELLS[chosen.cell], backend=backend))


def gradients(model):
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("pool", POOLS)
def test_nan_in_the_padding_touches_nothing(pool, bidirectional):
    model = model_of(SIGNAL, "auto", pool=pool, bidirectional=bidirectional)
    zeros = torch.randn(5, 3, 2)
    for row, length in enumerate(LENGTHS):
        zeros[length:, row] = 0.0
    found = []
    for fill in (0.0, torch.nan):
        values = zeros.clone()
        for row, length in enumerate(LENGTHS):
            values[length:, row] = fill
        model.zero_grad()
        torch.manual_seed(0)  # what is drawn for crops
        logits = model(values, LENGTHS)
        logits.square().sum().backward()
        found.append([logits, *gradients(model)])
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)
        assert a.isfinite().all()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("catalogue", [TEXT, WORDS], ids=["char", "word"])
def test_a_row_alone_equals_the_row_in_a_batch(catalogue, pool, cell):
    model = model_of(catalogue, pool=pool, cell=cell, embedding_size=4, ngrams=3).eval()
    for table in (model.wide.weights, model.reader.parts):
        if table is not None:
            torch.nn.init.normal_(table.weight)
    numbers = torch.randint(0, 11, (5, 3))
    if catalogue is WORDS:
        parts = torch.randint(0, BUCKETS, (5, 3, COLUMNS - 1))
        numbers = torch.cat([numbers[..., None], parts], -1).int()
    together = model(numbers, LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone = model(numbers[:length, row : row + 1], LENGTHS[row : row + 1])
        torch.testing.assert_close(alone[0], together[row])


def test_each_pool_is_what_it_says():
    torch.manual_seed(0)
    model = model_of(TEXT, layers=1).eval()
    numbers = torch.randint(0, 11, (5, 3))
    features, _ = model.reader(numbers, LENGTHS)
    hidden, (forward, backward) = model.recurrent(features, lengths=LENGTHS)
    rows = [hidden[:length, row] for row, length in enumerate(LENGTHS)]
    expected = {
        "mean": torch.stack([row.mean(0) for row in rows]),
        "max": torch.stack([row.amax(0) for row in rows]),
        "last": torch.cat([forward, backward], dim=1),
    }
    expected["mean-max"] = torch.cat([expected["mean"], expected["max"]], dim=1)
    for pool, value in expected.items():
        model.pool = pool
        torch.testing.assert_close(model._pooled(hidden, LENGTHS), value)


@pytest.mark.parametrize(("kind", "ratio"), [("none", 1.0), ("root", 2.0), ("balanced", 4.0)])
def test_class_weights(kind, ratio):
    labels = np.array([0] * 8 + [1] * 2)
    weights = label_weights(labels, 3, kind)
    assert weights[1] / weights[0] == pytest.approx(ratio)
    assert weights[labels].mean() == pytest.approx(1.0)
    assert weights.isfinite().all()


def test_few_examples_are_read_in_smaller_batches():
    assert [batch_rows(n, 64) for n in (5, 90, 1500, 100_000)] == [16, 16, 50, 64]
    assert batch_rows(90, 4) == 4
