"""How well a model predicts each line of a text: what filters of corpora sort by."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from elman.tasks.language.data.vocabulary import Vocabulary
from elman.tasks.language.model import LanguageModel
from elman.tasks.language.settings import LineSettings
from elman.tasks.language.use.generate import start_tokens

_BLOCK = 1 << 17  # characters of lines that are scored before the first of them is given
_LINES = 512  # and so many lines
_ROWS = 64  # lines side by side
_CHUNK = 1024  # time steps of one forward pass


@dataclass(frozen=True)
class LineScore:
    """The score of one line, its end left out.

    line: its number, from 1. characters: of the whole line. unknown: those of them that the model
    has never seen. nats: -log p of the line, infinite if it holds unknown characters and they count
    as impossible. Per character, so that models of characters and of bytes can be compared; None
    where nothing was scored.
    """

    line: int
    text: str
    characters: int
    unknown: int
    nats: float
    scored: int

    @property
    def nats_per_character(self) -> float | None:
        return self.nats / self.scored if self.scored else None

    @property
    def perplexity(self) -> float | None:
        """exp(nats per character)."""
        nats = self.nats_per_character
        return None if nats is None else math.exp(nats) if nats < 700 else math.inf


def score_lines(
    model: LanguageModel,
    vocabulary: Vocabulary,
    lines: Iterable[str],
    device: torch.device,
    unknown: str = LineSettings.unknown,
) -> Iterator[LineScore]:
    """The score of each line, in order, each judged as if a line break stood before it.

    Lines are read a block at a time, so memory does not grow with their number.
    """
    number = 0
    for block in _blocks(lines):
        found = [vocabulary.encode(line, "error" if unknown == "error" else "skip")
                 for line in block]  # fmt: skip
        start = int(start_tokens(vocabulary, torch.tensor([], dtype=torch.int64))[-1])
        nats = line_nats(model, start, found, device)
        for line, tokens, own in zip(block, found, nats, strict=True):
            number += 1
            missing = vocabulary.unknown(line, tokens)
            impossible = missing and unknown == "impossible"
            yield LineScore(
                number, line, len(line), missing,
                math.inf if impossible else float(own),
                len(line) if impossible else len(line) - missing,
            )  # fmt: skip


def line_nats(
    model: LanguageModel, start: int, lines: Sequence[np.ndarray], device: torch.device
) -> np.ndarray:
    """The sum of -log p over the tokens of each line, `(N,)`, each read after the token `start`.

    Lines of similar length go side by side; those that are shorter run into padding that nothing
    looks at.
    """
    totals = np.zeros(len(lines))
    for rows in _side_by_side([len(line) for line in lines]):
        lengths = torch.tensor([len(lines[row]) for row in rows])
        block = torch.zeros(int(lengths.max()) + 1, len(rows), dtype=torch.int64)
        block[0] = start
        for column, row in enumerate(rows):
            block[1 : lengths[column] + 1, column] = torch.from_numpy(lines[row])
        totals[rows] = _sums(model, block.to(device), lengths.to(device))
    return totals


def _sums(model: LanguageModel, block: Tensor, lengths: Tensor) -> np.ndarray:
    """Of tokens `(T + 1, B)`, the first of them given, up to each row's length."""
    sums = torch.zeros(len(lengths), dtype=torch.float64, device=block.device)
    state = model.initial_state(len(lengths))
    places = torch.arange(len(block) - 1, device=block.device)[:, None]
    for begin in range(0, len(places), _CHUNK):
        part = slice(begin, min(begin + _CHUNK, len(places)))
        labels = block[part.start + 1 : part.stop + 1]
        losses, state = model.nats(block[part], labels, state)
        sums += (losses.double() * (places[part] < lengths)).sum(0)
    return sums.cpu().numpy()


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    block: list[str] = []
    size = 0
    for line in lines:
        block.append(line)
        size += len(line)
        if size >= _BLOCK or len(block) >= _LINES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _side_by_side(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of lines, those of similar length together; empty ones are left out."""
    rows: list[int] = []
    for row in sorted(filter(lengths.__getitem__, range(len(lengths))), key=lengths.__getitem__):
        if rows and (len(rows) == _ROWS or lengths[row] > 1.25 * lengths[rows[0]] + 8):
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows
