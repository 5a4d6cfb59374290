"""The reliability diagram: what it draws, and that it can be drawn."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from elman.tasks.classify.targets import metrics
from elman.tasks.classify.use.reliability import reliability_diagram, wilson


@given(st.integers(0, 1000), st.integers(1, 60))
def test_the_ranges_hold_every_example_once(seed, count):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(3), count)
    labels = rng.integers(3, size=count)
    found = metrics.reliability(probabilities, labels)
    assert found.examples.sum() == count
    assert found.right.sum() == (probabilities.argmax(1) == labels).sum()
    assert np.isclose(found.confidence.sum(), probabilities.max(1).sum())
    low, high = (
        np.arange(metrics.BINS) / metrics.BINS,
        np.arange(1, metrics.BINS + 1) / metrics.BINS,
    )
    some = found.examples > 0
    mean = found.confidence[some] / found.examples[some]
    assert ((mean > low[some] - 1e-12) & (mean <= high[some] + 1e-12)).all()


def test_wilson_by_the_numbers():
    """From the table of R. Newcombe, Statistics in Medicine 17 (1998), method 3."""
    right, count = np.array([81, 15, 0, 1]), np.array([263, 148, 20, 29])
    low, high = wilson(right, count)
    assert np.allclose(low, [0.2553, 0.0624, 0.0, 0.0061], atol=5e-5)
    assert np.allclose(high, [0.3662, 0.1605, 0.1611, 0.1718], atol=5e-5)


def test_a_picture_of_many_and_of_one():
    rng = np.random.default_rng(0)
    for count in (1, 2000):
        probabilities = rng.dirichlet(np.ones(3), count)
        labels = rng.integers(3, size=count)
        assert reliability_diagram(probabilities, labels).startswith(b"\x89PNG")
