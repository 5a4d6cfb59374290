r"""The loss of training over a large vocabulary: the tokens of the batch, and some of the others.

A batch of 2,048 Chinese characters holds some 700 different ones of 4,000. A step's sum over all
tokens is exact for those that occur in its labels, the likely ones among them, and is estimated for
the rest from a sample (S. Jean et al., "On using very large target vocabulary for neural machine
translation", ACL 2015, with the sum's weights of importance sampling):

.. math:: Z = \sum_{v \in \text{batch}} e^{l_v}
          + \frac{\text{rest}}{\text{sample}} \sum_{v \in \text{sample}} e^{l_v}

Z has the right mean; its logarithm is a little too low, by what the sample varies. Validation,
scoring and generation take the whole sum.
"""

import math

import torch
from torch import Tensor

from elman.tasks.language.model import cross_entropy

SAMPLE = 512
"""Tokens drawn from those that are not in the batch."""


def mean_nats(features: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    """As `cross_entropy.mean_nats`, which it equals where at most `SAMPLE` tokens are not among the
    labels. The sample is drawn from torch's generator."""
    present = torch.zeros(len(weight), dtype=torch.bool, device=weight.device)
    present[labels] = True
    inside, outside = present.nonzero()[:, 0], present.logical_not_().nonzero()[:, 0]
    if len(outside) <= SAMPLE:
        return cross_entropy.mean_nats(features, weight, bias, labels)
    drawn = outside[torch.randperm(len(outside), device=weight.device)[:SAMPLE]]
    columns = torch.cat([inside, drawn])
    place = torch.empty_like(present, dtype=torch.long)
    place[inside] = torch.arange(len(inside), device=weight.device)
    more = torch.zeros_like(bias[: len(columns)])
    more[len(inside) :] = math.log(len(outside) / SAMPLE)
    return cross_entropy.mean_nats(
        features,
        weight.index_select(0, columns),
        bias.index_select(0, columns) + more,
        place[labels],
    )
