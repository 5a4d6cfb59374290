"""Examples as numbers on disk, encoded once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from elman.errors import ArgumentError, DataError, RunError
from elman.tasks.classify.data.examples import PARTS, Examples, Item, short
from elman.tasks.classify.data.gaps import Gaps, trimmed
from elman.tasks.classify.data.inputs import PLAIN, Inputs, Place, nowhere
from elman.tasks.classify.data.scale import Scale
from elman.tasks.classify.data.split import TRAIN
from elman.tasks.classify.data.tokens import Tokens, from_json
from elman.tasks.classify.targets import kinds
from elman.tasks.classify.targets.base import Target
from elman.tasks.shared.arrays import are_lengths, read_arrays, write_arrays
from elman.tasks.shared.characters import code_points

FILE = "examples.safetensors"
_LONGEST = 1 << 32


@dataclass(frozen=True)
class Catalogue:
    """What a model knows: what it may answer, and the tokens or channels of its input.

    target: the kind of its answers, with all that was learnt of them. tokens: what a text is read
    as; None for signals. channels: of a signal, 0 for text. length: of signals, the median. scale,
    gaps: of signals, None for text.
    """

    target: Target
    tokens: Tokens | None = None
    channels: int = 0
    length: int = 0
    scale: Scale | None = None
    gaps: Gaps | None = None
    inputs: Inputs = PLAIN

    @property
    def features(self) -> int:
        """Values at each time step of an encoded signal: its channels, and those that tell gaps."""
        return self.gaps.channels if self.gaps else self.channels

    def encode(self, item: Item) -> np.ndarray:
        """The numbers of one example: of a text those of its `tokens`, of a signal `(T, C)`
        float32.

        Raises:
            ArgumentError: empty, of the other kind, of another number of channels, not finite, or
                too far from what training showed.
        """
        if isinstance(item, str):
            if self.tokens is None:
                raise ArgumentError(
                    f"this model classifies signals (T, {self.channels}), got text {short(item)!r}"
                )
            if not item:
                raise ArgumentError("at least one character was expected, got an empty string")
            return self.tokens.encode(code_points(item))
        if self.tokens is not None:
            raise ArgumentError(f"this model classifies strings, got {type(item).__name__}")
        try:
            signal = np.asarray(item, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ArgumentError(
                f"numbers (T, {self.channels}) were expected, but {error}"
            ) from None
        if signal.ndim != 2 or signal.shape[1] != self.channels or not len(signal):
            raise ArgumentError(
                f"this model classifies signals (T, {self.channels}), got shape {signal.shape}"
            )
        if np.isinf(signal).any():
            raise ArgumentError(
                "finite numbers were expected, or NaN for missing ones, got infinity; correct it"
            )
        if not len(signal := trimmed(signal)):
            raise ArgumentError("at least one number was expected, but all values are missing")
        filled = self.gaps.fill(signal) if self.gaps else signal
        neutral = Scale((0.0,) * self.features, (1.0,) * self.features)
        return (self.scale or neutral).apply(filled)

    def to_json(self) -> dict[str, Any]:
        fields = {
            "target": kinds.to_json(self.target),
            "channels": self.channels,
            "length": self.length,
            "inputs": self.inputs.to_json(),
        }
        own = {"tokens": self.tokens, "scale": self.scale, "gaps": self.gaps}
        return {**fields, **{name: part.to_json() for name, part in own.items() if part}}

    @classmethod
    def from_json(cls, value: object) -> "Catalogue":
        """Raises `RunError` unless the value is what `to_json` gives."""
        fields = value if isinstance(value, dict) else {}
        channels, length = fields.get("channels"), fields.get("length")
        if (
            type(channels) is not int
            or channels < 0
            or type(length) is not int
            or not 0 <= length < _LONGEST
        ):
            raise RunError(
                "vocabulary.json must hold a target, channels and length; restore it or train anew"
            )
        target = kinds.from_json(fields.get("target"))
        inputs = Inputs.from_json(fields.get("inputs"))
        if not channels:
            return cls(target, from_json(fields.get("tokens")), inputs=inputs)
        gaps = Gaps.from_json(fields.get("gaps"), channels)
        scale = Scale.from_json(fields.get("scale"), gaps.channels)
        return cls(target, None, channels, length, scale, gaps, inputs)


@dataclass(frozen=True)
class Dataset:
    """Encoded examples, one after another.

    values: `(sum of lengths,)` or `(sum of lengths, C)` numbers of tokens, or `(sum of lengths, C)`
    signal values. offsets: `(N + 1,)`; example i is values[offsets[i] : offsets[i + 1]]. labels:
    `(N, ...)` encoded answers, as the target has them. beside: `(N, C)` of the columns beside the
    texts, as `Inputs.encode` gives them; C may be 0. weights: `(N,)` of the examples in the loss;
    None: all weigh the same.
    """

    values: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    beside: np.ndarray
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def example(self, number: int) -> np.ndarray:
        return self.values[self.offsets[number] : self.offsets[number + 1]]

    def pairs(self) -> list[tuple[bytes, bytes]]:
        """What makes two examples equal, and their answers."""
        return [
            (self.example(i).tobytes() + self.beside[i].tobytes(), label.tobytes())
            for i, label in enumerate(self.labels)
        ]

    def take(self, which: np.ndarray) -> "Dataset":
        weights = None if self.weights is None else self.weights[which]
        items = [self.example(i) for i in which]
        return pack(items, self.labels[which], self.beside[which], weights)


def pack(
    items: Sequence[np.ndarray],
    labels: np.ndarray,
    beside: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> Dataset:
    """Encoded examples as one dataset. There must be at least one."""
    lengths = np.array([len(item) for item in items], dtype=np.int64)
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    if beside is None:
        beside = np.zeros((len(items), 0), dtype=np.float32)
    return Dataset(np.concatenate(items), offsets, labels, beside, weights)


def joined(parts: Sequence[Dataset]) -> Dataset:
    """The examples of some datasets, one after another."""
    items = [part.example(i) for part in parts for i in range(len(part))]
    weights = [part.weights for part in parts if part.weights is not None]
    return pack(
        items,
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.beside for part in parts]),
        np.concatenate(weights) if len(weights) == len(parts) else None,
    )


def write(
    examples: Examples,
    part: np.ndarray,
    target: Target,
    folder: Path,
    tokens: Tokens | None,
    inputs: Inputs = PLAIN,
    place: Place = nowhere,
) -> tuple[Catalogue, str]:
    """Write the examples, text as code points; the catalogue, and the SHA-256 of the file. place:
    where an example stands, for messages.

    tokens: what texts are to be read as; None for signals.

    Raises:
        DataError: values of a signal that float32 can't hold beside those of the training part;
            cells that are no numbers.
    """
    labels = target.encode(examples.labels)
    training = np.flatnonzero(part == TRAIN)
    if examples.channels:
        gaps = Gaps.of([np.asarray(examples.items[i]) for i in training])
        signals = [gaps.fill(np.asarray(item)) for item in examples.items]
        scale = Scale.of(np.concatenate([signals[i] for i in training]))
        length = int(np.median([len(signals[i]) for i in training]))
        catalogue = Catalogue(target, None, examples.channels, length, scale, gaps)
        try:
            packed = pack([scale.apply(signal) for signal in signals], labels)
        except ArgumentError as error:
            raise DataError(str(error)) from None
    else:
        beside = inputs.encode(examples.beside, len(examples), place)
        packed = pack([code_points(str(item)) for item in examples.items], labels, beside)
        catalogue = Catalogue(target, tokens, inputs=inputs)
    tensors = {
        "values": packed.values, "offsets": packed.offsets, "labels": packed.labels, "part": part,
        "beside": packed.beside,
    }  # fmt: skip
    if examples.weights is not None:
        tensors["weights"] = np.array(examples.weights)
    return catalogue, write_arrays(folder / FILE, tensors)


def read(folder: Path, catalogue: Catalogue, sha256: str) -> dict[str, Dataset]:
    """The parts by name, after checking that the file is what `write` wrote.

    Raises:
        RunError: missing, changed or damaged.
    """
    whole, part = _arrays(folder, catalogue, sha256)
    if catalogue.tokens is not None:
        items = [catalogue.tokens.encode(whole.example(i)) for i in range(len(whole))]
        whole = pack(items, whole.labels, whole.beside, whole.weights)
    return {name: whole.take(np.flatnonzero(part == i)) for i, name in enumerate(PARTS)}


def read_texts(folder: Path, catalogue: Catalogue, sha256: str, part: int, most: int) -> list[str]:
    """The first characters of each text of a part, at most `most`, as they were in the source.

    Raises:
        RunError: see `read`.
    """
    whole, parts = _arrays(folder, catalogue, sha256)
    starts, ends = whole.offsets[:-1], np.minimum(whole.offsets[:-1] + most, whole.offsets[1:])
    return [
        whole.values[starts[i] : ends[i]].tobytes().decode("utf-32-le", errors="replace")
        for i in np.flatnonzero(parts == part)
    ]


def _arrays(folder: Path, catalogue: Catalogue, sha256: str) -> tuple[Dataset, np.ndarray]:
    """All examples as they were written, and the part of each, after checking that the arrays fit
    each other."""
    path = folder / FILE
    arrays = read_arrays(path, sha256, "examples")
    try:
        values, offsets, labels, part, beside = (
            arrays[name] for name in ("values", "offsets", "labels", "part", "beside")
        )
    except KeyError as error:
        raise RunError(f"{path} lacks {error}; restore it, or start a new run") from None
    weights = arrays.get("weights")
    if not (
        _is_sound(values, offsets, labels, part, catalogue)
        and catalogue.inputs.fit(beside, len(labels))
        and (weights is None or _are_weights(weights, len(labels)))
    ):
        raise RunError(f"{path} does not fit vocabulary.json; restore both, or start a new run")
    return Dataset(values, offsets, labels, beside, weights), part


def _is_sound(
    values: np.ndarray, offsets: np.ndarray, labels: np.ndarray, part: np.ndarray,
    catalogue: Catalogue,
) -> bool:  # fmt: skip
    """Whether the arrays fit each other, so that nothing later reads beyond an end."""
    count = len(labels)
    shape = (catalogue.features,) if catalogue.channels else ()
    return (
        values.dtype == (np.float32 if catalogue.channels else np.int32)
        and offsets.dtype == np.int64 and part.dtype == np.uint8
        and values.shape[1:] == shape
        and offsets.shape == (count + 1,) and part.shape == (count,)
        and offsets[0] == 0 and are_lengths(np.diff(offsets), count, len(values), least=1)
        and bool(np.isfinite(values).all())
        and catalogue.target.fits(labels)
        and all((part == i).any() for i in range(len(PARTS))) and part.max() < len(PARTS)
    )  # fmt: skip


def _are_weights(weights: np.ndarray, count: int) -> bool:
    return (
        weights.dtype == np.float64
        and weights.shape == (count,)
        and bool((np.isfinite(weights) & (weights >= 0)).all())
    )


def _is_list_of(value: object, kind: type) -> TypeGuard[list[Any]]:
    return isinstance(value, list) and all(type(item) is kind for item in value)
