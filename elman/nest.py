"""Nests: a tensor, or any tuple, list or dict of nests.

A thin cover over torch's own pytree, so that the rest of the package depends on it in one place.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch.utils._pytree as pytree
from torch import Tensor, fx

from elman.errors import ArgumentError, ShapeError

Nest = Any  # Tensor | tuple[Nest, ...] | list[Nest] | dict[str, Nest]


class Structure:
    """How a nest is built, without its tensors.

    pytree takes its time; almost every state is a tensor or a tuple of tensors, and those are told
    apart here without it.
    """

    __slots__ = ("_hash", "is_leaf", "is_tuple", "num_leaves", "spec")

    def __init__(self, spec: pytree.TreeSpec, is_leaf: bool = False, is_tuple: bool = False):
        self.spec = spec
        self.num_leaves = spec.num_leaves
        self.is_leaf, self.is_tuple = is_leaf, is_tuple
        self._hash = hash(repr(spec))

    def children(self) -> list["Structure"]:
        """Of the nests that this one is made of."""
        return [Structure(child) for child in self.spec.children()]

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Structure) and self.spec == other.spec)

    def __hash__(self) -> int:
        return self._hash


_LEAF = Structure(pytree.tree_structure(0), is_leaf=True)


@lru_cache(maxsize=64)
def _tuple_of(size: int) -> Structure:
    return Structure(pytree.tree_structure((0,) * size), is_tuple=True)


def flatten(nest: Nest, what: str) -> tuple[list[Tensor], Structure]:
    """The nest's tensors in a fixed order, and what `rebuild` needs to put them back."""
    if isinstance(nest, Tensor):
        return [nest], _LEAF
    if type(nest) is tuple and nest:
        for item in nest:
            if not isinstance(item, Tensor):
                break
        else:
            return list(nest), _tuple_of(len(nest))
    leaves, spec = pytree.tree_flatten(nest)
    for leaf in leaves:
        if isinstance(leaf, fx.Proxy):
            raise ArgumentError(
                "torch.fx.symbolic_trace can't follow elman.scan; let the tracer take the module "
                "that calls it as a leaf (Tracer.is_leaf_module), or use torch.export"
            )
        if not isinstance(leaf, Tensor):
            raise ShapeError(
                f"{what} must be a tensor or a nest (tuple, list, dict) of tensors, "
                f"but it holds {_described(leaf)}; pass tensors only"
            )
    return leaves, Structure(spec)


def rebuild(leaves: list[Tensor], structure: Structure) -> Nest:
    """The inverse of `flatten`."""
    if structure.is_leaf:
        return leaves[0]
    if structure.is_tuple:
        return tuple(leaves)
    return pytree.tree_unflatten(leaves, structure.spec)


def paths(structure: Structure, what: str) -> list[str]:
    """A readable name for every leaf: `state`, `state[0]`, `state['memory']`."""
    nest = rebuild([0] * structure.num_leaves, structure)  # type: ignore[list-item]
    return [what + pytree.keystr(path) for path, _ in pytree.tree_flatten_with_path(nest)[0]]


def apply(function: Callable[[Tensor], Tensor], nest: Nest) -> Nest:
    """`function` of every tensor in the nest."""
    return pytree.tree_map(function, nest)


def describe(structure: Structure) -> str:
    """How a nest is built, in one line: `(tensor, {'memory': tensor})`."""
    return repr(pytree.tree_unflatten([_Tensor()] * structure.num_leaves, structure.spec))


class _Tensor:
    def __repr__(self) -> str:
        return "tensor"


def _described(leaf: object) -> str:
    return "None" if leaf is None else f"a {type(leaf).__name__}"
