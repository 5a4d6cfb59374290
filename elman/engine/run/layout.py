"""How sequences of a batch are laid out for a compiled loop: folded or packed.

See `program.row_program` for the layout itself. Only valid rows are ever gathered, so what stands
in the padding can't touch anything, and a short row costs only its own steps.
"""

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from math import prod

import torch
from torch import Tensor

from elman.engine.arguments import Arguments
from elman.engine.program.row_program import Timetable


@lru_cache(maxsize=256)
def _even_offsets(steps: int, rows: int) -> Tensor:
    """`(T + 1,)`: where each step of so many rows begins."""
    return torch.arange(0, (steps + 1) * rows, rows or 1)[: steps + 1] if rows else torch.zeros(
        steps + 1, dtype=torch.int64
    )  # fmt: skip


@lru_cache(maxsize=256)
def single_step(rows: int) -> Timetable:
    """All rows in one step, for code that has no state."""
    return Timetable(rows, 1, rows, _even_offsets(1, rows))


Take = Callable[[tuple[int, ...], torch.dtype], Tensor]
"""Gives uninitialised memory for a shape and a dtype."""

Chunk = tuple[slice, Timetable]
"""Rows of the layout that some time steps take, and when each of them runs."""


def _pieces(steps: int, pieces: int, backwards: bool) -> list[tuple[int, int]]:
    """Ranges of time steps; equal ones, so that each finds room where the one before was."""
    bounds = [steps * i // pieces for i in range(pieces + 1)]
    found = list(pairwise(bounds))
    return found[::-1] if backwards else found


@lru_cache(maxsize=256)
def _even_chunks(steps: int, rows: int, pieces: int, backwards: bool) -> tuple[Chunk, ...]:
    return tuple(
        (
            slice(begin * rows, end * rows),
            Timetable(rows, end - begin, (end - begin) * rows, _even_offsets(end - begin, rows),
                     backwards),
        )
        for begin, end in _pieces(steps, pieces, backwards)
    )  # fmt: skip


class Folded:
    """All rows have all steps: `(T, B, ...)` is folded to `(T * B, ...)` without a copy.

    is_even: every step has the same rows.
    """

    is_even = True

    def __init__(self, arguments: Arguments) -> None:
        self.steps, self.rows = arguments.steps, arguments.rows
        self.total = self.steps * self.rows
        self.offsets = _even_offsets(self.steps, self.rows)

    def fold(self, value: Tensor) -> Tensor:
        """`(T, B, ...)`, or `(N, 1, ...)` if it is packed, to `(N, ...)`."""
        return value.flatten(0, 1)

    def fresh(
        self, take: Take, shape: tuple[int, ...], dtype: torch.dtype
    ) -> tuple[Tensor | None, Tensor]:
        """Memory for an output of this shape in a row: as the user sees it, `(T, B, ...)`, if that
        is possible, and folded, `(N, ...)`."""
        whole = take((self.steps, self.rows, *shape), dtype)
        # Detached: autograd's node may hold the second for its backward pass, and will be held by
        # the first, so they must not know each other.
        return whole, whole.detach().view(self.total, *shape)

    def fresh_with_states(
        self, take: Take, shape: tuple[int, ...], dtype: torch.dtype, reverse: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The same for an output that is also the next state, and the states before each step,
        `(N, ...)`: in the same memory, one step apart, so that they need none of their own. For an
        even layout."""
        memory = take((self.steps + 1, self.rows, *shape), dtype)
        strides, step = memory.stride(), self.rows * prod(shape)
        start = memory.storage_offset()
        before, after = (start + step, start) if reverse else (start, start + step)
        sizes = (self.steps, self.rows, *shape)
        whole = memory.new_empty(0).set_(memory.untyped_storage(), after, sizes, strides)
        states = memory.as_strided((self.total, *shape), strides[1:], before)
        return whole, whole.detach().view(self.total, *shape), states

    def unfold(self, value: Tensor) -> Tensor:
        """`(N, ...)` as the user sees it, `(T, B, ...)`."""
        return value.view(self.steps, self.rows, *value.shape[1:])

    def sort(self, state: Tensor) -> Tensor:
        """A leaf `(B, ...)` in the layout's order of rows."""
        return state

    def unsort(self, state: Tensor) -> Tensor:
        """A leaf `(B, ...)` back in the order of the batch."""
        return state

    def chunks(self, pieces: int, backwards: bool) -> tuple["Chunk", ...]:
        """All steps in so many pieces, in running order."""
        return _even_chunks(self.steps, self.rows, pieces, backwards)


class Packed(Folded):
    """Valid (time, row) pairs only, rows sorted, longest first; the input comes like that.

    batch_sizes: `(T,)`, how many rows are active in each step. order: `(B,)`, the row of the batch
    that each row of the layout is; None if it is the same.
    """

    is_even = False

    def __init__(self, arguments: Arguments, batch_sizes: Tensor, order: Tensor | None) -> None:
        self.steps, self.rows = arguments.steps, arguments.rows
        self._order = None if order is None else order.to(arguments.device)
        self._back = None if self._order is None else torch.argsort(self._order)
        self.offsets = torch.cat([batch_sizes.new_zeros(1), batch_sizes.cumsum(0)])
        self.total = int(self.offsets[-1])

    def fresh(
        self, take: Take, shape: tuple[int, ...], dtype: torch.dtype
    ) -> tuple[Tensor | None, Tensor]:
        """`(N, 1, ...)`, as a packed input comes, and `(N, ...)`."""
        whole = take((self.total, 1, *shape), dtype)
        return whole, whole.detach().view(self.total, *shape)

    def unfold(self, value: Tensor) -> Tensor:
        """`(N, ...)` to `(N, 1, ...)`, as a packed input comes."""
        return value.unsqueeze(1)

    def sort(self, state: Tensor) -> Tensor:
        """A leaf `(B, ...)` with the longest rows first."""
        return state if self._order is None else state.index_select(0, self._order)

    def unsort(self, state: Tensor) -> Tensor:
        """A leaf `(B, ...)` back in the order of the batch."""
        return state if self._back is None else state.index_select(0, self._back)

    def chunks(self, pieces: int, backwards: bool) -> tuple["Chunk", ...]:
        found = []
        for begin, end in _pieces(self.steps, pieces, backwards):
            rows = slice(int(self.offsets[begin]), int(self.offsets[end]))
            offsets = self.offsets[begin : end + 1] - rows.start
            total = rows.stop - rows.start
            found.append((rows, Timetable(self.rows, end - begin, total, offsets, backwards)))
        return tuple(found)


class Gathered(Packed):
    """The same for an input `(T, B, ...)` with lengths: valid pairs are gathered from it."""

    def __init__(self, arguments: Arguments, lengths: list[int]) -> None:
        length = torch.tensor(lengths, dtype=torch.int64)
        order = torch.argsort(length, descending=True, stable=True)
        active = (length[None] > torch.arange(arguments.steps)[:, None]).sum(1)
        super().__init__(arguments, active, order)
        time = torch.repeat_interleave(torch.arange(self.steps), active)
        place = torch.arange(self.total) - self.offsets[time]
        self._index = (time * self.rows + order[place]).to(arguments.device)

    def fold(self, value: Tensor) -> Tensor:
        """`(T, B, ...)` to `(N, ...)`: valid pairs alone."""
        return value.flatten(0, 1).index_select(0, self._index)

    def fresh(
        self, take: Take, shape: tuple[int, ...], dtype: torch.dtype
    ) -> tuple[Tensor | None, Tensor]:
        """`(N, ...)` alone: what the user sees has padding, too."""
        return None, take((self.total, *shape), dtype)

    def unfold(self, value: Tensor) -> Tensor:
        """`(N, ...)` to `(T, B, ...)`, with zeros in the padding."""
        padded = value.new_zeros((self.steps, self.rows, *value.shape[1:]))
        padded.flatten(0, 1).index_copy_(0, self._index, value)
        return padded


def layout_of(arguments: Arguments) -> Folded:
    if arguments.batch_sizes is not None:
        return Packed(arguments, arguments.batch_sizes, arguments.order)
    if arguments.lengths is not None:
        return Gathered(arguments, arguments.lengths)
    return Folded(arguments)
