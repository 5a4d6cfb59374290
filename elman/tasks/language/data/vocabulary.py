"""The characters that a model knows, and the numbers that stand for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from elman.errors import ArgumentError, DataError
from elman.tasks.shared.characters import code_points

BYTES = 256


@dataclass(frozen=True)
class Vocabulary:
    """Tokens 0..V-1. Level "char": sorted code points; level "byte": the 256 bytes.

    code_points: ascending, without repeats; empty for bytes.
    """

    level: str
    code_points: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        return BYTES if self.level == "byte" else len(self.code_points)

    @property
    def unit(self) -> str:
        """What one token is called in reports."""
        return "byte" if self.level == "byte" else "character"

    def encode(self, text: str, unknown: str = "error") -> np.ndarray:
        """Token numbers `(N,)` int64 of a text.

        unknown: "error" raises `ArgumentError` that names the characters outside the vocabulary,
        "skip" leaves them out. At level "byte", half a character that stands for a byte which is
        no UTF-8, as `surrogateescape` puts it into a text, is that byte.

        Raises:
            ArgumentError: no text, or characters that are not known.
        """
        if not isinstance(text, str):
            raise ArgumentError(
                f"text must be a str, got {type(text).__name__}; read a file's text first"
            )
        if unknown not in ("error", "skip"):
            raise ArgumentError(f"unknown must be 'error' or 'skip', got {unknown!r}")
        if self.level == "byte":
            try:
                content = text.encode("utf-8", errors="surrogateescape")
            except UnicodeEncodeError as error:
                raise ArgumentError(
                    f"text must hold whole characters, got half of one (U+"
                    f"{ord(text[error.start]):04X}) as character {error.start}; leave it out"
                ) from None
            return np.frombuffer(content, dtype=np.uint8).astype(np.int64)
        points = code_points(text)
        tokens = np.searchsorted(self._sorted, points)
        found = self._sorted[np.minimum(tokens, self.size - 1)] == points
        if not found.all():
            if unknown == "error":
                raise ArgumentError(_unknown_message(points[~found]))
            tokens = tokens[found]
        return tokens.astype(np.int64)

    def unknown(self, text: str, tokens: np.ndarray) -> int:
        """How many characters of a text were left out of its tokens, as `encode` gave them."""
        return 0 if self.level == "byte" else len(text) - len(tokens)

    def characters(self, tokens: Tensor) -> int:
        """How many characters begin in some tokens."""
        return int((tokens & 0xC0 != 0x80).sum()) if self.level == "byte" else tokens.numel()

    def decode(self, tokens: Sequence[int] | np.ndarray) -> str:
        """The text of some tokens; bytes that are no UTF-8 become U+FFFD."""
        if self.level == "byte":
            return bytes(int(token) for token in tokens).decode("utf-8", errors="replace")
        return "".join(chr(self.code_points[int(token)]) for token in tokens)

    @cached_property
    def spellings(self) -> list[bytes]:
        """Each token in UTF-8; of a byte, the byte."""
        if self.level == "byte":
            return [bytes([token]) for token in range(BYTES)]
        return [chr(point).encode("utf-8") for point in self.code_points]

    @cached_property
    def _sorted(self) -> np.ndarray:
        return np.array(self.code_points, dtype=np.int32)

    def to_json(self) -> dict[str, Any]:
        return {"level": self.level, "characters": [chr(point) for point in self.code_points]}

    @classmethod
    def from_json(cls, value: object) -> "Vocabulary":
        """The inverse of `to_json` for a file that nobody vouches for."""
        if not isinstance(value, dict) or value.get("level") not in ("char", "byte"):
            raise DataError("a vocabulary must be an object with level 'char' or 'byte'")
        if value["level"] == "byte":
            return cls("byte")
        characters = value.get("characters")
        if not isinstance(characters, list) or not all(
            isinstance(c, str) and len(c) == 1 and not "\ud800" <= c < "\ue000" for c in characters
        ):
            raise DataError("a vocabulary's 'characters' must be a list of single characters")
        points = [ord(c) for c in characters]
        if not points or points != sorted(set(points)):
            raise DataError("a vocabulary's characters must be sorted, distinct, at least one")
        return cls("char", tuple(points))


def _unknown_message(points: np.ndarray) -> str:
    distinct = [chr(int(point)) for point in np.unique(points)]
    shown = " ".join(f"{c!r} (U+{ord(c):04X})" for c in distinct[:8])
    more = f" and {len(distinct) - 8} more" if len(distinct) > 8 else ""
    return (
        f"the text holds characters that the model has never seen: {shown}{more}; "
        f"use characters of its training text, or leave them out with --unknown skip"
    )
