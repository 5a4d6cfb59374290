"""A text as token numbers on disk, encoded once and memory-mapped from then on."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from elman.errors import DataError
from elman.tasks.language.data import sources
from elman.tasks.language.data.vocabulary import Vocabulary
from elman.tasks.shared.arrays import require_unchanged, sha256_of
from elman.tasks.shared.characters import UNICODE, code_points

TOKENS = "tokens.bin"
_PIECE = 1 << 20


@dataclass(frozen=True)
class Checksums:
    """What tells one text from another: SHA-256 of its UTF-8 bytes (of the bytes themselves at
    level "byte") and of its encoded tokens."""

    tokens: int
    source_sha256: str
    tokens_sha256: str


@dataclass(frozen=True)
class Corpus:
    """Token numbers of a whole text, `(N,)`, as a read-only memory map."""

    tokens: np.ndarray
    vocabulary: Vocabulary

    def split(self, valid_fraction: float) -> tuple[np.ndarray, np.ndarray]:
        """The first part for training, the rest for validation, both contiguous."""
        cut = len(self.tokens) - round(len(self.tokens) * valid_fraction)
        return self.tokens[:cut], self.tokens[cut:]


def encode(data: list[str], level: str, folder: Path) -> tuple[Vocabulary, Checksums]:
    """Write the sources' tokens to `folder`, in bounded memory, and describe them.

    Raises:
        DataError: no text, unreadable text, or text that is not UTF-8 at level "char".
    """
    digest = hashlib.sha256()
    target = folder / TOKENS
    if level == "byte":
        vocabulary = Vocabulary("byte")
        with open(target, "wb") as file:
            for chunk in sources.read_bytes(data):
                digest.update(chunk)
                file.write(chunk)
    else:
        raw = folder / "code-points.partial"
        vocabulary = _collect(sources.read_text(data), raw, digest)
        _renumber(raw, target, vocabulary)
        os.remove(raw)
    tokens = target.stat().st_size // _dtype(vocabulary).itemsize
    return vocabulary, Checksums(tokens, digest.hexdigest(), sha256_of(target))


def open_corpus(folder: Path, vocabulary: Vocabulary, checksums: Checksums) -> Corpus:
    """The corpus that `encode` wrote, after checking that it is still the same."""
    path = folder / TOKENS
    require_unchanged(path, checksums.tokens_sha256, "text")
    return Corpus(np.memmap(path, dtype=_dtype(vocabulary), mode="r"), vocabulary)


def counts(tokens: np.ndarray, size: int) -> np.ndarray:
    """How often each of `size` tokens occurs, `(size,)` int64, in bounded memory."""
    found = np.zeros(size, dtype=np.int64)
    for start in range(0, len(tokens), _PIECE):
        found += np.bincount(tokens[start : start + _PIECE], minlength=size)
    return found


def _collect(texts: Iterator[str], raw: Path, digest: "hashlib._Hash") -> Vocabulary:
    """First pass: code points to a file, and which ones occur. digest: is told the text."""
    seen = np.zeros(UNICODE, dtype=bool)
    with open(raw, "wb") as file:
        for text in texts:
            digest.update(text.encode("utf-8"))
            points = code_points(text)
            seen[points] = True
            file.write(points.tobytes())
    points = np.flatnonzero(seen)
    if len(points) == 0:
        raise DataError("the text is empty; a model needs some text to learn from")
    return Vocabulary("char", tuple(int(point) for point in points))


def _renumber(raw: Path, target: Path, vocabulary: Vocabulary) -> None:
    """Second pass: code points to token numbers, in the smallest type that holds them."""
    number = np.zeros(UNICODE, dtype=_dtype(vocabulary))
    number[list(vocabulary.code_points)] = np.arange(vocabulary.size)
    with open(raw, "rb") as source, open(target, "wb") as file:
        while piece := source.read(4 * _PIECE):
            file.write(number[np.frombuffer(piece, dtype="<i4")].tobytes())


def _dtype(vocabulary: Vocabulary) -> np.dtype:
    return np.dtype(
        "u1" if vocabulary.size <= 256 else "<u2" if vocabulary.size <= 65536 else "<u4"
    )
