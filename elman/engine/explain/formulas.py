"""Compiled loops, and the code around them, as formulas that a person can read."""

from collections import Counter
from collections.abc import Callable
from math import prod
from typing import Any

from torch import Tensor, fx

from elman.engine.graph.nodes import factors, is_product, row_shape, source_of
from elman.engine.graph.operations import Kind, operation_of
from elman.engine.graph.schemas import bound, name_of
from elman.engine.plan.parts import Loop, Part
from elman.engine.program.row_program import (
    Carried,
    Cat,
    Constant,
    Input,
    Pointwise,
    Product,
    Reduce,
    RowProgram,
    Slice,
    Vector,
)  # fmt: skip
from elman.engine.program.stages import Stages, arguments

_INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "eq": "==", "ne": "!=", "lt": "<", "le": "<=",
    "gt": ">", "ge": ">=", "and": "&", "or": "|",
}  # fmt: skip
_LOOSE = {"add", "sub", "eq", "ne", "lt", "le", "gt", "ge", "and", "or"}  # need brackets inside * /
_SILENT = {Kind.RESHAPES, Kind.SPLITS, Kind.PICKS, Kind.MOVES}
_LONG = 60  # characters from which on a formula gets a name of its own


class Names:
    """What the nodes of a trace are called: the user's own names as far as they are known."""

    def __init__(self, known: dict[fx.Node, str]) -> None:
        self._known = known
        for node, name in list(known.items()):
            while _is_reshaped(node) and source_of(node) not in known:
                node = source_of(node)
                known[node] = name

    def of(self, node: fx.Node) -> str:
        if node in self._known:
            return self._known[node]
        kind = operation_of(node).kind
        if kind is Kind.MOVES and node.meta["val"].dim() == 2:
            return f"{self.of(source_of(node))}.T"
        if name_of(node) == "slice":
            given = bound(node)
            start, end = given["start"] or "", given["end"]
            end = "" if end is None or (isinstance(end, int) and end >= 1 << 62) else end
            return f"{self.of(given['self'])}[{':, ' * given['dim']}{start}:{end}]"
        if name_of(node) == "sym_size":
            return "rows"
        if _is_reshaped(node):
            return self.of(source_of(node))
        return node.name


def _is_reshaped(node: fx.Node) -> bool:
    """Whether it is its first argument in another shape."""
    return node.op == "call_function" and operation_of(node).kind is Kind.RESHAPES


class LoopText:
    """One loop's program, stage by stage; every line is one value of each row at each step."""

    def __init__(self, loop: Loop, stages: Stages, names: Names, state_names: list[str]) -> None:
        self._program: RowProgram = loop.program
        self._stages = stages
        self._state_names = state_names
        self._inputs = [names.of(node) for node in loop.streams]
        self._weights = [names.of(node) for node in loop.weights]
        self._vectors = [
            names.of(node) if isinstance(node, fx.Node) else f"{node:g}" for node, _ in loop.vectors
        ]
        self._results: dict[int, list[str]] = {}
        for index, node in zip(self._program.outputs, loop.outputs, strict=True):
            self._results.setdefault(index, []).append(names.of(node))
        for index, name in zip(self._program.next, state_names, strict=True):
            self._results.setdefault(index, []).append(f"next {name}")
        self._named: dict[int, str] = {}
        self._uses = Counter(a for index in stages.levels for a in self._arguments(index))

    def stages(self) -> list[list[tuple[str, str, str]]]:
        """For every stage, lines of (name, formula, source line)."""
        found: dict[int, list[tuple[str, str, str]]] = {}
        for index in sorted(self._stages.levels):
            name = self._name_for(index)
            if name is None:
                continue
            formula = self._formula(index)
            if name == formula:  # the state as it came, kept for the backward pass
                self._named[index] = name
                continue
            labels = self._program.labels
            level = self._stages.levels[index]
            width = self._program.ops[index].width
            line = (f"{name}[{width}]", formula, labels[index] if labels else "")
            found.setdefault(level, []).append(line)
            for other in self._results.get(index, [])[1:]:
                found[level].append((other, name, ""))
            self._named[index] = name
        return [found[level] for level in sorted(found)]

    def _name_for(self, index: int) -> str | None:
        """A name for what is a result, what others use more than once, and what grows long."""
        op = self._program.ops[index]
        if index in self._results:
            return self._results[index][0]
        if isinstance(op, Slice | Constant | Input | Carried | Vector):
            return None
        is_shared = self._uses[index] > 1
        if isinstance(op, Product | Reduce) and (is_shared or self._uses_slices(index)):
            return f"v{index}"
        if is_shared or len(self._formula(index)) > _LONG:
            return f"v{index}"
        return None

    def _uses_slices(self, index: int) -> bool:
        ops = self._program.ops
        return any(
            isinstance(ops[i], Slice) and index in self._arguments(i) for i in self._stages.levels
        )

    def _arguments(self, index: int) -> tuple[int, ...]:
        return arguments(self._program.ops[index])

    def _text(self, index: int) -> str:
        return self._named.get(index) or self._formula(index)

    def _formula(self, index: int) -> str:
        op, ops = self._program.ops[index], self._program.ops
        match op:
            case Constant(value=value):
                return f"{value:g}"
            case Input(index=number):
                return self._inputs[number]
            case Vector(index=number):
                return self._vectors[number]
            case Carried(index=number):
                return self._state_names[number]
            case Product(left=left, index=number):
                return f"{self._bracketed(left)} @ {self._weights[number]}"
            case Slice(arg=arg, start=start, width=width):
                return f"{self._bracketed(arg)}[{start}:{start + width}]"
            case Cat(args=args):
                return f"[{', '.join(self._text(arg) for arg in args)}]"
            case Reduce(name=name, arg=arg):
                return f"{name}({self._text(arg)})"
            case Pointwise(name=name, args=args):
                if name in _INFIX:
                    tight = name in ("mul", "div")
                    sides = [
                        self._bracketed(arg) if self._is_loose(arg, tight, i == 1) else
                        self._text(arg) for i, arg in enumerate(args)
                    ]  # fmt: skip
                    return f"{sides[0]} {_INFIX[name]} {sides[1]}"
                if name == "neg":
                    return f"-{self._bracketed(args[0])}"
                return f"{name}({', '.join(self._text(arg) for arg in args)})"
        raise AssertionError(type(ops[index]))

    def _is_loose(self, index: int, tight: bool, is_right: bool) -> bool:
        op = self._program.ops[index]
        if index in self._named or not isinstance(op, Pointwise):
            return isinstance(op, Product) and index not in self._named and tight
        return (op.name in _LOOSE and (tight or is_right)) or (op.name == "neg" and is_right)

    def _bracketed(self, index: int) -> str:
        text = self._text(index)
        is_word = index in self._named or not isinstance(
            self._program.ops[index], Pointwise | Product
        )
        return text if is_word or ("(" in text and " " not in text) else f"({text})"


def lines_of_part(part: Part, names: Names) -> list[tuple[str, str]]:
    """(name, formula) of the operations of straight-line code, without views."""
    found = []
    for node in part.nodes:
        is_moved = operation_of(node).kind in _SILENT or name_of(node) == "sym_size"
        if is_moved:
            continue
        found.append((names.of(node), _call(node, names.of)))
    return found


def _call(node: fx.Node, of: Callable[[fx.Node], str]) -> str:
    def text(value: Any) -> str:
        if isinstance(value, fx.Node):
            return of(value)
        if isinstance(value, list | tuple):
            return "[" + ", ".join(map(text, value)) + "]"
        return f"{value:g}" if isinstance(value, float) else str(value)

    name, args = name_of(node), [text(arg) for arg in node.args]
    if name == "mm":
        return f"{args[0]} @ {args[1]}"
    if name == "addmm":
        return f"{args[1]} @ {args[2]} + {args[0]}"
    if name in _INFIX and len(args) == 2:
        return f"{args[0]} {_INFIX[name]} {args[1]}"
    if name == "sum" and node.args[1:2] == ([0],):
        return f"sum of {args[0]} over all rows and steps"
    return f"{name}({', '.join(args)})"


def product_flops(part: Part) -> int:
    """Floating-point operations of the part's matrix products for each row and step."""
    total = 0
    for node in part.nodes:
        if is_product(node):
            left, right = [factor.meta["val"] for factor in factors(node)]
            sizes = [*left.shape, right.shape[1]]
            if any(not isinstance(size, int) for size in sizes):
                total += 2 * prod(int(size) for size in sizes if isinstance(size, int))
    return total


def loop_flops(program: RowProgram) -> tuple[int, int]:
    """Floating-point operations of one row's step: in products, and elementwise."""
    products = [op for op in program.ops if isinstance(op, Product)]
    in_products = sum(2 * program.ops[op.left].width * op.width for op in products)
    return in_products, sum(op.width for op in program.ops if isinstance(op, Pointwise | Reduce))


def bytes_of(nodes: list[fx.Node]) -> int:
    """Bytes of one row of the nodes' values."""
    found = 0
    for node in nodes:
        value = node.meta["val"]
        if isinstance(value, Tensor):
            found += prod(row_shape(node)) * value.element_size()
    return found
