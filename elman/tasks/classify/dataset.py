"""Examples as numbers on disk, encoded once."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from elman.errors import ArgumentError, RunError
from elman.tasks.classify.examples import PARTS, Examples, Item
from elman.tasks.classify.split import TRAIN

FILE = "examples.safetensors"
_UNICODE = 0x110000
UNKNOWN = 0
"""The number of every character that training never showed."""


@dataclass(frozen=True)
class Catalogue:
    """What a model knows: its labels, and the characters or channels of its input.

    labels: in the order of the model's outputs. code_points: ascending; character number i + 1 is
    code_points[i], and 0 stands for every other one. channels: of a signal, 0 for text.
    """

    labels: tuple[str, ...]
    code_points: tuple[int, ...] = ()
    channels: int = 0

    @property
    def characters(self) -> int:
        """V, the numbers that a text may hold, the unknown one among them."""
        return len(self.code_points) + 1

    @cached_property
    def _sorted(self) -> np.ndarray:
        return np.array(self.code_points, dtype=np.int64)

    def encode(self, item: Item) -> np.ndarray:
        """The numbers of one example: `(T,)` int64 for text, `(T, C)` float32 for a signal."""
        if isinstance(item, str):
            if self.channels:
                raise ArgumentError(
                    f"this model classifies signals of {self.channels} channels, got text; give a "
                    f".ts file"
                )
            return self.numbers(np.frombuffer(item.encode("utf-32-le"), dtype="<u4"))
        signal = np.asarray(item, dtype=np.float32)
        if not self.channels:
            raise ArgumentError("this model classifies text, got numbers; give strings")
        if signal.ndim != 2 or signal.shape[1] != self.channels:
            raise ArgumentError(
                f"this model classifies signals (T, {self.channels}), got shape {signal.shape}"
            )
        return signal

    def numbers(self, points: np.ndarray) -> np.ndarray:
        """Character numbers of code points."""
        if not self.code_points:
            return np.zeros(len(points), dtype=np.int64)
        points = points.astype(np.int64)
        place = np.minimum(np.searchsorted(self._sorted, points), len(self._sorted) - 1)
        return np.where(self._sorted[place] == points, place + 1, UNKNOWN)

    def to_json(self) -> dict[str, Any]:
        return {
            "labels": list(self.labels),
            "characters": list(self.code_points),
            "channels": self.channels,
        }

    @classmethod
    def from_json(cls, value: object) -> "Catalogue":
        """Raises `RunError` unless the value is what `to_json` gives."""
        problem = RunError(
            "vocabulary.json must hold labels, characters (ascending code points) and channels of "
            "a classifier; restore it or train anew"
        )
        if not isinstance(value, dict):
            raise problem
        labels, points = value.get("labels"), value.get("characters")
        channels = value.get("channels")
        good_labels = (
            isinstance(labels, list) and len(labels) >= 2 and len(set(map(str, labels))) == len(labels)
            and all(isinstance(label, str) for label in labels)
        )  # fmt: skip
        good_points = (
            isinstance(points, list)
            and all(type(point) is int and 0 <= point < _UNICODE for point in points)
            and points == sorted(set(points))
        )
        if not (good_labels and good_points and type(channels) is int and channels >= 0):
            raise problem
        return cls(tuple(labels or ()), tuple(points or ()), channels)


@dataclass(frozen=True)
class Dataset:
    """Encoded examples, one after another.

    values: `(sum of lengths,)` character numbers, or `(sum of lengths, C)` signal values.
    offsets: `(N + 1,)`; example i is values[offsets[i] : offsets[i + 1]]. labels: `(N,)`.
    """

    values: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def example(self, number: int) -> np.ndarray:
        return self.values[self.offsets[number] : self.offsets[number + 1]]

    def take(self, which: np.ndarray) -> "Dataset":
        return pack([self.example(i) for i in which], self.labels[which])


def pack(items: Sequence[np.ndarray], labels: np.ndarray) -> Dataset:
    """Encoded examples as one dataset. There must be at least one."""
    lengths = np.array([len(item) for item in items], dtype=np.int64)
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    return Dataset(np.concatenate(items), offsets, labels)


def write(examples: Examples, part: np.ndarray, folder: Path) -> tuple[Catalogue, str]:
    """Write the examples, text as code points; the catalogue, and the SHA-256 of the file."""
    labels = sorted(set(examples.labels))
    number = {label: i for i, label in enumerate(labels)}
    items = [
        np.frombuffer(item.encode("utf-32-le"), dtype="<i4") if isinstance(item, str) else item
        for item in examples.items
    ]
    packed = pack(items, np.array([number[label] for label in examples.labels], dtype=np.int64))
    points: tuple[int, ...] = ()
    if not examples.channels:
        training = [items[i] for i in np.flatnonzero(part == TRAIN)]
        points = tuple(np.unique(np.concatenate(training)).tolist())
    tensors = {
        "values": packed.values, "offsets": packed.offsets, "labels": packed.labels, "part": part
    }  # fmt: skip
    save_file(tensors, folder / FILE)
    return Catalogue(tuple(labels), points, examples.channels), _sha256(folder / FILE)


def read(folder: Path, catalogue: Catalogue, sha256: str) -> dict[str, Dataset]:
    """The parts by name, after checking that the file is what `write` wrote.

    Raises:
        RunError: missing, changed or damaged.
    """
    path = folder / FILE
    if not path.is_file():
        raise RunError(f"{path} is missing; the run can't go on without its examples")
    if _sha256(path) != sha256:
        raise RunError(
            f"{path} is not the data that the run was started with (its SHA-256 differs); restore "
            f"the file, or start a new run"
        )
    try:
        tensors = load_file(path)
        values, offsets, labels, part = (
            tensors[name] for name in ("values", "offsets", "labels", "part")
        )
    except (SafetensorError, OSError, KeyError) as error:
        raise RunError(f"{path} is damaged ({error}); restore it, or start a new run") from None
    if not _is_sound(values, offsets, labels, part, catalogue):
        raise RunError(f"{path} does not fit vocabulary.json; restore both, or start a new run")
    if not catalogue.channels:
        values = catalogue.numbers(values)
    whole = Dataset(values, offsets, labels)
    return {name: whole.take(np.flatnonzero(part == i)) for i, name in enumerate(PARTS)}


def _is_sound(
    values: np.ndarray, offsets: np.ndarray, labels: np.ndarray, part: np.ndarray,
    catalogue: Catalogue,
) -> bool:  # fmt: skip
    """Whether the arrays fit each other, so that nothing later reads beyond an end."""
    count = len(labels)
    shape = (catalogue.channels,) if catalogue.channels else ()
    kinds = (np.float32 if catalogue.channels else np.int32, np.int64, np.int64, np.uint8)
    return (
        all(a.dtype == k for a, k in zip((values, offsets, labels, part), kinds, strict=True))
        and values.shape[1:] == shape
        and offsets.shape == (count + 1,) and labels.shape == (count,) and part.shape == (count,)
        and offsets[0] == 0 and offsets[-1] == len(values)
        and bool((np.diff(offsets) > 0).all())
        and bool(((labels >= 0) & (labels < len(catalogue.labels))).all())
        and all((part == i).any() for i in range(len(PARTS))) and part.max() < len(PARTS)
    )  # fmt: skip


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
