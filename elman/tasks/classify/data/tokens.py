"""How a text becomes the numbers that a model reads: characters, bytes, or words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeGuard

import numpy as np

from elman.errors import RunError
from elman.tasks.classify.data.words import COLUMNS, plain, starts_of_words, word_features, words_of
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.shared.characters import UNICODE, code_points

UNKNOWN = 0
"""The number of every character or word that training never showed."""
_WORDS = 3  # words between blanks that the median text has, from which on words are read
_RARE = 2  # times that a word stands in the training part to have a vector of its own
_MOST = 30_000  # words that have one


@dataclass(frozen=True)
class Tokens:
    """The numbers of texts at one level.

    longest: characters of a text that are read; of a longer one its beginning and its end, half
    of them each. budget: of training that was given none. Words are learned by heart soon.
    """

    longest: int
    level: ClassVar[str]
    budget: ClassVar[Mapping[str, Any] | None] = None

    @property
    def size(self) -> int:
        """V, the numbers that there are, the unknown one among them."""
        raise NotImplementedError

    def encode(self, points: np.ndarray) -> np.ndarray:
        """The numbers `(T,)` or `(T, COLUMNS)` of a text given as code points; T is at least 1."""
        return self.numbers(cut(points, self.longest))

    def numbers(self, points: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def bounds(self, points: np.ndarray) -> np.ndarray:
        """Where the text can be cut into pieces, from 0 to its length: between characters."""
        return np.arange(len(points) + 1)

    def to_json(self) -> dict[str, Any]:
        return {"level": self.level, "longest": self.longest}


@dataclass(frozen=True)
class Characters(Tokens):
    """points: ascending; character number i + 1 is points[i], and 0 stands for every other one."""

    points: tuple[int, ...]
    level: ClassVar[str] = "char"

    @property
    def size(self) -> int:
        return len(self.points) + 1

    @cached_property
    def _sorted(self) -> np.ndarray:
        return np.array(self.points, dtype=np.int64)

    def numbers(self, points: np.ndarray) -> np.ndarray:
        if not self.points:
            return np.zeros(len(points), dtype=np.int64)
        points = points.astype(np.int64)
        place = np.minimum(np.searchsorted(self._sorted, points), len(self._sorted) - 1)
        return np.where(self._sorted[place] == points, place + 1, UNKNOWN)

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "characters": list(self.points)}


@dataclass(frozen=True)
class Bytes(Tokens):
    """The bytes of UTF-8, each one higher."""

    level: ClassVar[str] = "byte"

    @property
    def size(self) -> int:
        return 257

    def numbers(self, points: np.ndarray) -> np.ndarray:
        read = text_of(points).encode("utf-8", errors="surrogatepass")
        return np.frombuffer(read, np.uint8).astype(np.int64) + 1


@dataclass(frozen=True)
class Words(Tokens):
    """words: in their plain form; word number i + 1 is words[i], and 0 stands for every other one.
    A word is a row of numbers: that one, and those of `word_features`."""

    words: tuple[str, ...]
    level: ClassVar[str] = "word"
    budget: ClassVar[Mapping[str, Any] | None] = {"epochs": 5.0, "least_steps": 300}

    @property
    def size(self) -> int:
        return len(self.words) + 1

    @cached_property
    def _number(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, 1)}

    def numbers(self, points: np.ndarray) -> np.ndarray:
        words = words_of(text_of(points)) or [""]  # nothing but marks that stand alone
        found = np.empty((len(words), COLUMNS), dtype=np.int32)
        found[:, 0] = [self._number.get(plain(word), UNKNOWN) for word in words]
        found[:, 1:] = [word_features(word) for word in words]
        return found

    def bounds(self, points: np.ndarray) -> np.ndarray:
        """Where the second word begins, the third, and so on."""
        return np.array([0, *starts_of_words(text_of(points))[1:], len(points)])

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "words": list(self.words)}


def learned(texts: Sequence[str], settings: ClassifySettings) -> tuple[Tokens, list[str]]:
    """The tokens of the training part's texts, and what the user should know about them."""
    longest, notes, level = settings.max_length, [], settings.level
    if level == "auto":
        median = float(np.median([len(text[:longest].split()) for text in texts]))
        level = "word" if median >= _WORDS else "char"
        if level == "word":
            notes.append(
                f"texts are read as words and their parts (the median text has {median:g} words); "
                f"--level char reads characters"
            )
    if level == "byte":
        return Bytes(longest), notes
    read = [cut(code_points(text), longest) for text in texts]
    if level == "char":
        return Characters(longest, tuple(np.unique(np.concatenate(read)).tolist())), notes
    counts = Counter(plain(word) for points in read for word in words_of(text_of(points)))
    often = sorted((word for word, n in counts.items() if n >= _RARE), key=lambda w: -counts[w])
    return Words(longest, tuple(often[:_MOST])), notes


def cut(points: np.ndarray, longest: int) -> np.ndarray:
    """A text of at most so many characters: the beginning and the end of a longer one."""
    if len(points) <= longest:
        return points
    return np.concatenate([points[: longest - longest // 2], points[len(points) - longest // 2 :]])


def note_of_cut(lengths: Sequence[int], longest: int) -> list[str]:
    """What the user should know of texts of these lengths."""
    count = sum(length > longest for length in lengths)
    if not count:
        return []
    return [
        f"texts longer than {longest:,} characters: {count:,} of {len(lengths):,}, the longest "
        f"{max(lengths):,}; {longest:,} of each are read, half from its beginning and half from "
        f"its end (--max-length)"
    ]


def from_json(value: object) -> Tokens:
    """Raises `RunError` unless the value is what `to_json` gives."""
    fields = value if isinstance(value, dict) else {}
    level, longest = fields.get("level"), fields.get("longest")
    if type(longest) is int and longest >= 1:
        points, words = fields.get("characters"), fields.get("words")
        if level == Bytes.level:
            return Bytes(longest)
        if level == Characters.level and _are_code_points(points):
            return Characters(longest, tuple(points))
        if level == Words.level and _are_words(words):
            return Words(longest, tuple(words))
    raise RunError(
        "vocabulary.json must hold tokens: their level, the longest text, and the characters "
        "(ascending code points) or the words; restore it or train anew"
    )


def _are_code_points(value: object) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and all(type(point) is int and 0 <= point < UNICODE for point in value)
        and value == sorted(set(value))
    )


def _are_words(value: object) -> TypeGuard[list[str]]:
    return (
        isinstance(value, list)
        and all(type(word) is str for word in value)
        and len(set(value)) == len(value)
    )


def text_of(points: np.ndarray) -> str:
    """Code points as a text; halves of surrogate pairs stand for themselves."""
    return points.astype("<i4").tobytes().decode("utf-32-le", errors="surrogatepass")
