"""What can be told from a graph's node alone, or from nodes and what they are computed from.

Every part of the planner asks these questions, so they stand here on their own: what kind of
operation a node is, what its value looks like within a row, and which nodes others need.
"""

import operator
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, fx

from elman.engine.graph.operations import Kind, operation_of
from elman.engine.graph.schemas import bound, name_of

# Values.


def is_row_value(node: Any) -> bool:
    """Whether the node is a tensor, or several, with one entry for every row."""
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    if isinstance(value, tuple | list):
        value = value[0] if value else None
    return isinstance(value, Tensor) and value.dim() > 0 and not isinstance(value.shape[0], int)


def is_row_tensor(node: fx.Node) -> bool:
    """Whether the node is one tensor with one entry for every row."""
    return isinstance(node.meta.get("val"), Tensor) and is_row_value(node)


def row_shape(node: fx.Node) -> tuple[int, ...]:
    """Shape within a row. Several tensors (a split) have the shape of their first."""
    known = node.meta.get("row_shape")
    if known is None:
        value = node.meta["val"]
        if isinstance(value, tuple | list):
            value = value[0]
        known = node.meta["row_shape"] = tuple(int(size) for size in value.shape[1:])
    return known


def fill_value(node: fx.Node) -> float | int | None:
    """The number that fills a tensor such as `zeros_like(x)`, as its dtype holds it, if it is
    known."""
    if node.op != "call_function" or not operation_of(node).is_filled:
        return None
    given = bound(node)
    fills = [given[name] for name in ("fill_value", "s") if name in given]
    fill = fills[0] if fills else int("ones" in name_of(node))
    dtype = node.meta["val"].dtype
    if not isinstance(fill, bool | int | float) or dtype.is_complex:
        return None
    is_float = isinstance(fill, float) or dtype.is_floating_point
    wide = torch.tensor(fill, dtype=torch.float64 if is_float else torch.int64, device="cpu")
    return wide.to(dtype).item()


# Operations.


def is_random(node: fx.Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def is_view(node: fx.Node) -> bool:
    """A view, or a constant; not one of several results that are computed together."""
    if is_part(node):
        return operation_of(source_of(node)).is_view
    return operation_of(node).is_view


def is_part(node: fx.Node) -> bool:
    """One of several results of an operation."""
    return node.target is operator.getitem


def source_of(node: fx.Node) -> fx.Node:
    """The first argument of an operation that has a value for it."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    return source


def shares_memory(node: fx.Node) -> bool:
    """Whether torch may give this value in the memory of one that it is made from."""
    if is_part(node):
        return shares_memory(source_of(node))
    schema = getattr(node.target, "_schema", None)
    is_alias = schema is not None and any(result.alias_info for result in schema.returns)
    return is_alias or name_of(node) == "_unsafe_view"  # its schema denies it


def in_memory_of(nodes: Iterable[fx.Node]) -> set[fx.Node]:
    """The nodes, and those in whose memory their values may lie."""
    return ancestors(nodes, through=shares_memory)


def is_product(node: fx.Node) -> bool:
    """A matrix product that a loop may run, `mm` or `addmm`."""
    return operation_of(node).kind is Kind.MULTIPLIES


def factors(product: fx.Node) -> tuple[fx.Node, fx.Node]:
    """Left and right."""
    given = bound(product)
    return given.get("mat1", given["self"]), given["mat2"]


def is_product_of_rows(node: fx.Node) -> bool:
    """A product of rows with a weight that all of them share."""
    if not is_product(node) or not is_row_tensor(node):
        return False
    left, right = factors(node)
    return is_row_value(left) and not is_row_value(right)


def is_cheap(node: fx.Node) -> bool:
    """Elementwise or a view, of a type that a row program can compute, and the same each time."""
    if is_random(node) or name_of(node) == "embedding":
        return False
    if node.meta.get("obstacle"):
        return False
    return is_elementwise(node) or is_view(node)


def is_elementwise(node: fx.Node) -> bool:
    # torch forgot to tag the division that its decompositions make.
    is_tagged = torch.Tag.pointwise in getattr(node.target, "tags", ())
    return is_tagged or node.target is torch.ops.prims.div.default


def transposed_weight(node: fx.Node) -> fx.Node | None:
    """The argument of the call that this node transposes, or None if it is something else."""
    if operation_of(node).kind is not Kind.MOVES or node.meta["val"].dim() != 2:
        return None
    source, order = source_of(node), bound(node).get("dims")
    if order is not None and [axis % 2 for axis in order] != [1, 0]:
        return None
    return source if source.op == "placeholder" else None


# Several nodes.


def ancestors(
    nodes: Iterable[fx.Node], through: Callable[[fx.Node], bool] = lambda node: True
) -> set[fx.Node]:
    """The nodes and everything that they are computed from; or as far back as `through` says that
    what a node is computed from counts, too."""
    found: set[fx.Node] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack += node.all_input_nodes if through(node) else []
    return found


def descendants(sources: Iterable[fx.Node], nodes: Iterable[fx.Node]) -> set[fx.Node]:
    """Those of `nodes`, which are in order, that depend on the data of the sources, not only on
    their number of rows; and the sources."""
    found = set(sources)
    for node in nodes:
        if isinstance(node.meta.get("val"), torch.SymInt | int):
            continue
        if any(source in found for source in node.all_input_nodes):
            found.add(node)
    return found


def present(nodes: Iterable[fx.Node | None]) -> list[fx.Node]:
    return [node for node in nodes if node is not None]


def unique(nodes: Iterable[fx.Node]) -> list[fx.Node]:
    return list(dict.fromkeys(nodes))
