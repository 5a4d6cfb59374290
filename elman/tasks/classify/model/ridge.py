"""A linear classifier in closed form."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.tasks.classify.targets.calibration import fit_temperature

_PENALTIES = torch.logspace(0, 6, 13, dtype=torch.float64)
_SHARPNESS = 4.0  # logits that outputs of 1 and -1 stand for, unless outputs tell better


class RidgeClassifier(nn.Module):
    """Features `(B, D)` to the logarithms of probabilities `(B, K)`.

    Ridge regression of targets 1 (the label) and -1 (every other one) on features. The
    penalty is the one of the least squared error with each example left out, which the
    eigenvectors tell without a fit for each (Golub, Heath and Wahba, Technometrics 21, 1979), and
    the outputs that are found so tell the temperature of the probabilities, too.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, features: int, labels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(features, labels))
        self.register_buffer("bias", torch.zeros(labels))

    def forward(self, features: Tensor) -> Tensor:
        return torch.log_softmax(features @ self.weight + self.bias, 1)

    def fit(self, features: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Fit, and return what the other examples say of each one: `(N, K)` logarithms of
        probabilities.

        features: `(N, D)`, labels: `(N,)`, weights: `(N,)` of the examples, above 0.
        """
        share = (weights.double() / weights.double().sum())[:, None]
        root = (len(weights) * share).sqrt()
        features = features.double()
        targets = 2.0 * F.one_hot(labels, len(self.bias)).double() - 1.0
        center, level = (share * features).sum(0), (share * targets).sum(0)
        slope, left_out = _ridge(root * (features - center), root * (targets - level), share)
        scores = level + left_out / root
        scale = _SHARPNESS / fit_temperature(_SHARPNESS * scores.numpy(), labels.numpy())
        self.weight.copy_(scale * slope)
        self.bias.copy_(scale * (level - center @ slope))
        return torch.log_softmax(scale * scores, 1)


def _ridge(features: Tensor, targets: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """Slope `(D, K)` of the best penalty, and the outputs `(N, K)` of each example by all others.

    features `(N, D)` and targets `(N, K)` have the mean 0; level: `(N, 1)` weight of each example
    in that mean, which it also leaves when it is left out.
    """
    wide = features.shape[1] > len(features)
    values, vectors = torch.linalg.eigh(features @ features.T if wide else features.T @ features)
    values = values.clamp(min=0.0)
    # features = left * values.sqrt() * right.T
    left = vectors if wide else features @ vectors / values.sqrt().clamp(min=1e-9)
    projected = left.T @ targets
    best, least = None, torch.inf
    for penalty in _PENALTIES:
        kept = values / (values + penalty)
        output = left @ (kept[:, None] * projected)
        leverage = (left.square() * kept).sum(1, keepdim=True) + level
        left_out = targets - (targets - output) / (1 - leverage).clamp(min=1e-6)
        error = (left_out - targets).square().sum()
        if error < least:
            best, least = (penalty, left_out), error
    assert best is not None
    penalty, left_out = best
    inverse = projected / (values + penalty)[:, None]
    if wide:
        return features.T @ (vectors @ inverse), left_out
    return vectors @ (values.sqrt()[:, None] * inverse), left_out
