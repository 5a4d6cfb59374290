"""What each piece of an example did to its label: the example is read again without it.

Erasure (J. Li, W. Monroe and D. Jurafsky, "Understanding Neural Networks through Representation
Erasure", 2016, arXiv 1612.08220; for signals the occlusion of M. Zeiler and R. Fergus, 2014, arXiv
1311.2901). It asks the network itself, through all of its time steps, and needs no gradient, which
says little where gates are shut. A deletion test is what it is made of: what it calls important is
what changes the probability when it is gone.

Its limits: pieces are taken away one at a time, so two of which each would be enough by itself look
unimportant, and effects do not add up. A text without a letter is no text that training showed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from elman.tasks.classify.data.dataset import Catalogue, Dataset, pack

MOST, FEWEST = 200, 20
"""Pieces that a text is cut into at most: one of up to so many characters into each of them; and
one that is so long that reading it two hundred times would take minutes."""
_SEGMENTS, _LEAST, _VARIANTS = 40, 8, 400  # of a signal, by channel; in all channels together
_STEPS = 400_000  # time steps that are read to explain one example, about, unless it is very long


class Piece(NamedTuple):
    """Characters or time steps `start` to `stop`, without the last, from 0. channel: of a signal,
    0 for text. effect: how much it adds to the log-odds of the label, in nats; below 0 it speaks
    against it."""

    start: int
    stop: int
    channel: int
    effect: float


@dataclass(frozen=True)
class Explanation:
    """label: that is explained. probability: of it. pieces: in the order of the example. text: in
    which the pieces are counted, as the model reads it, which may be in other code points than the
    example; "" for a signal."""

    label: str
    probability: float
    pieces: tuple[Piece, ...]
    text: str = ""

    def letters(self, piece: Piece) -> str:
        """What a piece of a text is; "" for a signal."""
        return self.text[piece.start : piece.stop]

    def strongest(self, count: int) -> list[Piece]:
        """The pieces that did most, for or against."""
        return sorted(self.pieces, key=lambda piece: -abs(piece.effect))[:count]

    def to_json(self) -> dict[str, Any]:
        pieces = [
            {**piece._asdict(), **({"text": self.letters(piece)} if self.text else {})}
            for piece in self.pieces
        ]
        return {"label": self.label, "probability": self.probability, "pieces": pieces}


class Place(NamedTuple):
    """Where a piece is."""

    start: int
    stop: int
    channel: int


def places(encoded: np.ndarray, bounds: np.ndarray | None = None) -> list[Place]:
    """The pieces of an example: of a text, given as code points `(T,)`, what stands between
    `bounds` (its characters, if None), or of a signal `(T, C)` stretches of each channel."""
    steps, channels = len(encoded), encoded.shape[1] if encoded.ndim == 2 else 1
    if encoded.ndim == 2:
        most = max(_LEAST, min(_SEGMENTS, _VARIANTS // channels, _STEPS // (steps * channels)))
    else:
        most = max(FEWEST, min(MOST, _STEPS // steps))
    if bounds is None:
        bounds = np.arange(steps + 1)
    count = len(bounds) - 1
    chosen = np.linspace(0, count, min(most, count) + 1).round().astype(int)
    ends = bounds[chosen].tolist()
    return [
        Place(start, stop, channel) for channel in range(channels) for start, stop in pairwise(ends)
    ]


def around(place: Place, encoded: np.ndarray) -> Place:
    """What is taken away to learn what a piece does. Of a text the piece itself; of a signal an
    eighth of it, as what a signal shows is seldom as short as a piece, and its middle alone would
    come back as the line between its sides."""
    reach = len(encoded) // 16 if encoded.ndim == 2 else 0
    return Place(max(0, place.start - reach), min(len(encoded), place.stop + reach), place.channel)


def without(encoded: np.ndarray, taken: Sequence[Place]) -> np.ndarray:
    """The example without some pieces. Characters are deleted; values of a signal, which must keep
    its length, become the straight line between those beside them."""
    if encoded.ndim == 1:
        kept = np.ones(len(encoded), dtype=bool)
        for place in taken:
            kept[place.start : place.stop] = False
        return encoded[kept] if kept.any() else np.zeros(1, dtype=encoded.dtype)  # no text has it
    found: np.ndarray = encoded.copy()
    kept = np.ones(encoded.shape, dtype=bool)
    for place in taken:
        kept[place.start : place.stop, place.channel] = False
    for channel in {place.channel for place in taken}:
        steps = np.flatnonzero(kept[:, channel])
        if len(steps):
            values = encoded[steps, channel]
            found[:, channel] = np.interp(np.arange(len(found)), steps, values)
        else:  # nothing is left to draw a line between
            found[:, channel] = encoded[:, channel].mean()
    return found


def log_odds(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`(N,)` log(p / (1 - p)) of one label each, from `(N, K)` probabilities: also where p rounds
    to 1."""
    rows = np.arange(len(labels))
    others = np.maximum(probabilities, np.finfo(np.float64).tiny)
    own = others[rows, labels]
    others[rows, labels] = 0.0
    odds: np.ndarray = np.log(own) - np.log(others.sum(1))
    return odds


def groups(items: Sequence[np.ndarray], most: int) -> Iterator[range]:
    """Numbers of consecutive examples whose variants have some `most` time steps together."""
    start, steps = 0, 0
    for number, item in enumerate(items):
        size = len(places(item)) * len(item)
        if number > start and steps + size > most:
            yield range(start, number)
            start, steps = number, 0
        steps += size
    if len(items):
        yield range(start, len(items))


def explained(
    items: Sequence[np.ndarray],
    beside: np.ndarray,
    labels: np.ndarray | None,
    catalogue: Catalogue,
    probabilities_of: Callable[[Dataset], np.ndarray],
) -> list[Explanation]:
    """Some examples, read with all of their variants at once.

    items: code points of texts, or signals. beside: `(N, C)`. labels: `(N,)` to explain; None: the
    most probable ones.
    """
    tokens = catalogue.tokens
    pieces_of = [places(item, None if tokens is None else tokens.bounds(item)) for item in items]
    variants = [
        without(item, [around(place, item)])
        for item, its in zip(items, pieces_of, strict=True)
        for place in its
    ]
    whole = [item if tokens is None else tokens.encode(item) for item in (*items, *variants)]
    sizes = [len(its) for its in pieces_of]
    columns = np.concatenate([beside, np.repeat(beside, sizes, axis=0)])
    probabilities = probabilities_of(pack(whole, np.zeros(len(whole), dtype=np.int64), columns))
    if labels is None:
        labels = probabilities[: len(items)].argmax(1)
    odds = log_odds(probabilities, np.concatenate([labels, np.repeat(labels, sizes)]))
    pieces = iter(np.repeat(odds[: len(items)], sizes) - odds[len(items) :])
    return [
        Explanation(
            catalogue.target.labels[label], float(1 / (1 + np.exp(-odds[i]))),
            tuple(Piece(*place, float(next(pieces))) for place in its),
        )
        for i, (label, its) in enumerate(zip(labels, pieces_of, strict=True))
    ]  # fmt: skip
