"""A call of compiled code in pieces, so that Python can answer Ctrl-C between them.

Python looks for signals between its own instructions only, and a loop may run for hours. A piece
is a range of rows and a range of time steps; the state carries over. Where it ends follows from
sizes alone, so results do not depend on the time that anything takes.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from elman.engine.llvm.geometry import GROUP
from elman.engine.llvm.math import CALLS
from elman.engine.program.row_program import Pointwise, Product, RowProgram, Timetable

PIECE = 400_000_000
"""Operations of one thread in a piece: 5 ms where all are products in the cache, and about 100 ms
where every weight comes from memory or the processor is slow."""

_STEP = 500  # what a step costs beside its rows, in operations
_ELEMENT = 8  # one number in vector code; reading and writing it counts, too
_CALL = 200  # one number through the mathematical library


class Piece(NamedTuple):
    """`steps` time steps from `first` on, and of the rows what `bounds` gives to each thread."""

    first: int
    steps: int
    bounds: Tensor


def row_cost(program: RowProgram) -> int:
    """Operations for one row in one step, about."""
    cost = 100
    for op in program.ops:
        if isinstance(op, Product):
            cost += 2 * program.ops[op.left].width * op.width
        is_call = isinstance(op, Pointwise) and op.name in CALLS
        cost += (_CALL if is_call else _ELEMENT) * op.width
    return cost


def pieces_of(timetable: Timetable, cost: int, threads: int, bounds: Tensor) -> list[Piece]:
    """The pieces in running order.

    cost: operations for a row in a step. bounds: `(threads + 1,)` rows, the shares of threads.
    """
    if timetable.total * cost + timetable.steps * _STEP <= PIECE * threads:
        return [Piece(0, timetable.steps, bounds)]
    at_once = max(GROUP, PIECE * threads // cost // GROUP * GROUP)  # rows in one step
    if timetable.rows <= at_once:
        return list(_pieces_of_time(timetable, 0, timetable.rows, cost, threads, bounds))
    return [
        piece
        for begin in range(0, timetable.rows, at_once)
        for piece in _pieces_of_rows(
            timetable, begin, min(begin + at_once, timetable.rows), cost, threads
        )
    ]


def _pieces_of_rows(
    timetable: Timetable, begin: int, end: int, cost: int, threads: int
) -> Iterator[Piece]:
    """Those of rows `begin` to `end`, cut anew into shares of threads."""
    share = -(-(end - begin) // threads // GROUP) * GROUP
    bounds = (begin + share * torch.arange(threads + 1)).clamp(max=end)
    bounds[-1] = end
    return _pieces_of_time(timetable, begin, end, cost, threads, bounds)


def _pieces_of_time(
    timetable: Timetable, begin: int, end: int, cost: int, threads: int, bounds: Tensor
) -> Iterator[Piece]:
    """Those of rows `begin` to `end`, of which fewer are active in each step; bounds:
    `(threads + 1,)`."""
    active = (timetable.offsets.diff().clamp(max=end) - begin).clamp(min=0)
    done = (active.double() * cost + _STEP).cumsum(0)
    count = max(1, -(-int(done[-1]) // (PIECE * threads)))
    goals = done[-1] * torch.arange(1, count, dtype=torch.double) / count
    inner = torch.searchsorted(done, goals).tolist()
    found = list(pairwise(sorted({0, *inner, timetable.steps})))
    for first, last in reversed(found) if timetable.backwards else found:
        yield Piece(first, last - first, bounds)
