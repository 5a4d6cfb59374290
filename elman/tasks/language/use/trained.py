"""A trained language model in use."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from elman.errors import ArgumentError
from elman.settings import build
from elman.tasks.language.data.vocabulary import Vocabulary
from elman.tasks.language.model import LanguageModel
from elman.tasks.language.settings import LineSettings, ScoringSettings
from elman.tasks.language.use import score
from elman.tasks.language.use.allowed import Allowed
from elman.tasks.language.use.beam import BeamSettings, Continuation, search
from elman.tasks.language.use.generate import LENGTH, Sampling, Writer, start_tokens, until
from elman.tasks.language.use.infill import BEAM, Filled, fill
from elman.tasks.language.use.lines import LineScore, score_lines
from elman.tasks.shared.trained import Trained


@dataclass(frozen=True)
class Evaluation:
    """A text scored in two ways.

    carried: in one pass, the state carried from start to end.
    windows: over consecutive windows of `window` tokens, each from the first state. notes: what the
    user should know about the text.
    """

    carried: score.Loss
    windows: score.Loss
    window: int
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "carried": self.carried.to_json(),
            "windows": {"window": self.window, **self.windows.to_json()},
        }


class TrainedLanguage(Trained[LanguageModel]):
    """What `elman.load` returns for a language run.

    model: the network, in evaluation mode. vocabulary: the characters that it knows.
    """

    def __init__(
        self,
        model: LanguageModel,
        vocabulary: Vocabulary,
        validation: np.ndarray | None = None,
    ) -> None:
        super().__init__(model)
        self.vocabulary = vocabulary
        self._validation = validation

    def generate(
        self,
        prompt: str = "",
        length: int = LENGTH,
        *,
        temperature: float = Sampling.temperature,
        top_k: int | None = Sampling.top_k,
        top_p: float | None = Sampling.top_p,
        min_p: float | None = Sampling.min_p,
        allow: str | None = Sampling.allow,
        stop: str | None = None,
        seed: int | None = None,
        unknown: str = ScoringSettings.unknown,
    ) -> str:
        """`length` characters (or bytes) that follow `prompt`; the prompt is not repeated.

        The state is warmed up on the whole prompt; without one, on a line break. Bytes always make
        whole characters: the last one is finished.

        Args:
            temperature, top_k, top_p, min_p, allow: see `Sampling`.
            stop: end before this text appears.
            seed: the same seed gives the same text; None draws one.
            unknown: "error", or "skip" to leave out prompt characters that the model does not know.

        Raises:
            ArgumentError: unknown characters in the prompt, or a setting out of range.
        """
        sampling = Sampling(
            temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, allow=allow
        )
        return "".join(self.stream(prompt, length, sampling, stop, seed, unknown))

    def stream(
        self,
        prompt: str,
        length: int,
        sampling: Sampling,
        stop: str | None = None,
        seed: int | None = None,
        unknown: str = ScoringSettings.unknown,
    ) -> Iterator[str]:
        """`generate`, piece by piece as the characters are made."""
        _require_length(length)
        writer = self.writer(seed)
        writer.read(prompt, unknown)
        return until(writer.write(length, sampling), stop)

    def writer(self, seed: int | None = None) -> Writer:
        """For reading and writing in turns, such as a conversation, the state carried on."""
        return Writer(self.model, self.vocabulary, self.device, seed)

    def beam_search(
        self,
        prompt: str = "",
        length: int = LENGTH,
        *,
        beam: int = 8,
        length_penalty: float = BeamSettings.length_penalty,
        allow: str | None = None,
        stop: str | None = None,
        unknown: str = ScoringSettings.unknown,
    ) -> list[Continuation]:
        """The likeliest continuations of `prompt` that a search with `beam` of them at a time
        finds, the best first. Each has `length` tokens, or ends before `stop`; see `beam`."""
        settings = build(
            BeamSettings, {"beam": beam, "length_penalty": length_penalty}, "beam_search"
        )
        _require_length(length)
        known = torch.from_numpy(self.vocabulary.encode(prompt, unknown))
        start = start_tokens(self.vocabulary, known).to(self.device)
        allowed = Allowed(self.vocabulary, allow)
        return search(self.model, start, length, settings, allowed, stop)

    def infill(self, text: str, gap: str = "_", *, beam: int = BEAM) -> list[Filled]:
        """The likeliest ways to fill the gaps of a text, the best first, at most `beam`.

        What stands on both sides of a gap counts; see `infill`. The text is read as if a new line
        began.

        Args:
            gap: the character that stands for one missing character each.
            beam: fillings that the search keeps; with one gap and all characters, nothing is lost.

        Raises:
            ArgumentError: no gap, unknown characters, or a model of bytes.
        """
        if self.vocabulary.level != "char":
            raise ArgumentError(
                f"infill needs a model of characters, but this one is of {self.vocabulary.unit}s; "
                f"train one with --level char"
            )
        if len(gap) != 1 or gap not in text:
            raise ArgumentError(
                f"gap must be one character that stands in the text for each missing one, got "
                f"{gap!r}; choose another with --gap, or put it into the text"
            )
        if beam < 1:
            raise ArgumentError(f"beam must be at least 1, got {beam}")
        known = iter(self.vocabulary.encode(text.replace(gap, "")).tolist())
        tokens = [None if character == gap else next(known) for character in text]
        start = int(start_tokens(self.vocabulary, torch.tensor([], dtype=torch.int64))[-1])
        chosen, totals = fill(self.model, start, tokens, beam, self.device)
        shares = totals.softmax(0).tolist()
        return [
            Filled(_filled(text, gap, missing), missing, total, share)
            for missing, total, share in zip(
                map(self.vocabulary.decode, chosen.tolist()), totals.tolist(), shares, strict=True
            )
        ]

    def evaluate(
        self,
        text: str | None = None,
        *,
        window: int = ScoringSettings.window,
        unknown: str = ScoringSettings.unknown,
    ) -> Evaluation:
        """Loss on a text, or on the validation part of the run's own text.

        Raises:
            ArgumentError: characters that the model does not know (unless unknown="skip"), or no
                text given and none kept.
            DataError: fewer than two tokens.
        """
        build(ScoringSettings, {"window": window, "unknown": unknown}, "evaluate")
        if text is not None:
            tokens = self.vocabulary.encode(text, unknown)
        elif self._validation is not None:
            tokens = self._validation
        else:
            raise ArgumentError("this run keeps no text of its own; give the text to evaluate")
        vocabulary, device = self.vocabulary, self.device
        return Evaluation(
            carried=score.carried(self.model, tokens, device, vocabulary),
            windows=score.in_windows(self.model, tokens, device, vocabulary, window),
            window=window,
        )

    def score(self, text: str, *, unknown: str = ScoringSettings.unknown) -> torch.Tensor:
        """`(N,)` nats, `-log p(character | all before it)`, one for each token of the text.

        The first is judged as if a line break stood before it, as `generate` does without a prompt.
        """
        tokens = torch.from_numpy(self.vocabulary.encode(text, unknown))
        if not len(tokens):
            return torch.zeros(0)
        start = start_tokens(self.vocabulary, tokens[:0])
        return score.token_losses(self.model, torch.cat([start, tokens]), self.device)

    def score_lines(
        self, lines: Iterable[str], *, unknown: str = LineSettings.unknown
    ) -> Iterator[LineScore]:
        """How well each line is predicted, in order; any number of lines, in constant memory.

        A line is judged as if a line break stood before it; its own end is not scored.

        Args:
            lines: without their ends.
            unknown: what characters that the model does not know do: "impossible" makes the line's
                nats infinite, "skip" leaves them out, "error" raises `ArgumentError`.
        """
        build(LineSettings, {"unknown": unknown}, "score_lines")
        return score_lines(self.model, self.vocabulary, lines, self.device, unknown)


def _require_length(length: int) -> None:
    if length < 0:
        raise ArgumentError(f"length must be 0 or more, got {length}")


def _filled(text: str, gap: str, missing: str) -> str:
    """The text with the missing characters in place of its gaps."""
    characters = iter(missing)
    return "".join(next(characters) if one == gap else one for one in text)
