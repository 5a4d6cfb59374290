"""Nests: a tensor, or any tuple, list or dict of nests.

A thin cover over torch's own pytree, so that the rest of the package depends on it in one place.
"""

from collections.abc import Callable
from typing import Any

import torch.utils._pytree as pytree
from torch import Tensor

from elman.errors import ShapeError

Nest = Any  # Tensor | tuple[Nest, ...] | list[Nest] | dict[str, Nest]
Structure = pytree.TreeSpec


def flatten(nest: Nest, what: str) -> tuple[list[Tensor], Structure]:
    """The nest's tensors in a fixed order, and what `rebuild` needs to put them back."""
    leaves, structure = pytree.tree_flatten(nest)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise ShapeError(
                f"{what} must be a tensor or a nest (tuple, list, dict) of tensors, "
                f"but it holds {_described(leaf)}; pass tensors only"
            )
    return leaves, structure


def rebuild(leaves: list[Tensor], structure: Structure) -> Nest:
    """The inverse of `flatten`."""
    return pytree.tree_unflatten(leaves, structure)


def paths(nest: Nest, what: str) -> list[str]:
    """A readable name for every leaf: `state`, `state[0]`, `state['memory']`."""
    return [what + pytree.keystr(path) for path, _ in pytree.tree_flatten_with_path(nest)[0]]


def apply(function: Callable[[Tensor], Tensor], nest: Nest) -> Nest:
    """`function` of every tensor in the nest."""
    return pytree.tree_map(function, nest)


def describe(structure: Structure) -> str:
    """How a nest is built, in one line: `(tensor, {'memory': tensor})`."""
    return repr(pytree.tree_unflatten([_Tensor()] * structure.num_leaves, structure))


class _Tensor:
    def __repr__(self) -> str:
        return "tensor"


def _described(leaf: object) -> str:
    return "None" if leaf is None else f"a {type(leaf).__name__}"
