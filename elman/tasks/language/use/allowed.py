"""Which tokens may be written next: whole characters, and only those that are allowed.

A token is a piece of UTF-8: a character, some of them, or a byte. A text that is being written ends
at times in the first bytes of a character; what may follow depends on these `pending` bytes and on
nothing else.
"""

import codecs
import re
import warnings
from functools import cached_property

import torch
from torch import Tensor

from elman.errors import ArgumentError
from elman.tasks.language.data.vocabulary import Vocabulary
from elman.tasks.shared.characters import UNICODE


class Allowed:
    """allow: a class of characters as between the brackets of a regular expression, such as
    "a-z .,"; None allows all. No text that is written by it holds broken UTF-8.

    Raises:
        ArgumentError: no such class, or the model knows no character in it.
    """

    def __init__(self, vocabulary: Vocabulary, allow: str | None = None) -> None:
        self._spellings = vocabulary.spellings
        self._class = None if allow is None else _class_of(allow)
        self._masks: dict[bytes, Tensor] = {}
        if not self.mask(b"").any():
            raise ArgumentError(
                f"--allow {allow!r} allows no character that the model can write; it is a class as "
                f"between the brackets of a regular expression, such as 'a-z .,'"
            )

    def mask(self, pending: bytes) -> Tensor:
        """`(V,)` bool: the tokens that may follow."""
        if pending not in self._masks:
            rests = [self._rest(pending + spelling) for spelling in self._spellings]
            self._masks[pending] = torch.tensor([rest is not None for rest in rests])
        return self._masks[pending]

    def append(self, pending: bytes, token: int) -> tuple[str, bytes]:
        """The characters that a token makes whole, and what is pending after it."""
        content = pending + self._spellings[token]
        rest = self._rest(content) or b""
        return content[: len(content) - len(rest)].decode("utf-8"), rest

    def restrict(self, logits: Tensor, pending: bytes) -> Tensor:
        """`(V,)` scores, minus infinity for what may not follow."""
        mask = self.mask(pending).to(logits.device)
        return logits.masked_fill(~mask, -torch.inf)

    def _rest(self, content: bytes) -> bytes | None:
        """The bytes at the end that begin a character; None if the content is not allowed."""
        if not content:
            return None  # a token that writes nothing could be written for ever
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            text = decoder.decode(content)
        except UnicodeDecodeError:
            return None
        rest: bytes = decoder.getstate()[0]
        if rest and not _begins_a_character(rest):
            return None
        if self._class is None:
            return rest
        fits = all(map(self._class.fullmatch, text)) and (not rest or rest in self._beginnings)
        return rest if fits else None

    @cached_property
    def _beginnings(self) -> frozenset[bytes]:
        """All beginnings of the UTF-8 of allowed characters."""
        assert self._class is not None
        points = (point for point in range(0x80, UNICODE) if not 0xD800 <= point < 0xE000)
        found = self._class.findall("".join(map(chr, points)))
        whole = [character.encode("utf-8") for character in found]
        return frozenset(code[:size] for code in whole for size in range(1, len(code)))


def _begins_a_character(rest: bytes) -> bool:
    """Whether bytes can become one character. Python's decoder takes the first two bytes of a
    surrogate, which no third one makes right."""
    ends = (bytes([fill]) * count for fill in (0x80, 0xBF) for count in (1, 2, 3))
    return any(_is_text(rest + end) for end in ends)


def _is_text(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _class_of(allow: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of "[[" and the like, which mean no more
        try:
            return re.compile(f"[{allow}]")
        except re.error as error:
            raise ArgumentError(
                f"--allow must be a class as between the brackets of a regular expression, such as "
                f"'a-z .,', got {allow!r} ({error.msg}); put \\ before -, ], ^ and \\"
            ) from None
