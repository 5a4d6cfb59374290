"""Writing text with a model, one token at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from elman.nest import Nest
from elman.settings import check, setting
from elman.tasks.language.data.vocabulary import Vocabulary
from elman.tasks.language.model import LanguageModel
from elman.tasks.language.settings import ScoringSettings
from elman.tasks.language.use.allowed import Allowed

LENGTH = 500
"""Tokens that are written where nobody says how many."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is drawn from the model's distribution.

    Raises:
        ArgumentError: a field out of its range.
    """

    temperature: float = setting(
        0.8, "below 1 safer, above 1 wilder, 0 the likeliest token each time", minimum=0.0
    )
    top_k: int | None = setting(None, "draw from the K likeliest tokens only", minimum=1)
    top_p: float | None = setting(
        None, "draw from the likeliest tokens that together reach P", above=0.0, maximum=1.0
    )
    min_p: float | None = setting(
        None, "draw from tokens at least P times as likely as the likeliest", above=0.0, maximum=1.0
    )
    allow: str | None = setting(
        None,
        "write only characters of this class, as between the brackets of a regular expression, "
        r"such as 'a-z .,' or '\w\s'",
        metavar="CLASS",
    )

    def __post_init__(self) -> None:
        check(self, "sampling")

    def probabilities(self, logits: Tensor) -> Tensor:
        """`(V,)` float64 probabilities that are drawn from, those left out being zero."""
        logits = logits.double()
        if self.temperature == 0.0:
            return torch.nn.functional.one_hot(logits.argmax(), len(logits)).double()
        # The largest is 0 then, so that no temperature is too low to divide by.
        probabilities = torch.softmax((logits - logits.max()) / self.temperature, dim=-1)
        ordered, order = probabilities.sort(descending=True, stable=True)
        keep = torch.ones_like(ordered, dtype=torch.bool)
        if self.top_k is not None:
            keep[self.top_k :] = False
        if self.top_p is not None:
            keep &= ordered.cumsum(0) - ordered < self.top_p
        if self.min_p is not None:
            keep &= ordered >= self.min_p * ordered[0]
        kept = torch.zeros_like(probabilities).index_put((order[keep],), ordered[keep])
        return kept / kept.sum()


def start_tokens(vocabulary: Vocabulary, prompt: Tensor) -> Tensor:
    """What a model reads before it writes or scores: the prompt, or without one a line break, as
    if a new line began (the first character of the vocabulary if it has no line break)."""
    if len(prompt):
        return prompt
    known = vocabulary.encode("\n", unknown="skip")
    return torch.tensor([int(known[0]) if len(known) else 0])


class Writer:
    """A model that reads and writes one text, its state carried on from call to call.

    log_probability: of what was written, in nats, under the model itself: at temperature 1, with
    nothing left out. written: its tokens.
    """

    def __init__(
        self, model: LanguageModel, vocabulary: Vocabulary, device: torch.device, seed: int | None
    ) -> None:
        self._model, self._vocabulary, self._device = model, vocabulary, device
        self._generator = torch.Generator()
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)
        self.reset()

    def reset(self) -> None:
        """Forget all that was read and written."""
        self._state = self._model.initial_state(1)
        self._unread: list[Tensor] = []
        self._logits: Tensor | None = None
        self.log_probability, self.written = 0.0, 0

    def read(self, text: str, unknown: str = ScoringSettings.unknown) -> None:
        """Go on from a text.

        Raises:
            ArgumentError: characters that the model does not know, unless unknown is "skip".
        """
        tokens = torch.from_numpy(self._vocabulary.encode(text, unknown))
        if len(tokens):
            self._unread.append(tokens)

    def write(self, length: int, sampling: Sampling) -> Iterator[str]:
        """The text of `length` tokens, in pieces as characters become whole; one that is begun is
        finished. What nothing came before is written as if a new line began."""
        return self._written(length, sampling, Allowed(self._vocabulary, sampling.allow))

    def _written(self, length: int, sampling: Sampling, allowed: Allowed) -> Iterator[str]:
        pending, done = b"", 0
        while done < length or pending:
            logits = self._next_logits()
            probabilities = sampling.probabilities(allowed.restrict(logits, pending)).cpu()
            token = torch.multinomial(probabilities, 1, generator=self._generator)
            self.log_probability += float(logits.double().log_softmax(0)[int(token)])
            self.written += 1
            self._unread.append(token)
            done += 1
            text, pending = allowed.append(pending, int(token))
            yield text

    def _next_logits(self) -> Tensor:
        """`(V,)` scores of the next token."""
        if self._logits is None and not self._unread:
            self._unread.append(start_tokens(self._vocabulary, torch.tensor([], dtype=torch.int64)))
        if self._unread or self._logits is None:
            tokens = torch.cat(self._unread).to(self._device)
            logits, self._state = next_logits(self._model, tokens[:, None], self._state)
            self._unread, self._logits = [], logits[0]
        return self._logits


@torch.no_grad()
def next_logits(model: LanguageModel, tokens: Tensor, state: Nest) -> tuple[Tensor, Nest]:
    """Scores `(B, V)` of what follows tokens `(T, B)`, and the state after them."""
    features, state = model.features(tokens, state)
    return functional.linear(features[-1], *model.read_out()), state


def until(parts: Iterator[str], stop: str | None) -> Iterator[str]:
    """The parts up to and without `stop`; what may yet become `stop` is held back."""
    if not stop:
        yield from parts
        return
    held = ""
    for part in parts:
        held += part
        if stop in held:
            yield held[: held.index(stop)]
            return
        safe = len(held) - _overlap(held, stop)
        yield held[:safe]
        held = held[safe:]
    yield held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that `stop` begins with."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if stop.startswith(text[-n:])), 0)
