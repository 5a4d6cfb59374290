r"""Missing characters, guessed from both sides by a model that reads forward.

The model gives every whole text a probability, and so the missing characters, given the rest:

.. math:: p(c \mid \text{left}, \text{right}) =
          \frac{p(\text{left}\, c\, \text{right})}{\sum_{c'} p(\text{left}\, c'\, \text{right})}

No second model is needed. With one missing character and a beam as wide as the vocabulary the sum
is exact; with several, or a narrower beam, it runs over those that a search keeps. The search
weighs its candidates by what follows a gap before it drops any, as far as the next gap or `_AHEAD`
steps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from elman.nest import Nest, apply
from elman.tasks.language.model import LanguageModel
from elman.tasks.language.use.generate import next_logits

BEAM = 128
_AHEAD = 64  # known tokens that candidates are weighed by at a time
_ROWS = 4096  # candidates at a time


@dataclass(frozen=True)
class Filled:
    """text: with its gaps filled. missing: what was put into them, in order. log_probability: of
    the whole text, in nats. probability: of this filling among those that were found."""

    text: str
    missing: str
    log_probability: float
    probability: float


@dataclass
class _Candidates:
    """Fillings side by side. last: `(B,)`, their newest token, which `state` has not read yet."""

    totals: Tensor
    chosen: Tensor
    last: Tensor
    state: Nest

    def keep(self, rows: Tensor) -> None:
        self.totals, self.chosen = self.totals[rows], self.chosen[rows]
        self.last = self.last[rows]
        self.state = apply(lambda leaf: leaf.index_select(0, rows), self.state)

    def best(self, count: int) -> None:
        """Keep so many of them, the best first."""
        self.keep(self.totals.topk(min(count, len(self.totals))).indices)


@torch.no_grad()
def fill(
    model: LanguageModel, start: int, tokens: Sequence[int | None], beam: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The likeliest fillings of a text whose missing tokens are None, the best first.

    start: the token that the text is read after.

    Returns:
        Their tokens `(K, G)`, for G gaps, and the log-probabilities of the whole text `(K,)`.
    """
    found = _Candidates(
        torch.zeros(1, dtype=torch.float64, device=device),
        torch.zeros(1, 0, dtype=torch.int64, device=device),
        torch.tensor([start], device=device),
        model.initial_state(1),
    )
    for piece in _stretches(tokens):
        if piece is None:
            _branch(model, found, beam)
        else:
            _weigh(model, found, torch.tensor(piece, device=device))
            found.best(beam)
    found.best(beam)
    return found.chosen, found.totals


def _stretches(tokens: Sequence[int | None]) -> Iterator[list[int] | None]:
    """None for each gap, and what is known between them, not too much at a time."""
    for missing, group in groupby(tokens, key=lambda token: token is None):
        if missing:
            yield from (None for _ in group)
            continue
        known = [token for token in group if token is not None]
        for begin in range(0, len(known), _AHEAD):
            yield known[begin : begin + _AHEAD]


def _branch(model: LanguageModel, found: _Candidates, beam: int) -> None:
    """Each candidate with each token in the gap. Between two gaps nothing but the model's guess
    tells candidates apart, so then they are dropped here."""
    found.best(beam)
    logits, found.state = next_logits(model, found.last[None], found.state)
    totals = (found.totals[:, None] + logits.double().log_softmax(1)).flatten()
    totals, places = totals.topk(min(len(totals), max(_ROWS, beam)))
    tokens = places % logits.shape[1]
    found.keep(places // logits.shape[1])
    found.totals, found.last = totals, tokens
    found.chosen = torch.cat([found.chosen, tokens[:, None]], 1)


def _weigh(model: LanguageModel, found: _Candidates, known: Tensor) -> None:
    """Read what is known, and add its log-probability."""
    labels = known[:, None].expand(-1, len(found.last))
    inputs = torch.cat([found.last[None], labels[:-1]])
    nats, found.state = model.nats(inputs, labels, found.state)
    found.totals = found.totals - nats.double().sum(0)
    found.last = labels[-1]
