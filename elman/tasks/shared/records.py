"""The records of separated text, by Python's csv module in its strict mode: a stray quote is an
error there, and not half of a file in one field."""

import csv
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from elman.errors import DataError
from elman.tasks.shared.text import line_ends, lines_of

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_SAMPLE = 100  # records that tell the separator
_LONGEST = 2**31 - 1  # the longest field that the csv module can be asked for everywhere
_LIMIT = threading.Lock()


@dataclass(frozen=True)
class Dialect:
    """quoted: double quotes may enclose a field; else they are text like all other characters."""

    separator: str
    quoted: bool = True


class Record(NamedTuple):
    """A row, and the first and last line of the file in which it stands."""

    line: int
    end: int
    fields: list[str]

    @property
    def blank(self) -> bool:
        return not any(map(str.strip, self.fields))


@contextmanager
def fields_of_any_size() -> Iterator[None]:
    """Lift the limit of 131,072 characters a field, which holds for the whole process."""
    with _LIMIT:
        before = csv.field_size_limit(_LONGEST)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def records(content: str, dialect: Dialect, name: str, first: int = 1) -> Iterator[Record]:
    """All records, blank ones too. first: the line in which the content begins.

    Raises:
        DataError: quotes that do not pair up, with the line where the first of them stands.
    """
    reader = csv.reader(lines_of(content), strict=True, **_format(dialect))
    done = 0
    try:
        for fields in reader:
            yield Record(first + done, first + reader.line_num - 1, fields)
            done = reader.line_num
    except csv.Error as error:
        rest = islice(lines_of(content), done, None)
        if "end of data" not in str(error):
            place = _lines(first + done, first + reader.line_num - 1)
            fault = "the double quotes around a field do not pair up"
        else:
            before = next(csv.reader(rest, **_format(dialect)))[:-1]
            place = f"line {first + done + sum(map(line_ends, before))}"
            fault = "a double quote opens a field that nothing closes"
        raise DataError(
            f"{name}, {place}: {fault}; write a quote that is part of a text twice, and one more "
            f"before and after the whole field, next to its separators"
        ) from None


def find_dialect(content: str, usual: str) -> Dialect:
    """The separator that divides the first records evenly; `usual` where there is a choice."""
    order = sorted(SEPARATORS, key=lambda separator: separator != usual)
    separator = max(order, key=lambda separator: _fit(content, separator))
    return Dialect(separator, quoted=separator != "\t" or _tabs_are_quoted(content))


def splits_evenly(lines: list[str], separator: str, width: int) -> bool:
    """Whether each line would be a row of its own, if quotes were no more than text."""
    plain = csv.reader(lines, **_format(Dialect(separator, quoted=False)))
    return all(len(fields) == width for fields in plain)


def _format(dialect: Dialect) -> dict[str, Any]:
    if not dialect.quoted:
        return {"delimiter": dialect.separator, "quoting": csv.QUOTE_NONE}
    # Written by hand, a field in quotes often stands after a space.
    return {"delimiter": dialect.separator, "skipinitialspace": dialect.separator != "\t"}


def _lines(begin: int, end: int) -> str:
    return f"line {begin}" if begin == end else f"lines {begin} to {end}"


class _Shape(NamedTuple):
    """What reading in one dialect would give. paired: no stray quote."""

    widths: list[int]
    paired: bool

    @property
    def even(self) -> bool:
        return len(set(self.widths)) == 1


def _shape(content: str, dialect: Dialect, count: int | None = None) -> _Shape:
    """Of the first `count` records that are not blank."""
    widths: list[int] = []
    try:
        found = (record for record in records(content, dialect, "") if not record.blank)
        for record in islice(found, count):
            widths.append(len(record.fields))
    except DataError:
        return _Shape(widths, paired=False)
    return _Shape(widths, paired=True)


def _fit(content: str, separator: str) -> tuple[bool, int]:
    """Whether a separator divides the first records evenly, and how many fields the first has."""
    shape = _shape(content, Dialect(separator), _SAMPLE)
    if not shape.paired and separator == "\t":
        shape = _shape(content, Dialect(separator, quoted=False), _SAMPLE)
    if not shape.widths:
        return False, 0
    header, *rows = shape.widths
    # R writes row names without a name in the header, which then is one field shorter.
    even = len(set(rows)) <= 1 and all(width in (header, header + 1) for width in rows)
    return even and header > 1, header


def _tabs_are_quoted(content: str) -> bool:
    """Whether quotes enclose fields between tabs: half of the programs do that, half do not."""
    if '"' not in content:
        return True
    quoted = _shape(content, Dialect("\t"))
    plain = _shape(content, Dialect("\t", quoted=False))
    if quoted.paired and quoted.even:
        # Rows that quotes would join, though each is whole by itself, are no quoted line breaks.
        return not plain.even or len(quoted.widths) == len(plain.widths)
    return not plain.even and quoted.paired
