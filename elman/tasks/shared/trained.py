"""What every trained model has."""

from typing import Generic, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


class Trained(Generic[M]):
    """model: the network, in evaluation mode."""

    def __init__(self, model: M) -> None:
        self.model = model.eval()

    @property
    def device(self) -> torch.device:
        """Where the model is and runs."""
        return next(self.model.parameters()).device
