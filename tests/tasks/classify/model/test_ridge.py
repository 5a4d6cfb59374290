"""The linear classifier, against fits written out and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeClassifierCV

from elman.tasks.classify.model.ridge import RidgeClassifier, _ridge


def problem(examples, features, labels=3, seed=0):
    rng = np.random.default_rng(seed)
    numbers = rng.integers(labels, size=examples)
    centers = rng.normal(size=(labels, features))
    values = 0.8 * centers[numbers] + rng.normal(size=(examples, features))
    return torch.from_numpy(values).float(), torch.from_numpy(numbers)


@pytest.mark.parametrize(("examples", "features"), [(20, 50), (60, 10)])
def test_left_out_outputs_are_those_of_fits_without_the_example(examples, features):
    values, labels = problem(examples, features)
    weights = torch.rand(examples, generator=torch.Generator().manual_seed(1)).double() + 0.5
    share = (weights / weights.sum())[:, None]
    targets = 2.0 * torch.nn.functional.one_hot(labels).double() - 1
    root = (examples * share).sqrt()
    x = root * (values.double() - (share * values).sum(0))
    y = root * (targets - (share * targets).sum(0))
    slope, left_out = _ridge(x, y, share)
    penalty = _penalty_of(x, y, slope)
    for i in (0, 7, 19):
        rest = np.arange(examples) != i
        scaled = (examples * share)[:, 0].numpy()[rest]
        fit = Ridge(alpha=penalty).fit(values[rest], targets[rest], sample_weight=scaled)
        expected = fit.predict(values[i : i + 1].double())[0]
        own = (share * targets).sum(0).numpy() + (left_out[i] / root[i]).numpy()
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-4)


def _penalty_of(x, y, slope):
    """From (X'X + p) slope = X'y."""
    rest = x.T @ y - x.T @ x @ slope
    return float((rest * slope).sum() / slope.square().sum())


@pytest.mark.parametrize(("examples", "features"), [(40, 200), (200, 20)])
def test_it_says_the_labels_of_scikit_learn(examples, features):
    values, labels = problem(examples, features)
    more, truth = problem(300, features, seed=0)
    model = RidgeClassifier(features, 3)
    model.fit(values, labels, torch.ones(examples))
    other = RidgeClassifierCV(alphas=np.logspace(0, 6, 13)).fit(values, labels)
    same = model(more).argmax(1).numpy() == other.predict(more)
    assert same.mean() > 0.99
    assert len(truth) == 300


def test_its_probabilities_are_honest_where_labels_are_luck():
    rng = torch.Generator().manual_seed(0)
    values, labels = torch.randn(100, 500, generator=rng), torch.arange(100) % 2
    model = RidgeClassifier(500, 2)
    left_out = model.fit(values, labels, torch.ones(100))
    assert left_out.exp().max() < 0.8
    torch.testing.assert_close(left_out.exp().sum(1), torch.ones(100).double())


def test_a_weight_of_two_is_an_example_twice():
    values, labels = problem(30, 5)
    weights = torch.ones(30)
    weights[:10] = 2.0
    by_weight, by_repeat = RidgeClassifier(5, 3), RidgeClassifier(5, 3)
    by_weight.fit(values, labels, weights)
    again = torch.cat([torch.arange(30), torch.arange(10)])
    by_repeat.fit(values[again], labels[again], torch.ones(40))
    cosine = torch.nn.functional.cosine_similarity(
        by_weight.weight.flatten(), by_repeat.weight.flatten(), 0
    )
    assert cosine > 0.999
