"""Products of joined values, `cat([x, h]) @ W`, taken apart into `x @ W_x + h @ W_h`.

So the input's share moves out of the loop, and what remains in the loop is the state's own product.
In the backward pass the cotangent of the joined value is cut again: each part is a product with its
own share of W. The gradient of W is joined from those of its shares: x and h never are.
"""

from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import fx

aten = torch.ops.aten


def split_cat_products(
    graph: fx.Graph, cotangents: list[fx.Node], lines: dict[fx.Node, str]
) -> None:
    """Rewrite the graph in place; new nodes get the source lines of those they replace.

    Only products of the forward pass are split: a joined cotangent, such as that of an LSTM's four
    gates, is one product as it stands.
    """
    _Splitter(graph, set(cotangents), lines).run()


class _Splitter:
    def __init__(self, graph: fx.Graph, backward: set[fx.Node], lines: dict[fx.Node, str]) -> None:
        self._graph = graph
        self._backward = backward
        self._lines = lines
        self._seams: dict[fx.Node, set[int]] = {}  # of weights, by the tensor they are views of

    def run(self) -> None:
        for node in list(self._graph.nodes):
            if any(source in self._backward for source in node.all_input_nodes):
                self._backward.add(node)
                if node.target is aten.mm.default:
                    self._split_gradient(node, *node.args)
            elif node.target is aten.mm.default:
                self._split(node, None, *node.args)
            elif node.target is aten.addmm.default and not node.kwargs:
                self._split(node, *node.args)
        if self._seams:
            for node in list(self._graph.nodes):
                if node.target is aten.slice.Tensor:
                    self._cut(node)
            self._graph.eliminate_dead_code()

    def _split(self, node: fx.Node, bias: Any, left: fx.Node, weight: fx.Node) -> None:
        """`cat(parts) @ weight` as a sum of products."""
        if left.target is not aten.cat.default or not _along_columns(left):
            return
        if not all(part.meta["val"].dim() == 2 for part in left.args[0]):
            return
        parts = left.args[0]
        ends = [0, *accumulate(int(part.meta["val"].shape[1]) for part in parts)]
        self._seams.setdefault(_base(weight), set()).update(ends)
        with self._graph.inserting_before(node):
            total = None
            for part, (start, end) in zip(parts, pairwise(ends), strict=True):
                share = self._new(node, aten.slice.Tensor, weight, 0, start, end)
                if total is None and bias is not None:
                    total = self._new(node, aten.addmm.default, bias, part, share)
                else:
                    product = self._new(node, aten.mm.default, part, share)
                    total = (
                        product if total is None
                        else self._new(node, aten.add.Tensor, total, product)
                    )  # fmt: skip
        assert total is not None
        node.replace_all_uses_with(total)
        self._graph.erase_node(node)

    def _split_gradient(self, node: fx.Node, left: fx.Node, right: fx.Node) -> None:
        """`d.T @ cat(parts)` as a cat of products."""
        is_joined = right.target is aten.cat.default and _along_columns(right)
        if not is_joined or right in self._backward or left.target is not aten.permute.default:
            return
        with self._graph.inserting_before(node):
            shares = [self._new(node, aten.mm.default, left, part) for part in right.args[0]]
            joined = self._graph.call_function(aten.cat.default, (shares, 1))
        joined.meta["val"] = node.meta["val"]
        self._backward |= {*shares, joined}
        node.replace_all_uses_with(joined)
        self._graph.erase_node(node)

    def _cut(self, node: fx.Node) -> None:
        """`(d @ W.T)[:, start:end]` as `d @ W.T[:, start:end]`."""
        source, axis, start, end = [*node.args, *[None] * 4][:4]
        if axis != 1 or len(node.args) > 4 or not isinstance(start, int) or source.op != (
            "call_function"
        ):  # fmt: skip
            return
        width = int(source.meta["val"].shape[1])
        start, end, _ = slice(start, end).indices(width)
        if not self._is_cotangent(source, start, end):
            return
        with self._graph.inserting_before(node):
            replacement = self._share_of(source, start, end)
        node.replace_all_uses_with(replacement)
        self._graph.erase_node(node)

    def _is_cotangent(self, node: fx.Node, start: int, end: int) -> bool:
        """Whether the node is a sum of products with weights that were split at these seams."""
        if node.target is aten.mm.default:
            return {start, end} <= self._seams.get(_base(node.args[1]), set())
        if node.target is aten.add.Tensor and not node.kwargs:
            return all(
                isinstance(term, fx.Node)
                and term.meta["val"].shape == node.meta["val"].shape
                and self._is_cotangent(term, start, end)
                for term in node.args
            )
        return False

    def _share_of(self, node: fx.Node, start: int, end: int) -> fx.Node:
        if node.target is aten.mm.default:
            left, weight = node.args
            share = self._new(node, aten.slice.Tensor, weight, 1, start, end)
            return self._new(node, aten.mm.default, left, share)
        terms = [self._share_of(term, start, end) for term in node.args]
        return self._new(node, aten.add.Tensor, *terms)

    def _new(self, like: fx.Node, target: Any, *args: Any) -> fx.Node:
        node = self._graph.call_function(target, args)
        values = [arg.meta["val"] if isinstance(arg, fx.Node) else arg for arg in args]
        node.meta["val"] = target(*values)
        if like in self._lines:
            self._lines[node] = self._lines[like]
        return node


def _along_columns(cat: fx.Node) -> bool:
    axis = cat.args[1] if len(cat.args) > 1 else 0
    return axis in (1, -1)


def _base(weight: fx.Node) -> fx.Node:
    """The tensor of which a weight is a transposition."""
    while weight.target is aten.permute.default:
        weight = weight.args[0]
    return weight
