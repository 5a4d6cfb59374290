"""Writing text with a model, one token at a time."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from elman.settings import check, setting
from elman.tasks.language.data.vocabulary import Vocabulary
from elman.tasks.language.model import LanguageModel

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

    def __post_init__(self) -> None:
        check(self, "sampling")

    def probabilities(self, logits: Tensor) -> Tensor:
        """`(V,)` float64 probabilities that are drawn from, those left out being zero."""
        logits = logits.double()
        if self.temperature == 0.0:
            return torch.nn.functional.one_hot(logits.argmax(), len(logits)).double()
        probabilities = torch.softmax(logits / self.temperature, dim=-1)
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


@torch.no_grad()
def tokens(
    model: LanguageModel, prompt: Tensor, sampling: Sampling, generator: torch.Generator
) -> Iterator[int]:
    """Endless tokens that follow `prompt` `(N,)`, N >= 1, which is read into the state first."""
    state = model.initial_state(1)
    logits, state = model(prompt[:, None], state)
    while True:
        probabilities = sampling.probabilities(logits[-1, 0]).cpu()
        token = torch.multinomial(probabilities, 1, generator=generator)
        yield int(token)
        logits, state = model(token[:, None].to(prompt.device), state)


def pieces(vocabulary: Vocabulary, numbers: Iterator[int], length: int) -> Iterator[str]:
    """The text of the first `length` tokens, in pieces as they become readable: bytes wait for the
    rest of their character."""
    if vocabulary.level == "char":
        for _ in range(length):
            yield vocabulary.decode([next(numbers)])
        return
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for _ in range(length):
        yield decoder.decode(bytes([next(numbers)]))
    yield decoder.decode(b"", final=True)


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
