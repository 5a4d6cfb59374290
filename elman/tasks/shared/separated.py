"""Tables of separated values, CSV and its relatives, as people's programs write them."""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING

from elman.errors import DataError
from elman.tasks.shared.recognise import markup
from elman.tasks.shared.records import (
    SEPARATORS,
    Dialect,
    Record,
    fields_of_any_size,
    find_dialect,
    records,
    splits_evenly,
)
from elman.tasks.shared.table import is_unnamed
from elman.tasks.shared.text import lines_of

if TYPE_CHECKING:
    import polars as pl

_SAMPLE = 100  # rows that tell whether row names begin them
_BLOCK = 1 << 16  # rows that are Python's strings at a time
_NULL = r"\N"  # how MySQL and PostgreSQL write a missing value into files
_TOLD = re.compile(r'"?sep=([,;|\t])"?[ ,;|\t]*(\r\n|\r|\n)', re.IGNORECASE)


@dataclass(frozen=True)
class Separated:
    """The cells of a table, all of them text; null where a cell is empty.

    lines: the line of the file in which each row begins. separator: what stands between cells.
    repeated: names that more than one column has; the second is then called `name.1`, as pandas
    does. notes: what the user should know about how it was read.
    """

    frame: "pl.DataFrame"
    lines: Sequence[int]
    separator: str
    repeated: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list)


def parse_separated(
    content: str, name: str, usual: str = ",", header: bool = True, blank: bool = False
) -> Separated:
    """Read a table. Rows without any content are left out. A column without a name is called
    `Unnamed: 0`, counted from 0, as pandas does.

    Args:
        content: the text of the file.
        name: how messages call it.
        usual: the separator to take where the first rows leave a choice.
        header: the first row names the columns; else they are called 1, 2, ...
        blank: keep rows without content that have a place for every field, so that rows can be
            counted as other programs count them.

    Raises:
        DataError: no rows, rows of another width than the first, quotes that do not pair up; with
            the line.
    """
    if not content.strip():
        raise DataError(f"{name} is empty; a table with a row for each example was expected")
    if (found := markup(content)) is not None:
        raise DataError(f"{name} must be a table of text, but is {found.name}; {found.advice}")
    with fields_of_any_size():
        content, dialect, first = _begun(content, usual)
        return _Table(content, name, dialect, first, blank).read(header)


def first_rows(content: str, usual: str, count: int) -> list[list[str]]:
    """The fields of the first rows with content, of any width, as far as they can be read."""
    rows: list[list[str]] = []
    with fields_of_any_size(), suppress(DataError):
        content, dialect, first = _begun(content, usual)
        for record in records(content, dialect, "", first):
            if len(rows) == count:
                break
            if not record.blank:
                rows.append(record.fields)
    return rows


def _begun(content: str, usual: str) -> tuple[str, Dialect, int]:
    """The content without a first line that tells Excel the separator, how its records are written,
    and the line in which they begin."""
    if told := _TOLD.match(content):
        return content[told.end() :], Dialect(told[1]), 2
    return content, find_dialect(content, usual), 1


class _Table:
    """One table on its way from text to cells."""

    def __init__(self, content: str, name: str, dialect: Dialect, first: int, blank: bool) -> None:
        self._keep_blank, self._width = blank, 0
        self._content, self._name, self._dialect, self._first = content, name, dialect, first
        self._lines, self._blank, self._numbered, self._wider = array("q"), 0, False, False
        self._joined: list[tuple[int, int]] = []

    def read(self, header: bool) -> Separated:
        found = self._records()
        sample = list(islice(found, _SAMPLE))
        full = [record for record in sample if not record.blank]
        if len(full) < 1 + header:
            raise DataError(
                f"{self._name} has a header but no rows; one row for each example was expected"
            )
        names = sample[0].fields
        if not header:
            names = [str(number) for number in range(1, len(names) + 1)]
        elif self._have_row_names(full):
            self._numbered, names = True, ["", *names]
        unique, repeated = _unique(names)
        rows = self._fields(chain(sample[header:], found), len(unique))
        frame = _frame(rows, unique)
        return Separated(
            frame, self._lines, self._dialect.separator, repeated, self._notes(frame.width)
        )

    def _have_row_names(self, sample: list[Record]) -> bool:
        """Whether the rows begin with their numbers, to which the header gives no name, as R's
        write.table writes them.

        R quotes them. Without quotes, the field too many may as well be a piece of a number with a
        decimal comma, or of a text; only a tab is part of neither.
        """
        header, *rows = (record.fields for record in sample)
        self._wider = (
            all(len(fields) == len(header) + 1 and fields[0].isdecimal() for fields in rows)
            and len({fields[0] for fields in rows}) == len(rows)
            and any(fields[-1] for fields in rows)  # or each row just ends with a separator
        )
        return self._wider and (self._dialect.separator == "\t" or self._begin_quoted(sample))

    def _begin_quoted(self, sample: list[Record]) -> bool:
        begins = {record.line for record in sample}
        lines = islice(lines_of(self._content), sample[-1].end - self._first + 1)
        return all(
            line.lstrip(" ").startswith('"')
            for number, line in enumerate(lines, self._first)
            if number in begins
        )

    def _records(self) -> Iterator[Record]:
        begun = False
        for record in records(self._content, self._dialect, self._name, self._first):
            if not record.blank:
                begun = True
                yield record
            elif begun and self._keep_blank and record.fields:
                yield record
            elif len(record.fields) > 1:
                self._blank += 1

    def _fields(self, rows: Iterable[Record], width: int) -> Iterator[list[str]]:
        """The rows' fields, after making sure that there are `width` of them."""
        for row in rows:
            if row.blank and (len(row.fields) != width or row.fields[0]):
                self._blank += len(row.fields) > 1
                continue
            if len(row.fields) != width:
                raise self._ragged(row.line, row.fields, width)
            self._lines.append(row.line)
            if row.end > row.line:
                self._joined.append((row.line, row.end))
            yield row.fields

    def _ragged(self, line: int, fields: list[str], wanted: int) -> DataError:
        got, separator = len(fields), SEPARATORS[self._dialect.separator]
        if wanted == 1:
            return self._unexpected(line, got)
        cure = "leave the line out"
        if got < wanted:
            advice = "add what is missing"
        elif not any(fields[wanted:]):
            advice = f"remove each {separator} after the last field"
        else:
            advice = self._enclose(separator, "field")
            if separator == "comma" and _have_neighbours(fields):
                advice += ", such as a number with a decimal or thousands comma"
            if self._wider:
                cure = f"put a {separator} before the first line if the rows begin with row numbers"
        like = "as in the line before" if self._numbered else "as in the first line"
        return DataError(
            f"{self._name}, line {line}: expected {wanted} fields {like}, with a {separator} "
            f"between them, got {got}; {advice}, or {cure}"
        )

    def _unexpected(self, line: int, got: int) -> DataError:
        """A row of several fields after a first line of one: a comment or a title that does not
        belong there, or the name of a column of texts that nothing encloses."""
        separator, (*some, last) = SEPARATORS[self._dialect.separator], SEPARATORS.values()
        if self._content.lstrip().startswith("#"):
            advice = "remove the comments above the table, the lines that begin with #"
        else:
            enclose = self._enclose(separator, "text")
            advice = f"{enclose}, or begin with a line that names all columns if there are several"
        return DataError(
            f"{self._name}, line {line}: expected one field, since the first line has no "
            f"{', '.join(some)} or {last}, got {got}; {advice}"
        )

    def _enclose(self, separator: str, what: str) -> str:
        if self._dialect.quoted:
            return f"put double quotes around a {what} that holds a {separator}"
        return f"replace a {separator} inside a {what}"

    def _notes(self, width: int) -> list[str]:
        notes = []
        if not self._dialect.quoted:
            notes.append("double quotes are read as text: they do not enclose whole fields")
        if self._numbered:
            notes.append(
                "rows have one field more than the first line: the first is taken for the name of "
                "the row, which R's write.table writes there"
            )
        if self._blank:
            notes.append(f"rows without content left out: {self._blank:,}")
        content = list(lines_of(self._content)) if self._joined else []
        for begin, end in self._joined:
            lines = content[begin - self._first : end - self._first + 1]
            if splits_evenly(lines, self._dialect.separator, width):
                notes.append(
                    f"lines {begin} to {end} are one row, by the double quotes around a field; if "
                    f"each is a row of its own, one of the quotes in them is stray"
                )
                break
        return notes


def _unique(names: list[str]) -> tuple[list[str], frozenset[str]]:
    """Names of columns that differ, and those that stood there more than once."""
    named = [" ".join(name.split()) or f"Unnamed: {place}" for place, name in enumerate(names)]
    counts, unique = Counter(named), dict[str, None]()
    for name in named:
        number, free = 0, name
        while free in unique or (number and free in counts):
            number += 1
            free = f"{name}.{number}"
        unique[free] = None
    repeated = {name for name, count in counts.items() if count > 1 and not is_unnamed(name)}
    return list(unique), frozenset(repeated)


def _frame(rows: Iterator[list[str]], names: list[str]) -> "pl.DataFrame":
    """Cells as Polars keeps them, which takes a tenth of the memory of Python's strings."""
    import polars as pl

    schema = dict.fromkeys(names, pl.String)
    blocks = [pl.DataFrame(schema=schema)]
    while block := list(islice(rows, _BLOCK)):
        blocks.append(pl.DataFrame(dict(zip(names, zip(*block, strict=True), strict=True)), schema))
    cells = pl.all()
    return pl.concat(blocks).select(
        pl.when(cells.is_in(["", _NULL])).then(None).otherwise(cells).name.keep()
    )


def _have_neighbours(fields: list[str]) -> bool:
    """Whether two fields that stand side by side could be the two halves of a number."""
    digits = [field.strip().lstrip("+-").isdecimal() for field in fields]
    return any(map(all, pairwise(digits)))
