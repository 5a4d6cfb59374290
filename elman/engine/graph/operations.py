"""The one table of what is known of each operation of a graph: what kind it is, what it does to the
rows of a batch, and what it is in a row program.

A new operation is a row here. An elementwise one, or a reduction, needs nothing else if its
function is a `PointwiseName` or a `ReduceName`; one that is put together from others needs a
handler of its name in `program.lower`, or a line in `graph.decompositions`. What is not listed runs
outside of loops, if torch says that it is elementwise, or stands in the way of compiling.
"""

from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from math import inf
from typing import Literal, get_args

import torch
from torch import Tensor, fx

from elman.engine.graph import intervals
from elman.engine.graph.intervals import Rule, corners, extremum
from elman.engine.graph.schemas import name_of

PointwiseName = Literal[
    # arithmetic
    "add", "sub", "mul", "div", "neg", "abs", "sign", "reciprocal", "sqrt", "rsqrt", "pow",
    "minimum", "maximum", "floor", "ceil", "round", "trunc", "remainder", "fmod",
    # elementary functions
    "exp", "expm1", "log", "log1p", "log2", "exp2", "tanh", "sigmoid", "erf", "sin", "cos",
    # comparisons give 1.0 or 0.0; `where(condition, a, b)` takes a if condition != 0
    "eq", "ne", "lt", "le", "gt", "ge", "where", "and", "or", "not", "isnan",
]  # fmt: skip
"""Elementwise functions of a row program."""

ARITY: dict[PointwiseName, int] = {
    **dict.fromkeys(get_args(PointwiseName), 1),
    **dict.fromkeys((
        "add", "sub", "mul", "div", "pow", "minimum", "maximum", "remainder", "fmod", "eq", "ne",
        "lt", "le", "gt", "ge", "and", "or",
    ), 2),
    "where": 3,
}  # fmt: skip
"""How many arguments each takes."""


ReduceName = Literal["sum", "amax", "amin"]
"""Reductions of a row program: of all elements of a value to one number. NaN wins, as in torch."""

NEUTRAL: dict[ReduceName, float] = {"sum": 0.0, "amax": -inf, "amin": inf}
"""The number that changes no result of a reduction; the reduction of nothing."""


class Kind(Enum):
    """What an operation does to its first argument, as far as several parts of the engine ask.

    RESHAPES, SPLITS, PICKS, JOINS and CONVERTS compute nothing: their results are views, parts, or
    copies. CONSTANT gives a constant that counts as one of them; FILLS another one.
    """

    RESHAPES = auto()  # the same numbers in another shape
    SPLITS = auto()  # into several values
    PICKS = auto()  # a part
    JOINS = auto()
    CONVERTS = auto()  # to another type
    CONSTANT = auto()
    FILLS = auto()
    MOVES = auto()  # axes
    COPIES = auto()  # the value as it is
    WRITES = auto()  # a part of it anew
    MULTIPLIES = auto()  # as a matrix
    REDUCES = auto()  # axes to one number
    COMPARES = auto()
    COMPUTES = auto()  # element by element
    OTHER = auto()


VIEWS = {Kind.RESHAPES, Kind.SPLITS, Kind.PICKS, Kind.JOINS, Kind.CONVERTS, Kind.CONSTANT}


class Rows(Enum):
    """What keeps the rows of a batch apart."""

    ALONG = auto()  # other axes than that of the rows are named by the argument dim or dims
    RESHAPED = auto()  # rows stay the first axis, and are joined with none
    MULTIPLIED = auto()  # rows are not summed over
    MADE = auto()  # a value with rows out of none is the same for all, or drawn for each
    BROADCAST = auto()  # the same, out of a value without rows
    KEPT = auto()  # always


Linear = Literal["in all", "in one", "in the first"]
"""In which arguments an operation is linear: in all together, or in any one if the others are
constant."""


@dataclass(frozen=True)
class Operation:
    """What is known of the operation `name`, which is what users call it.

    pointwise: the function of a row program that it is.
    reduce: the reduction of a row program that it is.
    handler: the name of what puts it together from several ops, in `program.lower`.
    on_flags: the function that it is on bools. gives_flags: whether a loop can compute its bools
        as numbers 0 and 1.
    interval: between what its results lie, if they are integers. on_numbers: whether its first
        three arguments are what it computes with, and no axes or sizes.
    is_arithmetic: cheaper than an elementary function.
    keeps_zeros: it gives zeros for zeros, whatever its other arguments are.
    """

    name: str
    kind: Kind = Kind.OTHER
    rows: Rows | None = None
    pointwise: PointwiseName | None = None
    reduce: ReduceName | None = None
    handler: str | None = None
    on_flags: PointwiseName | None = None
    gives_flags: bool = False
    interval: Rule | None = None
    on_numbers: bool = False
    is_arithmetic: bool = False
    linear: Linear | None = None
    keeps_zeros: bool = False

    @property
    def is_view(self) -> bool:
        return self.kind in VIEWS

    @property
    def is_filled(self) -> bool:
        return self.kind in (Kind.CONSTANT, Kind.FILLS)


def _view(name: str, kind: Kind, rows: Rows, handler: str | None, **more: object) -> Operation:
    return Operation(
        name, kind, rows, handler=handler, gives_flags=True, linear="in all", keeps_zeros=True,
        **{"interval": intervals.same, **more},  # type: ignore[arg-type]
    )  # fmt: skip


def _constant(name: str, handler: str | None = "full") -> Operation:
    return Operation(
        name, Kind.CONSTANT, Rows.MADE, handler=handler, gives_flags=True, linear="in all",
        keeps_zeros=True,
    )  # fmt: skip


def _filled(name: str, rows: Rows | None = None) -> Operation:
    return Operation(name, Kind.FILLS, rows, gives_flags=True)


def _function(name: str, pointwise: PointwiseName, **more: object) -> Operation:
    return Operation(name, Kind.COMPUTES, pointwise=pointwise, **more)  # type: ignore[arg-type]


def _compared(name: str, pointwise: PointwiseName) -> Operation:
    return Operation(name, Kind.COMPARES, pointwise=pointwise, is_arithmetic=True)


def _along(name: str, kind: Kind = Kind.OTHER, **more: object) -> Operation:
    return Operation(name, kind, Rows.ALONG, **more)  # type: ignore[arg-type]


def _table(*operations: Operation) -> dict[str, Operation]:
    return {operation.name: operation for operation in operations}


TABLE = _table(
    # Views, parts, what is joined, copies.
    _view("view", Kind.RESHAPES, Rows.RESHAPED, "reshape"),
    _view("_unsafe_view", Kind.RESHAPES, Rows.RESHAPED, "reshape"),
    _view("reshape", Kind.RESHAPES, Rows.RESHAPED, "reshape"),
    _view("unsqueeze", Kind.RESHAPES, Rows.KEPT, "reshape"),
    _view("squeeze", Kind.RESHAPES, Rows.KEPT, "reshape"),
    _view("expand", Kind.RESHAPES, Rows.BROADCAST, "reshape"),
    _view("broadcast_in_dim", Kind.RESHAPES, Rows.BROADCAST, "broadcast_in_dim"),
    _view("split_with_sizes", Kind.SPLITS, Rows.ALONG, "split"),
    _view("unbind", Kind.SPLITS, Rows.ALONG, "split"),
    _view("getitem", Kind.PICKS, Rows.KEPT, "getitem"),
    _view("slice", Kind.PICKS, Rows.ALONG, "slice"),
    _view("select", Kind.PICKS, Rows.ALONG, "select"),
    _view("cat", Kind.JOINS, Rows.ALONG, "cat", interval=intervals.joined),
    _view("_to_copy", Kind.CONVERTS, Rows.KEPT, "convert"),
    _view("convert_element_type", Kind.CONVERTS, Rows.KEPT, "convert"),
    *(
        Operation(name, Kind.MOVES, rows, interval=intervals.same, linear="in all",
                  keeps_zeros=True)
        for name, rows in (("permute", Rows.KEPT), ("transpose", Rows.KEPT), ("t", None))
    ),
    Operation("alias", Kind.COPIES, keeps_zeros=True),
    Operation("detach", Kind.COPIES, keeps_zeros=True),
    Operation("clone", Kind.COPIES, linear="in all", keeps_zeros=True),
    Operation("lift_fresh_copy", Kind.COPIES),
    *(
        _along(name, Kind.WRITES, handler=name, gives_flags=True, interval=intervals.written,
               linear="in all")
        for name in ("slice_scatter", "select_scatter")
    ),
    Operation("constant_pad_nd", rows=Rows.KEPT, linear="in all"),
    # Constants.
    _constant("full"), _constant("full_like"), _constant("zeros_like"), _constant("ones_like"),
    _filled("zeros", Rows.MADE), _filled("ones", Rows.MADE), _filled("new_zeros", Rows.MADE),
    _filled("new_ones"), _filled("new_full", Rows.MADE), _filled("scalar_tensor", Rows.MADE),
    *(
        Operation(name, rows=Rows.MADE)
        for name in ("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty",
                     "rand", "rand_like", "randn", "randn_like")
    ),
    Operation("arange", interval=intervals.counted),
    Operation("iota", interval=intervals.counted_by_length),
    Operation("sym_size", rows=Rows.BROADCAST),
    # Products and reductions.
    Operation("mm", Kind.MULTIPLIES, Rows.MULTIPLIED, handler="mm", linear="in one"),
    Operation("addmm", Kind.MULTIPLIES, Rows.MULTIPLIED, handler="addmm", linear="in one"),
    Operation("bmm", rows=Rows.MULTIPLIED, linear="in one"),
    Operation("baddbmm", rows=Rows.MULTIPLIED, linear="in one"),
    _along("sum", Kind.REDUCES, handler="sum", interval=intervals.total, linear="in all"),
    _along("mean", Kind.REDUCES, handler="mean"),
    _along("var", Kind.REDUCES, handler="var"),
    *(
        _along(name, Kind.REDUCES, reduce=name, gives_flags=True, interval=intervals.same)
        for name in ("amax", "amin")
    ),
    *(_along(name, interval=intervals.place) for name in ("argmax", "argmin")),
    *map(_along, (
        "prod", "any", "all", "max", "min", "linalg_vector_norm", "_softmax", "_log_softmax",
        "logsumexp", "cumsum", "cumprod", "flip", "sort", "topk", "split", "gather",
        "index_select", "roll", "scatter", "scatter_add",
    )),
    Operation("embedding", rows=Rows.KEPT),
    Operation("native_dropout", rows=Rows.KEPT),
    Operation("bernoulli", rows=Rows.KEPT),
    # Arithmetic.
    _function("add", "add", on_flags="or", interval=corners(lambda a, b: a + b), on_numbers=True,
              is_arithmetic=True, linear="in all", rows=Rows.KEPT),
    _function("sub", "sub", interval=corners(lambda a, b: a - b), on_numbers=True,
              is_arithmetic=True, linear="in all"),
    _function("mul", "mul", on_flags="and", interval=corners(lambda a, b: a * b), on_numbers=True,
              is_arithmetic=True, linear="in one", rows=Rows.KEPT),
    _function("div", "div", linear="in the first", rows=Rows.KEPT),
    Operation("rsub", Kind.COMPUTES, handler="rsub", interval=corners(lambda a, b: b - a),
              on_numbers=True, is_arithmetic=True),
    _function("neg", "neg", interval=intervals.negated, is_arithmetic=True, linear="in all",
              keeps_zeros=True),
    _function("abs", "abs", interval=intervals.absolute, is_arithmetic=True),
    _function("minimum", "minimum", gives_flags=True, interval=extremum(min), on_numbers=True,
              is_arithmetic=True),
    _function("maximum", "maximum", gives_flags=True, interval=extremum(max), on_numbers=True,
              is_arithmetic=True),
    Operation("relu", Kind.COMPUTES, handler="relu", is_arithmetic=True),
    Operation("clamp", Kind.COMPUTES, handler="clamp", interval=intervals.clamped,
              on_numbers=True, is_arithmetic=True),
    _function("where", "where", rows=Rows.KEPT, gives_flags=True, interval=intervals.chosen,
              on_numbers=True, is_arithmetic=True),
    _function("sign", "sign", interval=intervals.sign),
    _function("sgn", "sign", interval=intervals.sign),
    *(
        _function(name, name, interval=intervals.same)
        for name in ("floor", "ceil", "round", "trunc")
    ),
    _function("remainder", "remainder", interval=intervals.remainder(is_signed=False),
              on_numbers=True),
    _function("fmod", "fmod", interval=intervals.remainder(is_signed=True), on_numbers=True),
    _function("pow", "pow", interval=intervals.power, on_numbers=True),
    # Elementary functions.
    *(
        _function(name, name)
        for name in ("reciprocal", "sqrt", "rsqrt", "exp", "expm1", "exp2", "log", "log1p", "log2",
                     "tanh", "sigmoid", "erf", "sin", "cos")
    ),
    # Comparisons and flags.
    *(_compared(name, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")),
    _function("logical_and", "and", gives_flags=True, is_arithmetic=True),
    _function("logical_or", "or", gives_flags=True, is_arithmetic=True),
    _function("logical_not", "not", gives_flags=True, is_arithmetic=True),
    _function("bitwise_and", "and", on_flags="and"),
    _function("bitwise_or", "or", on_flags="or"),
    Operation("bitwise_xor", Kind.COMPUTES, on_flags="ne"),
    _function("bitwise_not", "not", on_flags="not", is_arithmetic=True),
    _function("isnan", "isnan", gives_flags=True),
)  # fmt: skip


def operation_of(node: fx.Node) -> Operation:
    """The table's row, or one that says nothing but the name."""
    return _named(name_of(node))


@lru_cache(maxsize=4096)
def _named(name: str) -> Operation:
    return TABLE.get(name) or Operation(name)


def products_of_one_left(left: Tensor, *rights: Tensor) -> list[Tensor]:
    """`left @ right`, `(M, N)` by `(N, K)`, for every right. Some machines read `left` once for
    all."""
    return [torch.mm(left, right) for right in rights]
