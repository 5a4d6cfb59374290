"""Examples as numbers on disk, encoded once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from elman.errors import ArgumentError, DataError, RunError
from elman.tasks.classify.data.examples import PARTS, Examples, Item, short
from elman.tasks.classify.data.scale import Scale
from elman.tasks.classify.data.split import TRAIN
from elman.tasks.classify.targets import kinds
from elman.tasks.classify.targets.base import Target
from elman.tasks.shared.arrays import are_lengths, read_arrays, write_arrays
from elman.tasks.shared.characters import UNICODE, code_points

FILE = "examples.safetensors"
_LONGEST = 1 << 32
UNKNOWN = 0
"""The number of every character that training never showed."""


@dataclass(frozen=True)
class Catalogue:
    """What a model knows: what it may answer, and the characters or channels of its input.

    target: the kind of its answers, with all that was learnt of them. code_points: ascending;
    character number i + 1 is code_points[i], and 0 stands for every other one. channels: of a
    signal, 0 for text. length: of signals, the median. scale: of signals; None for text, and where
    a run of before took values as they are.
    """

    target: Target
    code_points: tuple[int, ...] = ()
    channels: int = 0
    length: int = 0
    scale: Scale | None = None

    @property
    def characters(self) -> int:
        """V, the numbers that a text may hold, the unknown one among them."""
        return len(self.code_points) + 1

    @cached_property
    def _sorted(self) -> np.ndarray:
        return np.array(self.code_points, dtype=np.int64)

    def encode(self, item: Item) -> np.ndarray:
        """The numbers of one example: `(T,)` int64 for text, `(T, C)` float32 for a signal.

        Raises:
            ArgumentError: empty, of the other kind, of another number of channels, not finite, or
                too far from what training showed.
        """
        if isinstance(item, str):
            if self.channels:
                raise ArgumentError(
                    f"this model classifies signals (T, {self.channels}), got text {short(item)!r}"
                )
            if not item:
                raise ArgumentError("at least one character was expected, got an empty string")
            return self.numbers(code_points(item))
        if not self.channels:
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
        if not np.isfinite(signal).all():
            raise ArgumentError("finite numbers were expected, got NaN or infinity; fill them in")
        neutral = Scale((0.0,) * self.channels, (1.0,) * self.channels)
        return (self.scale or neutral).apply(signal)

    def numbers(self, points: np.ndarray) -> np.ndarray:
        """Character numbers of code points."""
        if not self.code_points:
            return np.zeros(len(points), dtype=np.int64)
        points = points.astype(np.int64)
        place = np.minimum(np.searchsorted(self._sorted, points), len(self._sorted) - 1)
        return np.where(self._sorted[place] == points, place + 1, UNKNOWN)

    def to_json(self) -> dict[str, Any]:
        fields = {
            "target": kinds.to_json(self.target),
            "characters": list(self.code_points),
            "channels": self.channels,
            "length": self.length,
        }
        return {**fields, "scale": self.scale.to_json()} if self.scale else fields

    @classmethod
    def from_json(cls, value: object) -> "Catalogue":
        """Raises `RunError` unless the value is what `to_json` gives."""
        fields = value if isinstance(value, dict) else {}
        points, channels = fields.get("characters"), fields.get("channels")
        length = fields.get("length")
        if (
            not _is_list_of(points, int)
            or points != sorted(set(points))
            or not all(0 <= point < UNICODE for point in points)
            or type(channels) is not int
            or channels < 0
            or type(length) is not int
            or not 0 <= length < _LONGEST
        ):
            raise RunError(
                "vocabulary.json must hold a target, characters (ascending code points), channels "
                "and length; restore it or train anew"
            )
        target = kinds.from_json(fields.get("target"))
        scale = Scale.from_json(fields.get("scale"), channels)
        return cls(target, tuple(points), channels, length, scale)


@dataclass(frozen=True)
class Dataset:
    """Encoded examples, one after another.

    values: `(sum of lengths,)` character numbers, or `(sum of lengths, C)` signal values.
    offsets: `(N + 1,)`; example i is values[offsets[i] : offsets[i + 1]]. labels: `(N, ...)`
    encoded answers, as the target has them. weights: `(N,)` of the examples in the loss; None: all
    weigh the same.
    """

    values: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
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
        return [(self.example(i).tobytes(), label.tobytes()) for i, label in enumerate(self.labels)]

    def take(self, which: np.ndarray) -> "Dataset":
        weights = None if self.weights is None else self.weights[which]
        return pack([self.example(i) for i in which], self.labels[which], weights)


def pack(
    items: Sequence[np.ndarray], labels: np.ndarray, weights: np.ndarray | None = None
) -> Dataset:
    """Encoded examples as one dataset. There must be at least one."""
    lengths = np.array([len(item) for item in items], dtype=np.int64)
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    return Dataset(np.concatenate(items), offsets, labels, weights)


def write(
    examples: Examples, part: np.ndarray, target: Target, folder: Path
) -> tuple[Catalogue, str]:
    """Write the examples, text as code points; the catalogue, and the SHA-256 of the file.

    Raises:
        DataError: values of a signal that float32 can't hold beside those of the training part.
    """
    labels = target.encode(examples.labels)
    training = np.flatnonzero(part == TRAIN)
    if examples.channels:
        signals = [np.asarray(item) for item in examples.items]
        scale = Scale.of(np.concatenate([signals[i] for i in training]))
        length = int(np.median([len(signals[i]) for i in training]))
        catalogue = Catalogue(target, (), examples.channels, length, scale)
        try:
            packed = pack([scale.apply(signal) for signal in signals], labels)
        except ArgumentError as error:
            raise DataError(str(error)) from None
    else:
        packed = pack([code_points(str(item)) for item in examples.items], labels)
        points = np.unique(packed.take(training).values)
        catalogue = Catalogue(target, tuple(points.tolist()))
    tensors = {
        "values": packed.values, "offsets": packed.offsets, "labels": packed.labels, "part": part
    }  # fmt: skip
    if examples.weights is not None:
        tensors["weights"] = np.array(examples.weights)
    return catalogue, write_arrays(folder / FILE, tensors)


def read(folder: Path, catalogue: Catalogue, sha256: str) -> dict[str, Dataset]:
    """The parts by name, after checking that the file is what `write` wrote.

    Raises:
        RunError: missing, changed or damaged.
    """
    values, offsets, labels, part, weights = _arrays(folder, catalogue, sha256)
    if not catalogue.channels:
        values = catalogue.numbers(values)
    whole = Dataset(values, offsets, labels, weights)
    return {name: whole.take(np.flatnonzero(part == i)) for i, name in enumerate(PARTS)}


def read_texts(folder: Path, catalogue: Catalogue, sha256: str, part: int, most: int) -> list[str]:
    """The first characters of each text of a part, at most `most`, as they were in the source.

    Raises:
        RunError: see `read`.
    """
    values, offsets, _, parts, _ = _arrays(folder, catalogue, sha256)
    starts, ends = offsets[:-1], np.minimum(offsets[:-1] + most, offsets[1:])
    return [
        values[starts[i] : ends[i]].tobytes().decode("utf-32-le", errors="replace")
        for i in np.flatnonzero(parts == part)
    ]


def _arrays(
    folder: Path, catalogue: Catalogue, sha256: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Values, offsets, labels, part and weights, after checking that they fit each other."""
    path = folder / FILE
    arrays = read_arrays(path, sha256, "examples")
    try:
        values, offsets, labels, part = (
            arrays[name] for name in ("values", "offsets", "labels", "part")
        )
    except KeyError as error:
        raise RunError(f"{path} lacks {error}; restore it, or start a new run") from None
    weights = arrays.get("weights")
    if not (
        _is_sound(values, offsets, labels, part, catalogue)
        and (weights is None or _are_weights(weights, len(labels)))
    ):
        raise RunError(f"{path} does not fit vocabulary.json; restore both, or start a new run")
    return values, offsets, labels, part, weights


def _is_sound(
    values: np.ndarray, offsets: np.ndarray, labels: np.ndarray, part: np.ndarray,
    catalogue: Catalogue,
) -> bool:  # fmt: skip
    """Whether the arrays fit each other, so that nothing later reads beyond an end."""
    count = len(labels)
    shape = (catalogue.channels,) if catalogue.channels else ()
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
