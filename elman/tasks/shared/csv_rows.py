"""Rows of CSV that every reader takes for one row each, whatever a text holds."""

import csv
import io
from collections.abc import Iterable, Sequence


def csv_row(fields: Sequence[object]) -> str:
    """One row, with its end. Fields with a separator, a quote or any kind of line end are quoted.

    A zero character and half a character, which many readers stop at, become �.
    """
    line = io.StringIO()
    # Only characters of the line end are quoted by Python's csv, so it must hold both.
    csv.writer(line, lineterminator="\r\n").writerow([_whole(str(field)) for field in fields])
    return line.getvalue().removesuffix("\r\n") + "\n"


def csv_bytes(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A whole file in UTF-8."""
    return "".join(map(csv_row, [columns, *rows])).encode("utf-8")


def _whole(text: str) -> str:
    return "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)
