"""What a file is, by its first bytes, whatever its name says."""

import json
import os
from typing import NamedTuple

PARQUET = b"PAR1"
_HEAD = 1 << 20


class Format(NamedTuple):
    """A format that is no plain text: what it is called, and what its owner can do."""

    name: str
    advice: str


_BY_NAME = "give a file of text"
_EXPORT = "open it in a spreadsheet program and save it as CSV (UTF-8)"
_WITH_PYTHON = "write its text or table to a file with the program that made it"
_FIRST_BYTES: tuple[tuple[bytes, Format], ...] = (
    (b"\x1f\x8b", Format("a gzip archive", "unpack it with gunzip")),
    (b"\xfd7zXZ\0", Format("an xz archive", "unpack it with unxz")),
    (b"BZh91AY&SY", Format("a bzip2 archive", "unpack it with bunzip2")),
    (b"\x28\xb5\x2f\xfd", Format("a Zstandard archive", "unpack it with unzstd")),
    (b"7z\xbc\xaf\x27\x1c", Format("a 7-Zip archive", "unpack it")),
    (b"Rar!\x1a\x07", Format("a RAR archive", "unpack it")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Format("an old Excel or Word file", _EXPORT)),
    (PARQUET, Format(
        "a Parquet file",
        "write it as CSV, in Python: polars.read_parquet(PATH).write_csv(NEW)",
    )),
    (b"ARROW1", Format(
        "an Arrow file", "write it as CSV, in Python: polars.read_ipc(PATH).write_csv(NEW)"
    )),
    (b"FEA1", Format("a Feather file", _WITH_PYTHON)),
    (b"Obj\x01", Format("an Avro file", _WITH_PYTHON)),
    (b"\x89HDF\r\n\x1a\n", Format("an HDF5 file", _WITH_PYTHON)),
    (b"CDF\x01", Format("a NetCDF file", _WITH_PYTHON)),
    (b"SQLite format 3\0", Format("an SQLite database", "export the table as CSV")),
    (b"\x93NUMPY", Format("a NumPy array", _WITH_PYTHON)),
    (b"\x80\x02", Format("a Python pickle", _WITH_PYTHON)),
    (b"\x80\x03", Format("a Python pickle", _WITH_PYTHON)),
    (b"\x80\x04", Format("a Python pickle", _WITH_PYTHON)),
    (b"\x80\x05", Format("a Python pickle", _WITH_PYTHON)),
    (b"RDX2\n", Format("an R workspace", "write the table with write.csv in R")),
    (b"RDX3\n", Format("an R workspace", "write the table with write.csv in R")),
    (b"<stata_dta>", Format("a Stata file", _WITH_PYTHON)),
    (b"$FL2", Format("an SPSS file", _WITH_PYTHON)),
    (b"%PDF-", Format("a PDF document", "save its text as .txt, for example with pdftotext")),
    (b"{\\rtf", Format("an RTF document", "save it as plain text")),
    (b"\x89PNG\r\n\x1a\n", Format("a PNG picture", _BY_NAME)),
    (b"\xff\xd8\xff", Format("a JPEG picture", _BY_NAME)),
    (b"GIF87a", Format("a GIF picture", _BY_NAME)),
    (b"GIF89a", Format("a GIF picture", _BY_NAME)),
    (b"\x7fELF", Format("a program", _BY_NAME)),
    (b"version https://git-lfs.github.com/spec/v1", Format(
        "a Git LFS pointer in place of the data", "fetch the data with git lfs pull"
    )),
)  # fmt: skip
_IN_ZIP: tuple[tuple[bytes, Format], ...] = (
    (b"application/vnd.oasis.opendocument.spreadsheet", Format("an OpenDocument sheet (.ods)",
                                                               _EXPORT)),
    (b"application/vnd.oasis.opendocument.text", Format("an OpenDocument text (.odt)",
                                                        "save it as plain text")),
    (b"xl/", Format("an Excel workbook (.xlsx)", _EXPORT)),
    (b"word/", Format("a Word document (.docx)", "save it as plain text")),
    (b".npy", Format("a NumPy archive (.npz)", _WITH_PYTHON)),
)  # fmt: skip


def recognise(head: bytes) -> Format | None:
    """The format that these first bytes of a file belong to; None for what may be text.

    Of a Zip archive the first megabyte or so should be given: it tells a workbook from others.
    """
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        for mark, found in _IN_ZIP:
            if mark in head:
                return found
        return Format("a Zip archive", "unpack it with unzip")
    return next((found for mark, found in _FIRST_BYTES if head.startswith(mark)), None)


def markup(text: str) -> Format | None:
    """HTML, XML or JSON where a table was expected: a page about the data, or a sheet saved as
    one."""
    if _is_json(text):
        return Format(
            "JSON",
            "write it as CSV, in Python: polars.read_json(PATH).write_csv(NEW), or read_ndjson "
            "where each line is an object",
        )
    start = text[:1000].lstrip().lower()
    if start.startswith(("<!doctype html", "<html", "<head", "<table")):
        return Format("an HTML page", "download the file itself, or save the table as CSV")
    if start.startswith("<?xml"):
        return Format("an XML file", _EXPORT)
    return None


def _is_json(text: str) -> bool:
    """By the first line: an object, a list, or how one begins that is written over many lines. A
    table may hold such a thing in a column."""
    first = text[:_HEAD].lstrip().partition("\n")[0].strip()
    if first in ("[", "{", "[{"):
        return True
    if not first.startswith(("[", "{")):
        return False
    try:
        return isinstance(json.loads(first), dict | list)
    except (ValueError, RecursionError):
        return len(first) > _HEAD // 2 and first.startswith(('[{"', '{"'))


def head_of(path: str) -> bytes:
    """The first bytes of a file, as `recognise` wants them. Empty for what can be read only once,
    such as a pipe, and for what can't be read."""
    try:
        if not os.path.isfile(path):
            return b""
        with open(path, "rb") as file:
            return file.read(_HEAD)
    except (OSError, ValueError):
        return b""
