"""Products of joined values, `cat([x, h]) @ W`, taken apart into `x @ W_x + h @ W_h`.

So the input's share moves out of the loop, and what remains in the loop is the state's own product.
In the backward pass the cotangent of the joined value is cut again: each part is a product with its
own share of W. The gradient of W is joined from those of its shares: x and h never are.
"""

from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import fx

from elman.engine.graph.nodes import factors, is_product, source_of
from elman.engine.graph.schemas import bound

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
                    self._split_gradient(node)
            elif is_product(node) and not node.kwargs:
                self._split(node)
        if self._seams:
            for node in list(self._graph.nodes):
                if node.target is aten.slice.Tensor:
                    self._cut(node)
            self._graph.eliminate_dead_code()

    def _split(self, node: fx.Node) -> None:
        """`cat(parts) @ weight`, and perhaps a bias, as a sum of products."""
        left, weight = factors(node)
        bias = source_of(node) if node.target is aten.addmm.default else None
        if not _joins_columns(left):
            return
        parts = bound(left)["tensors"]
        if not all(part.meta["val"].dim() == 2 for part in parts):
            return
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

    def _split_gradient(self, node: fx.Node) -> None:
        """`d.T @ cat(parts)` as a cat of products."""
        left, right = factors(node)
        is_transposed = left.target is aten.permute.default
        if not _joins_columns(right) or right in self._backward or not is_transposed:
            return
        with self._graph.inserting_before(node):
            parts = bound(right)["tensors"]
            shares = [self._new(node, aten.mm.default, left, part) for part in parts]
            joined = self._graph.call_function(aten.cat.default, (shares, 1))
        joined.meta["val"] = node.meta["val"]
        self._backward |= {*shares, joined}
        node.replace_all_uses_with(joined)
        self._graph.erase_node(node)

    def _cut(self, node: fx.Node) -> None:
        """`(d @ W.T)[:, start:end]` as `d @ W.T[:, start:end]`."""
        given = bound(node)
        source, start = given["self"], given["start"]
        is_plain = given["dim"] == 1 and given["step"] == 1 and isinstance(start, int)
        if not is_plain or source.op != "call_function":
            return
        width = int(source.meta["val"].shape[1])
        start, end, _ = slice(start, given["end"]).indices(width)
        if not self._is_cotangent(source, start, end):
            return
        with self._graph.inserting_before(node):
            replacement = self._share_of(source, start, end)
        node.replace_all_uses_with(replacement)
        self._graph.erase_node(node)

    def _is_cotangent(self, node: fx.Node, start: int, end: int) -> bool:
        """Whether the node is a sum of products with weights that were split at these seams."""
        if node.target is aten.mm.default:
            return {start, end} <= self._seams.get(_base(factors(node)[1]), set())
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
            left, weight = factors(node)
            share = self._new(node, aten.slice.Tensor, weight, 1, start, end)
            return self._new(node, aten.mm.default, left, share)
        terms = [
            self._share_of(term, start, end) for term in node.args if isinstance(term, fx.Node)
        ]
        return self._new(node, aten.add.Tensor, *terms)

    def _new(self, like: fx.Node, target: Any, *args: Any) -> fx.Node:
        node = self._graph.call_function(target, args)
        values = [arg.meta["val"] if isinstance(arg, fx.Node) else arg for arg in args]
        node.meta["val"] = target(*values)
        if like in self._lines:
            self._lines[node] = self._lines[like]
        return node


def _joins_columns(node: fx.Node) -> bool:
    return node.target is aten.cat.default and bound(node)["dim"] in (1, -1)


def _base(weight: fx.Node) -> fx.Node:
    """The tensor of which a weight is a transposition."""
    while weight.target is aten.permute.default:
        weight = source_of(weight)
    return weight
