"""How sure a model may be: fitted on examples that it did not learn from."""

import numpy as np

_PRIOR = 10.0  # the weight of a belief held before, in examples
_SHARPEST, _SMOOTHEST = 0.05, 20.0  # the temperatures that `fit_temperature` chooses from


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """`(N, K)` float64 probabilities, softmax(logits / temperature)."""
    scaled = logits.astype(np.float64) / temperature
    exponents = np.exp(scaled - scaled.max(1, keepdims=True))
    shares: np.ndarray = exponents / exponents.sum(1, keepdims=True)
    return shares


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T at which softmax(logits / T) has the least log loss (Guo et al., as above).

    1 / T has a gamma prior around 1, of the weight of some ten examples: a few that all are right
    do not prove that the model is always right, and a few wrong ones do not prove the contrary.
    """
    logits = logits.astype(np.float64)
    right = logits[np.arange(len(labels)), labels].sum()
    # The loss is convex in b = 1 / T, so the root of its slope is found by halving.
    low, high = np.log(1 / _SMOOTHEST), np.log(1 / _SHARPEST)
    for _ in range(40):
        middle = (low + high) / 2
        b = float(np.exp(middle))
        expected = (softmax(logits, 1 / b) * logits).sum()
        slope = expected - right + _PRIOR * (1 - 1 / b)
        low, high = (middle, high) if slope < 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))


def fit_share(first: np.ndarray, second: np.ndarray, belief: float) -> float:
    """The share w at which w * first + (1 - w) * second has the least log loss.

    first, second: `(N,)` probabilities that two models give to the right labels. w has a beta prior
    with the mean `belief`, of the weight of some ten examples.
    """
    first, second = np.maximum(first, 1e-12), np.maximum(second, 1e-12)
    low, high = 0.0, 1.0
    for _ in range(40):  # the loss is convex in w: the root of its slope, by halving
        share = (low + high) / 2
        slope = ((first - second) / (share * first + (1 - share) * second)).sum()
        slope += _PRIOR * (belief / share - (1 - belief) / (1 - share))
        low, high = (share, high) if slope > 0 else (low, share)
    return (low + high) / 2
