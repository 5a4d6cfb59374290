"""What is known of each operation."""

import torch
from torch import Tensor


def products_of_one_left(left: Tensor, *rights: Tensor) -> list[Tensor]:
    """`left @ right` for every right. Some machines read `left` once for all."""
    return [torch.mm(left, right) for right in rights]
