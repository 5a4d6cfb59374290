"""From files to text: opened, recognised, decoded; what can't be read is named with its place."""

import codecs
import os
import re
import sys
from collections.abc import Iterator
from typing import BinaryIO

from elman.errors import ArgumentError, DataError
from elman.tasks.shared.recognise import recognise

CHUNK = 1 << 20
_MARKS = (  # the longer ones first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_WIDE = ("utf-16", "utf-32")
_SCRIPTS = " (often gbk, big5, shift_jis or euc-kr for East Asian text, windows-1251 for Cyrillic)"


def label_of(source: str) -> str:
    """How messages call a source: one line, and not too long."""
    if source == "-":
        return "standard input"
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in source)
    return shown if len(shown) <= 300 else shown[:297] + "..."


def require_there(source: str, what: str = "file or folder") -> None:
    """Raise `DataError` unless the source is standard input or exists."""
    # Not Path.exists: that raises on names that are too long, such as a text given as a path.
    if source != "-" and not os.path.exists(source):
        raise DataError(f"no {what} {label_of(source)}; give a path that exists")


def read_bytes(source: str) -> Iterator[bytes]:
    """The content of a file, or of standard input ("-"), in pieces of about 1 MiB.

    Raises:
        DataError: missing, a folder, unreadable.
    """
    require_there(source, "file")
    if source != "-" and os.path.isdir(source):
        raise DataError(f"{label_of(source)} is a folder; a file was expected, give one in it")
    try:
        if source == "-":
            yield from _pieces(sys.stdin.buffer)
        else:
            with open(source, "rb") as file:
                yield from _pieces(file)
    except OSError as error:
        raise DataError(
            f"can't read {label_of(source)}: {error.strerror or error}; make it readable, or give "
            f"another file"
        ) from None


def read_text(source: str, encoding: str | None = None, instead: str = "") -> Iterator[str]:
    """The text of a file, or of standard input ("-"), in pieces, without a byte-order mark.

    A byte-order mark decides what the encoding is, whatever was asked for.

    Args:
        encoding: None reads UTF-8, and messages tell how to convert a file; else messages tell
            how to name another one with --encoding.
        instead: what else can be done with a file that is no text, for messages.

    Raises:
        DataError: missing, a folder, unreadable, no text, or of another encoding; with the byte
            (from 0, counted in the file) and the line.
        ArgumentError: no such encoding.
    """
    decoder = _Decoder(source, encoding, instead)
    for chunk in read_bytes(source):
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


class _Decoder:
    """Decodes a file piece by piece, and knows where in the file it is."""

    def __init__(self, source: str, encoding: str | None, instead: str) -> None:
        self._name, self._asked, self._instead = label_of(source), encoding, instead
        self._use(_known(encoding or "utf-8"), encoding or "utf-8")
        self._begun = self._marked = self._foreign = self._after_return = False
        self._offset, self._line = 0, 1

    def _use(self, encoding: str, called: str) -> None:
        self._encoding, self._called = encoding, called.upper()
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def decode(self, chunk: bytes, final: bool = False) -> str:
        if not self._begun:
            chunk, self._begun = self._begin(chunk), True
        if not self._encoding.startswith(_WIDE) and (zero := chunk.find(b"\0")) >= 0:
            raise self._holds_zero(chunk, zero)
        pending = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            raise self._undecodable(error, self._offset - pending + error.start) from None
        except UnicodeError as error:
            raise DataError(
                f"{self._name} must be {self._called} text, but is not ({error}); "
                f"{self._fix('utf-8')}"
            ) from None
        if (zero := text.find("\0")) >= 0:
            self._count(text[:zero])
            raise DataError(
                f"{self._name} must be text, but holds a zero character in line {self._line}, as "
                f"binary files do; remove it, or give a file of text{self._or_instead()}"
            )
        self._offset += len(chunk)
        self._count(text)
        return text

    def _begin(self, chunk: bytes) -> bytes:
        """Look at the first bytes: what the file is, and its encoding. Returns what follows the
        byte-order mark."""
        if (found := recognise(chunk)) is not None:
            raise DataError(f"{self._name} must be text, but is {found.name}; {found.advice}")
        for mark, encoding in _MARKS:
            if chunk.startswith(mark):
                self._marked = True
                self._use(encoding, encoding)
                rest = chunk
                while rest.startswith(mark):  # some programs write it twice
                    rest = rest[len(mark) :]
                self._offset = len(chunk) - len(rest)
                return rest
        if self._encoding.startswith(_WIDE) and chunk and b"\0" not in chunk:
            # Two characters of one byte each would be read as one of two bytes, in silence.
            raise DataError(
                f"{self._name} must be {self._called} text, but has no zero byte, as the line "
                f"ends of such text have; {self._fix(_likely(chunk, self._encoding))}"
            )
        return chunk

    def _holds_zero(self, chunk: bytes, zero: int) -> DataError:
        self._count(chunk[:zero].decode(self._encoding, errors="replace"))
        place = f"byte {self._offset + zero} (line {self._line}) is zero"
        if self._offset == 0 and (wide := _width_without_mark(chunk)):
            return DataError(
                f"{self._name} must be {self._called} text, but {place}, as in {wide} without a "
                f"byte-order mark; {self._fix(wide)}{self._or_instead()}"
            )
        return DataError(
            f"{self._name} must be text, but {place}, as in binary files; remove it, or give a "
            f"file of text{self._or_instead()}"
        )

    def _undecodable(self, error: UnicodeDecodeError, position: int) -> DataError:
        content, start = error.object, error.start
        before = content[:start].decode(self._encoding, errors="ignore")
        self._count(before)
        if self._marked or (self._foreign and self._encoding == "utf-8"):
            # The rest is what it should be: another encoding would garble it.
            fix = f"the text before it is {self._called}, so correct or leave out that line"
        else:
            fix = self._fix(_likely(content, self._encoding))
        return DataError(
            f"{self._name} must be {self._called} text, but byte {position} (line {self._line}) "
            f"is not ({error.reason}, 0x{content[start]:02X}); {fix}{self._or_instead()}"
        )

    def _fix(self, encoding: str | None) -> str:
        """What to do with a file that seems to be of this encoding; None: of another script."""
        named = encoding or "ENCODING"
        hint = {"windows-1252": " (Western text of Windows and Excel)", "ENCODING": _SCRIPTS}
        if self._asked is not None:
            return f"name its encoding, such as --encoding {named}{hint.get(named, '')}"
        return f"convert it, such as with iconv -f {named} -t utf-8 OLD > NEW{hint.get(named, '')}"

    def _or_instead(self) -> str:
        return f", or {self._instead}" if self._instead else ""

    def _count(self, text: str) -> None:
        self._line += line_ends(text) - (self._after_return and text.startswith("\n"))
        self._after_return = text.endswith("\r") if text else self._after_return
        self._foreign = self._foreign or not text.isascii()


def line_ends(text: str) -> int:
    """How many lines end in a text: at LF, CR LF or CR."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def lines_of(text: str) -> Iterator[str]:
    """Lines as files have them, each with its end: LF, CR LF or CR. str.splitlines would also
    break at rarer marks, such as U+2028, that are part of a text."""
    return (found[0] for found in re.finditer(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text))


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _known(encoding: str) -> str:
    """The encoding, which Python must know; one of UTF-16 and UTF-32 with its order of bytes."""
    try:
        "a".encode(encoding)  # refuses what is no encoding of text, such as hex
        codecs.getincrementaldecoder(encoding)
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError):
        raise ArgumentError(
            f"encoding must be one that Python knows, such as utf-8 or latin-1, got {encoding!r}"
        ) from None
    return {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}.get(name, name)


def _likely(content: bytes, tried: str) -> str | None:
    """An encoding that these bytes can be read in, the likeliest first; None if that would be a
    guess: every byte is some letter of windows-1252, even those of other scripts."""
    if _is(content, "utf-8") and tried != "utf-8":
        return "utf-8"
    foreign = re.findall(rb"[\x80-\xff]+", content)
    if sum(map(len, foreign)) >= 1.5 * len(foreign):  # Western letters mostly stand alone
        return None
    return "windows-1252" if _is(content, "windows-1252") else "iso-8859-1"


def _is(content: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(content)
    except UnicodeDecodeError:
        return False
    return True


def _width_without_mark(chunk: bytes) -> str | None:
    """UTF-16 by its zero bytes: every second one of most text."""
    head = chunk[:2000]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(head) < 8 or min(even, odd) or max(even, odd) < 0.15 * len(head):
        return None
    return "utf-16be" if even else "utf-16le"  # names that both Python and iconv know
