"""Beam search: the likeliest continuations of a text, instead of one that is drawn."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from elman.nest import Nest, apply
from elman.settings import check, setting
from elman.tasks.language.model import LanguageModel
from elman.tasks.language.use.allowed import Allowed
from elman.tasks.language.use.generate import next_logits


@dataclass(frozen=True, kw_only=True)
class BeamSettings:
    """Raises:
    ArgumentError: a field out of its range.
    """

    beam: int = setting(8, "search for the likeliest text, with K at a time", minimum=1)
    length_penalty: float = setting(
        1.0,
        "beam search, where texts end at --stop: they are compared by their log-probability "
        "divided by their length to this power; 0 favours short ones",
        minimum=0.0,
    )

    def __post_init__(self) -> None:
        check(self, "beam search")

    def score(self, log_probability: float, tokens: int) -> float:
        r"""What texts of several lengths are compared by (Y. Wu et al., "Google's neural machine
        translation system", 2016, with a plain power):

        .. math:: \log p / n^\alpha
        """
        return log_probability / float(max(tokens, 1) ** self.length_penalty)


@dataclass(frozen=True)
class Continuation:
    """text: what follows the prompt, up to and without the stop text. log_probability: in nats, of
    all `tokens`, those of the stop text too, under the model with nothing left out."""

    text: str
    log_probability: float
    tokens: int


@dataclass(frozen=True)
class _Live:
    """One that still grows. pending: the first bytes of its next character."""

    text: str = ""
    pending: bytes = b""
    log_probability: float = 0.0
    tokens: int = 0

    def ended(self, length: int, stop: str | None) -> Continuation | None:
        if stop and stop in self.text:
            text = self.text[: self.text.index(stop)]
        elif self.tokens >= length and not self.pending:
            text = self.text
        else:
            return None
        return Continuation(text, self.log_probability, self.tokens)


@dataclass
class _Ended:
    """The best texts that have ended, as many as the beam is wide, the best first."""

    settings: BeamSettings
    found: list[Continuation] = field(default_factory=list)

    def add(self, one: Continuation) -> None:
        self.found.append(one)
        self.found.sort(key=self._score, reverse=True)
        del self.found[self.settings.beam :]

    def can_change(self, live: list[_Live], length: int) -> bool:
        """Whether one that still grows may yet be among the best: its log-probability only falls,
        so that it would at best be as likely as now when it is as long as may be."""
        if not live or len(self.found) < self.settings.beam:
            return bool(live)
        longest = length + 3  # a character of four bytes may be finished
        best = max(self.settings.score(one.log_probability, longest) for one in live)
        return best > self._score(self.found[-1])

    def _score(self, one: Continuation) -> float:
        return self.settings.score(one.log_probability, one.tokens)


def search(
    model: LanguageModel,
    prompt: Tensor,
    length: int,
    settings: BeamSettings,
    allowed: Allowed,
    stop: str | None = None,
) -> list[Continuation]:
    """At most `beam` continuations of tokens `(N,)`, N >= 1, of `length` tokens each (and of what
    finishes their last character), or ended by the stop text; the best first."""
    ended, live = _Ended(settings), [_Live()]
    if length == 0:
        return [Continuation("", 0.0, 0)]
    logits, state = next_logits(model, prompt[:, None], model.initial_state(1))
    while True:
        live, rows, tokens = _grown(live, logits, allowed, settings.beam, ended, length, stop)
        if not ended.can_change(live, length):
            return ended.found
        chosen = torch.tensor(rows, device=prompt.device)
        state = _of_rows(state, chosen)
        newest = torch.tensor(tokens, device=prompt.device)[None]
        logits, state = next_logits(model, newest, state)


def _grown(
    live: list[_Live],
    logits: Tensor,
    allowed: Allowed,
    width: int,
    ended: _Ended,
    length: int,
    stop: str | None,
) -> tuple[list[_Live], list[int], list[int]]:
    """The best `width` continuations that have not ended, the row each comes from, its token.

    Of 2 `width` candidates, so that those that end leave enough others.
    """
    own = [one.log_probability for one in live]
    so_far = torch.tensor(own, dtype=torch.float64, device=logits.device)
    totals = so_far[:, None] + logits.double().log_softmax(1)  # (B, V)
    for row, one in enumerate(live):
        totals[row] = allowed.restrict(totals[row], one.pending)
    count = min(2 * width, int(totals.isfinite().sum()))
    best, places = totals.flatten().topk(count)
    grown: list[_Live] = []
    rows: list[int] = []
    tokens: list[int] = []
    for total, place in zip(best.tolist(), places.tolist(), strict=True):
        row, token = divmod(place, totals.shape[1])
        text, pending = allowed.append(live[row].pending, token)
        one = _Live(live[row].text + text, pending, total, live[row].tokens + 1)
        if (whole := one.ended(length, stop)) is not None:
            ended.add(whole)
        elif len(grown) < width:
            grown.append(one)
            rows.append(row)
            tokens.append(token)
    return grown, rows, tokens


def _of_rows(state: Nest, rows: Tensor) -> Nest:
    return apply(lambda leaf: leaf.index_select(0, rows), state)
