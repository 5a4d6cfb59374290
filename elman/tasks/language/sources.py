"""Reading text from files, folders, standard input, or Python's own documentation."""

import codecs
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from elman.errors import DataError

CHUNK = 1 << 20
BUILT_IN = "Python's language reference (pydoc_data.topics)"
BYTE_ORDER_MARK = codecs.BOM_UTF8


def names(data: list[str]) -> list[str]:
    """What a run records about where its text came from. For information only, never opened."""
    return list(data) if data else [BUILT_IN]


def read_chunks(data: list[str]) -> Iterator[tuple[str, bytes]]:
    """The text of all sources as `(source name, bytes)` pieces of at most about 1 MiB.

    Several files are joined by a newline; a byte-order mark at the start of a file is left out.

    Raises:
        DataError: a source is missing, unreadable, empty, or a folder without files.
    """
    if not data:
        yield BUILT_IN, _built_in_text()
        return
    first = True
    for source in data:
        for name in _files(source):
            if not first:
                yield name, b"\n"
            first = False
            yield from _read_file(name)


def decode_chunks(chunks: Iterator[tuple[str, bytes]]) -> Iterator[str]:
    """UTF-8 text of the chunks, or a `DataError` that names file and byte offset."""
    decoder, current, offset = codecs.getincrementaldecoder("utf-8")(), None, 0
    for name, chunk in chunks:
        if name != current:
            if current is not None:
                _finish(decoder, current, offset)
            decoder.reset()
            current, offset = name, 0
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(chunk)
        except UnicodeDecodeError as error:
            raise _not_text(name, offset - pending + error.start, error.reason) from None
        if (zero := text.find("\0")) >= 0:
            position = offset - pending + len(text[:zero].encode("utf-8"))
            raise _not_text(name, position, "a zero byte, as in binary files")
        offset += len(chunk)
        yield text
    if current is not None:
        _finish(decoder, current, offset)


def _finish(decoder: codecs.IncrementalDecoder, name: str, offset: int) -> None:
    pending = decoder.getstate()[0]
    if pending:
        raise _not_text(name, offset - len(pending), "the file ends inside a character")


def _not_text(name: str, offset: int, reason: str) -> DataError:
    return DataError(
        f"{name} must be UTF-8 text, but byte {offset} is not ({reason}); "
        f"convert it to UTF-8, or train on its bytes with --level byte"
    )


def _files(source: str) -> list[str]:
    if source == "-":
        return ["-"]
    path = Path(source)
    if path.is_dir():
        found = sorted(
            str(file)
            for file in path.rglob("*")
            if file.is_file() and not _hidden(file.relative_to(path))
        )
        if not any(os.path.getsize(file) for file in found):
            raise DataError(f"folder {source} holds no text: no file in it has any content")
        return [file for file in found if os.path.getsize(file)]
    if not path.exists():
        raise DataError(f"no file or folder {source}; give a path that exists, or - for input")
    return [source]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _read_file(name: str) -> Iterator[tuple[str, bytes]]:
    label = "standard input" if name == "-" else name
    try:
        if name == "-":
            yield from _pieces(label, sys.stdin.buffer)
        else:
            with open(name, "rb") as file:
                yield from _pieces(label, file)
    except OSError as error:
        raise DataError(f"can't read {label}: {error.strerror}") from None


def _pieces(label: str, file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    chunk = file.read(CHUNK).removeprefix(BYTE_ORDER_MARK)
    if not chunk:
        raise DataError(f"{label} is empty; a model needs some text to learn from")
    while chunk:
        yield label, chunk
        chunk = file.read(CHUNK)


def _built_in_text() -> bytes:
    from pydoc_data.topics import topics

    return "\n".join(topics[key] for key in sorted(topics)).encode("utf-8")
