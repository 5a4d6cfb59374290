"""Several labels of an example, or none: multi-label classification."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.targets.base import (
    Objective,
    Overlap,
    Place,
    Prediction,
    Target,
    damaged,
    nowhere,
    refuse_setting,
)
from elman.tasks.classify.targets.calibration import fit_temperature
from elman.tasks.classify.targets.one_label import Guess
from elman.tasks.classify.targets.several_evaluation import SeveralEvaluation, micro_f1
from elman.tasks.classify.targets.twins import twins
from elman.tasks.shared.table import listing, shown

SEPARATORS = "|;,"
_ENOUGH = 100  # validation examples from which on they tell which threshold is better
_THRESHOLDS = np.linspace(0.05, 0.95, 91)
_EVEN = 0.5
_ITEM = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^,'"\[\]{}()]+?))\s*(,|$)""")


def listed(text: str) -> list[str] | None:
    """The labels of a list that JSON or Python wrote, ["a", "b"] or ['a', 'b']; None for what is no
    such list."""
    if text[:1] not in "[{(" or text[-1:] not in "]})" or len(text) < 2:
        return None
    found = _json_list(text)
    return _python_list(text[1:-1]) if found is None else found


def _json_list(text: str) -> list[str] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or not all(type(item) in (str, int, float) for item in found):
        return None
    return [str(item).strip() for item in found]


def _python_list(inside: str) -> list[str] | None:
    found, place = [], 0
    while inside[place:].strip():
        item = _ITEM.match(inside, place)
        if item is None:
            return None
        single, double, bare, _ = item.groups()
        quoted = single if single is not None else double
        found.append(bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        place = item.end()
    return [label.strip() for label in found]


def separator_of(names: Iterable[str]) -> str | None:
    """What stands between the labels of one answer, if that is clear: their pieces come again in
    other answers. A comma or semicolon is often part of one label, so some pieces must be labels by
    themselves."""
    every = set(names)
    return next((sign for sign in SEPARATORS if _joined(every, sign)), None)


def _joined(names: set[str], separator: str) -> bool:
    pieces = {name: set(_pieces(name, separator)) for name in names}
    joined = [name for name in names if len(pieces[name]) > 1]
    counts = Counter(piece for found in pieces.values() for piece in found)
    clear = [name for name in joined if all(counts[piece] > 1 for piece in pieces[name])]
    alone = separator == "|" or any(pieces[name] & names for name in clear)
    return alone and len(clear) >= max(2, len(joined) / 2)


def _pieces(text: str, separator: str) -> list[str]:
    return [piece.strip() for piece in text.split(separator) if piece.strip()]


def _one_form(labels: Iterable[str]) -> str:
    return json.dumps(sorted(set(labels)), ensure_ascii=False)


@dataclass(frozen=True)
class SeveralLabels(Target):
    """The model gives a score for each of K labels; its probability is sigmoid(score / T), whatever
    the others are. It says those whose probability reaches a threshold, the same for all labels:
    the one with the best micro F1 on a validation part of at least 100 examples, else one half.

    An answer is a JSON list of labels in their order, which may be empty. names: in the order of
    the outputs. counts: how many training examples have each. examples: training examples.
    """

    name = "labels"
    loss_name = "nats per label"
    highlights = ("micro_f1", "macro_f1")
    in_python = "a list of str"
    calibrated = 2  # log T, and the threshold

    names: tuple[str, ...]
    counts: tuple[int, ...]
    examples: int

    @classmethod
    def read(
        cls, written: Sequence[str], place: Place, settings: ClassifySettings
    ) -> tuple[list[str], list[str]]:
        names = {text for text in written if text and listed(text) is None}
        separator = separator_of(names)
        if separator is None:  # not clear, but asked for
            separator = next((s for s in SEPARATORS if any(s in name for name in names)), "|")
        answers = []
        for number, text in enumerate(written):
            labels = listed(text)
            labels = _pieces(text, separator) if labels is None else labels
            if "" in labels:
                raise DataError(
                    f"{place(number)}: a label in {shown(text)} is empty; write it, or leave it out"
                )
            answers.append(_one_form(labels) if text else "")
        every = {label for answer in set(answers) if answer for label in json.loads(answer)}
        notes = [f"labels of an example stand between {separator!r}"] if names else []
        return answers, [*notes, *twins(every)]

    @classmethod
    def strata(cls, answers: Sequence[str]) -> np.ndarray:
        """By the rarest label of each, so that every part gets its share of rare ones."""
        sets = [json.loads(answer) for answer in answers]
        counts = Counter(label for found in sets for label in found)
        order = {label: i for i, label in enumerate(sorted(counts, key=lambda x: (counts[x], x)))}
        return np.array([min((order[label] for label in found), default=-1) for found in sets])

    @classmethod
    def divided(cls, training: Sequence[str], others: Mapping[str, Sequence[str]]) -> list[str]:
        counts = _counted(training)
        if not counts:
            raise DataError(
                "a classifier needs examples with labels, got none; name another --label-column"
            )
        always = sorted(label for label, count in counts.items() if count == len(training))
        if len(always) == len(counts):
            raise DataError(
                f"all examples have the same labels, {listing(always)}; nothing can be learnt of "
                f"them, so give others, or name another --label-column"
            )
        for words, answers in others.items():
            if strange := sorted(set(_counted(answers)) - set(counts)):
                raise DataError(
                    f"the {words} part has labels that the training part never shows: "
                    f"{listing(strange)}; add examples of them, or leave them out"
                )
        notes = []
        if missing := sorted(set(counts) - set(_counted(others["test"]))):
            notes.append(
                f"too few examples to test: {listing(missing)} (no example in the test part; macro "
                f"F1 is the mean over the other labels)"
            )
        if single := sorted(label for label, count in counts.items() if count == 1):
            notes.append(f"one example only to learn from: {listing(single)}")
        return notes

    @classmethod
    def of(cls, training: Sequence[str], settings: ClassifySettings) -> Self:
        refuse_setting(settings, ("label_smoothing",), "several labels")
        counts = _counted(training)
        names = tuple(sorted(counts))
        return cls(names, tuple(counts[name] for name in names), len(training))

    @property
    def outputs(self) -> int:
        return len(self.names)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.names

    @property
    def described(self) -> str:
        each = sum(self.counts) / self.examples
        return f"{len(self.names)} labels, {each:.2g} of them for each example"

    def encode(self, answers: Sequence[str], place: Place = nowhere) -> np.ndarray:
        """`(N, K)` uint8: 1 for a label that the example has."""
        number = {label: i for i, label in enumerate(self.names)}
        sets = [self._split(answer) for answer in answers]
        if strange := sorted({label for found in sets for label in found} - set(number)):
            raise DataError(
                f"the data has labels that training never showed: {listing(strange)}; leave "
                f"them out, or train with examples of them (known are {listing(self.names)})"
            )
        encoded = np.zeros((len(sets), len(self.names)), dtype=np.uint8)
        for row, found in enumerate(sets):
            encoded[row, [number[label] for label in found]] = 1
        return encoded

    def _split(self, answer: str) -> list[str]:
        """By the first separator that leaves nothing but known labels."""
        if (found := listed(answer)) is not None:
            return found
        known = set(self.names)
        ways = [[answer], *(_pieces(answer, sign) for sign in SEPARATORS)]
        return next((way for way in ways if known.issuperset(way)), ways[0])

    def fits(self, encoded: np.ndarray) -> bool:
        return (
            encoded.dtype == np.uint8
            and encoded.shape[1:] == (len(self.names),)
            and bool((encoded <= 1).all())
        )

    @classmethod
    def written(cls, answer: object) -> str | None:
        """A list or set of labels, or one label."""
        if isinstance(answer, list | tuple | set | frozenset) and all(
            isinstance(label, str) for label in answer
        ):
            return _one_form(answer)
        return super().written(answer)

    def objective(self, training: np.ndarray, settings: ClassifySettings) -> Objective:
        power = {"none": 0.0, "root": 0.5, "balanced": 1.0}[settings.class_weights]
        have = np.maximum(training.sum(0, dtype=np.int64), 1)
        weights = torch.from_numpy((np.maximum(len(training) - have, 1) / have) ** power).float()

        def losses(outputs: Tensor, answers: Tensor) -> Tensor:
            return F.binary_cross_entropy_with_logits(
                outputs, answers.to(outputs.dtype), reduction="none",
                pos_weight=weights.to(outputs.device),
            ).mean(1)  # fmt: skip

        return losses

    def calibrate(self, outputs: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """The temperature is that of all decisions, have it or not, as of two labels."""
        pairs = np.stack([np.zeros(outputs.size), outputs.ravel()], axis=1)
        temperature = fit_temperature(pairs, answers.ravel().astype(np.int64))
        found = np.array([np.log(temperature), _EVEN])
        if len(answers) >= _ENOUGH:
            probabilities = self._probabilities(outputs, found)
            scores = [micro_f1(probabilities >= level, answers) for level in _THRESHOLDS]
            found[1] = _middle_of_best(np.array(scores))
        return found

    def _probabilities(self, outputs: np.ndarray, calibration: np.ndarray) -> np.ndarray:
        scaled = outputs.astype(np.float64) / np.exp(calibration[0])
        found: np.ndarray = 0.5 * (1 + np.tanh(scaled / 2))
        return found

    def said(self, outputs: np.ndarray, calibration: np.ndarray) -> np.ndarray:
        """`(N, K + 1)` probabilities, and the threshold as the last column."""
        threshold = np.full((len(outputs), 1), calibration[1])
        return np.concatenate([self._probabilities(outputs, calibration), threshold], axis=1)

    def record(
        self, outputs: np.ndarray, said: np.ndarray, answers: np.ndarray, calibration: np.ndarray
    ) -> dict[str, Any]:
        found = self.evaluation(said, answers)
        return {
            "valid_loss": found.log_loss,
            "micro_f1": found.micro_f1,
            "macro_f1": found.macro_f1,
            "subset_accuracy": found.subset_accuracy,
            "temperature": float(np.exp(calibration[0])),
            "threshold": float(calibration[1]),
        }

    def evaluation(
        self,
        said: np.ndarray,
        answers: np.ndarray,
        notes: Sequence[str] = (),
        training: Overlap | None = None,
    ) -> SeveralEvaluation:
        shares = np.array(self.counts) / self.examples
        return SeveralEvaluation.of(
            said[:, :-1], said[:, -1:], answers, self.names, shares, notes, training
        )

    def predictions(self, said: np.ndarray, top: int | None) -> list[list[Guess]]:
        """The labels that reach the threshold, the most probable first; or the `top` most probable
        ones, whether they do or not."""
        if top is not None and top < 1:
            raise ArgumentError(f"top must be at least 1, got {top}")
        found = []
        for row in said:
            best = np.argsort(-row[:-1], kind="stable")
            chosen = best[:top] if top else best[row[best] >= row[-1]]
            found.append([Guess(self.names[i], float(row[i])) for i in chosen])
        return found

    def columns(self, top: int | None) -> list[str]:
        return ["labels", "probabilities"]

    def shown(self, prediction: list[Guess] | None, top: int | None) -> Prediction:
        guesses = prediction or []
        cells = [cell for label, p in guesses for cell in (label, f"{p:6.1%}")]
        if prediction is not None and not guesses:
            cells = ["(no label)"]
        return Prediction(
            cells,
            ["", ""]
            if prediction is None
            else [
                json.dumps([label for label, _ in guesses], ensure_ascii=False),
                json.dumps([round(p, 6) for _, p in guesses]),
            ],
            {"labels": [guess._asdict() for guess in guesses]},
        )

    @property
    def test_columns(self) -> tuple[str, ...]:
        return "labels", "predicted", "probabilities", "wrong"

    def test_rows(self, said: np.ndarray, answers: np.ndarray) -> list[tuple[str, ...]]:
        found = []
        for guesses, row in zip(self.predictions(said, None), answers, strict=True):
            right = [self.names[i] for i in np.flatnonzero(row)]
            names = {guess.label for guess in guesses}
            fields = self.shown(guesses, None).fields
            found.append((_one_form(right), *fields, str(len(names ^ set(right)))))
        return found

    def worst(self, said: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Those with a wrong label, the largest loss first."""
        chances = np.where(answers, said[:, :-1], 1 - said[:, :-1])
        losses = -np.log(np.maximum(chances, np.finfo(np.float64).eps)).sum(1)
        wrong = np.flatnonzero(((said[:, :-1] >= said[:, -1:]) != answers).any(1))
        return wrong[np.argsort(-losses[wrong], kind="stable")]

    def to_json(self) -> dict[str, Any]:
        return {
            "labels": list(self.names), "counts": list(self.counts), "examples": self.examples
        }  # fmt: skip

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        labels, counts, examples = kept.get("labels"), kept.get("counts"), kept.get("examples")
        if (
            not isinstance(labels, list) or not isinstance(counts, list)
            or type(examples) is not int
            or not all(type(label) is str for label in labels)
            or not all(type(count) is int and 0 <= count <= examples for count in counts)
            or not 1 <= len(labels) == len(counts) == len(set(labels))
            or examples < 1
        ):  # fmt: skip
            raise damaged("labels, their counts, and how many examples have them")
        return cls(tuple(labels), tuple(counts), examples)


def _counted(answers: Sequence[str]) -> Counter[str]:
    return Counter(label for answer in answers for label in json.loads(answer))


def _middle_of_best(scores: np.ndarray) -> float:
    """The threshold in the middle of the first run of those with the best score: an end of it is
    one example away from a worse one."""
    best = np.flatnonzero(scores == scores.max())
    run = best[: 1 + int(np.argmin(np.diff(best, append=len(scores) + 9) == 1))]
    return float(_THRESHOLDS[run[len(run) // 2]])
