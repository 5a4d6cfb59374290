"""Reading text from files, folders, standard input, or Python's own documentation."""

import codecs
import os
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import AnyStr

from elman.errors import DataError
from elman.tasks.shared import text as files
from elman.tasks.shared.text import label_of, lines_of, require_there

BUILT_IN = "Python's language reference (pydoc_data.topics)"
_INSTEAD = "train on its bytes with --level byte"


def names(data: list[str]) -> list[str]:
    """What a run records about where its text came from. For information only, never opened."""
    return list(data) if data else [BUILT_IN]


def read_text(data: list[str], instead: str = _INSTEAD) -> Iterator[str]:
    """The text of all sources in pieces of at most about 1 MiB; several are joined by a newline.

    UTF-8, or what a byte-order mark says, which itself is left out. instead: what else can be done
    with a file that is no text, for messages.

    Raises:
        DataError: a source is missing, unreadable, empty, no text, or a folder without text.
    """
    if not data:
        return iter([_built_in_text()])
    return _joined(data, lambda name: files.read_text(name, instead=instead), "\n")


def read_bytes(data: list[str]) -> Iterator[bytes]:
    """The same as bytes, whatever they stand for; a byte-order mark of UTF-8 is left out."""
    if not data:
        return iter([_built_in_text().encode("utf-8")])
    return _joined(data, _unmarked, b"\n")


def read_lines(data: str, level: str) -> Iterator[str]:
    """The lines of a file, of a folder's files or of standard input, as a model of that level reads
    them: without their ends (LF, CR LF or CR), one at a time. For one of bytes, a byte that is no
    UTF-8 is half a character, as `surrogateescape` has it.

    Raises:
        DataError: as `read_text`.
    """
    held: list[str] = []
    for piece in _escaped(data) if level == "byte" else read_text([data], instead=""):
        held.append(piece)
        if not any(end in piece for end in "\r\n"):
            continue
        *whole, rest = lines_of("".join(held))
        held = [rest]
        if rest.endswith("\n"):  # a CR at the end may yet be that of a CR LF
            whole.append(rest)
            held = []
        yield from (line.rstrip("\r\n") for line in whole)
    if last := "".join(held):
        yield last.rstrip("\r\n")


def _escaped(data: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
    for piece in read_bytes([data]):
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)


def _joined(
    paths: list[str], pieces_of: Callable[[str], Iterator[AnyStr]], newline: AnyStr
) -> Iterator[AnyStr]:
    started = False
    for source in paths:
        for name in _files(source):
            pieces = filter(None, pieces_of(name))
            first = next(pieces, None)
            if first is not None:
                if started:
                    yield newline
                yield first
                yield from pieces
                started = True
            elif name == source:
                raise DataError(f"{label_of(name)} is empty; a model needs some text to learn from")


def _unmarked(name: str) -> Iterator[bytes]:
    pieces = files.read_bytes(name)
    return chain((piece.removeprefix(codecs.BOM_UTF8) for piece in islice(pieces, 1)), pieces)


def _files(source: str) -> list[str]:
    """The file, or the files of a folder, in order; hidden and empty ones are left out."""
    require_there(source)
    if source == "-" or not os.path.isdir(source):
        return [source]
    path = Path(source)
    found = sorted(
        str(file)
        for file in path.rglob("*")
        if file.is_file() and not _hidden(file.relative_to(path)) and file.stat().st_size
    )
    if not found:
        raise DataError(
            f"folder {label_of(source)} holds no text: no file in it has any content; give another"
        )
    return found


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _built_in_text() -> str:
    from pydoc_data.topics import topics

    return "\n".join(topics[key] for key in sorted(topics))
