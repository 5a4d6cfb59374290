"""Columns of numbers as people write them: decimal points and commas, groups of thousands,
currencies, percent.

A column is read by one of two conventions, whichever reads all of its cells. Where both do, with
different values, the other columns of the table decide, then its separator; else it is refused.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from elman.errors import DataError
from elman.tasks.shared.table import Table, shown

if TYPE_CHECKING:
    import polars as pl

MISSING = ("", "na", "n/a", "n.a.", "#n/a", "<na>", "nan", "nat", "null", "none", "?", "-", ".")
"""Cells, in lower case, that stand for a missing value."""

LARGEST = 1e300
"""Beyond it sums and differences of values could leave float64."""

_CURRENCIES = r"EUR|USD|GBP|CHF|JPY|CNY|INR|BRL|R\$|kr\.?|zł"
_UNIT = rf"(?i)(\p{{Sc}}|%|{_CURRENCIES})"
_WITHIN = rf"(?i)[0-9]\s*(?:\p{{Sc}}|%|{_CURRENCIES})\s*[0-9]"
"""A unit between digits, as in 5€50: what that means is not known."""
_FIRST = 100
_POINT, _COMMA = "point", "comma"
_BY_SEPARATOR = {",": _POINT, ";": _COMMA}
_UNUSUAL = (";", "\t", "|")
"""Separators beside which 1.234 may well be a thousand: how it is read is said."""
_NINES = re.compile(r"-9+(\.9+)?|9{3,}(\.9+)?")
"""How measuring stations and old programs write that there is no value."""
_FEWEST_NINES = 2
_FORM = (
    r"^[+-]?(?:(?:\d+|[1-9]\d{0,2}(?:[MARK]\d{2,3})*[MARK]\d{3}|[1-9]\d{0,2}(?:[ '’]\d{3})+)"
    r"(?:[POINT]\d*)?|[POINT]\d+)(?:[eE][+-]?\d+)?$"
).replace(r"\d", "[0-9]")  # \d would be the digits of every script, which no cast can read
_FORMS = {
    name: _FORM.replace("MARK", mark).replace("POINT", point)
    for name, mark, point in ((_POINT, ",", "."), (_COMMA, ".", ","))
}


@dataclass(frozen=True)
class Numbers:
    """values: `(N,)` float64, NaN where missing. note: how cells that are no plain numbers were
    read, or "". unit: what stands beside them, such as % or €, or ""."""

    values: np.ndarray
    note: str = ""
    unit: str = ""


class NumberReader:
    """Reads the columns of a table one by one."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, column: str) -> Numbers:
        """The numbers in a column.

        Raises:
            DataError: with the line of the first cell that is no finite number, or of one that can
                be read in two ways.
        """
        import polars as pl

        table, note, unit = self._table, "", ""
        cells = table.frame[column]
        if cells.dtype == pl.String:
            values, note, unit = self._from_text(column)
            absent = ~_given(cells)
        elif cells.dtype.is_numeric() or cells.dtype in (pl.Boolean, pl.Null):
            values, absent = cells.cast(pl.Float64), cells.is_null()
        else:
            raise DataError(f"column {column!r} of {table.name} must be numeric, got {cells.dtype}")
        absent |= values.is_nan().fill_null(False)
        bad = (~(absent | (values.abs() <= LARGEST).fill_null(False))).arg_true()
        if len(bad):
            row = int(bad[0])
            raise DataError(
                f"{table.place(row)}: {column} must be a finite number or empty, got "
                f"{shown(cells[row])}{_too_large(values[row])}; correct the cell, or name other "
                f"columns with --targets"
            )
        return Numbers(values.set(absent, float("nan")).to_numpy(), note, unit)

    def _from_text(self, column: str) -> tuple["pl.Series", str, str]:
        """Float64, null where a cell is no number; how unusual cells were read; and their unit."""
        import polars as pl

        cells = self._table.frame[column]
        if are_truths(cells):
            return (cells.str.to_lowercase() == "true").cast(pl.Float64), "", ""
        given = _given(cells)
        plain = cells.cast(pl.Float64, strict=False)
        if _is_clear(cells, plain):
            return plain, "", ""
        bare, unit = _bare(cells)
        fits = {name: int((_fitting(bare, name) & given).sum()) for name in _FORMS}
        how = max(fits, key=lambda name: fits[name])
        doubtful = _differing(bare, given) if len(set(fits.values())) == 1 else None
        if doubtful is not None:
            how = self._decided(column, plain.filter(given), unit.filter(given), bare, doubtful)
        if not fits[how]:
            return plain, "", ""
        usual = unit.filter(given).mode().sort()[0]  # amounts in two currencies are no one column
        values = _read(bare, how).set((unit != usual) & given, None)
        unusual = values.is_not_null() & given & (plain != values).fill_null(True)
        rows = unusual.arg_true().to_list()
        worth_a_word = rows or self._table.separator in _UNUSUAL or _seem_grouped(bare, how)
        if doubtful is not None and values[doubtful] is not None and worth_a_word:
            rows.insert(0, doubtful)  # of all cells the one that needs it most
        if not rows:
            return values, "", usual
        place = f"{shown(cells[rows[0]])} ({self._table.place(rows[0])})"
        return values, f"{column}: {place} is read as {values[rows[0]]:.10g}", usual

    def _decided(
        self, column: str, plain: "pl.Series", unit: "pl.Series", bare: "pl.Series", row: int
    ) -> str:
        """The convention of a column that both could read: that of the other columns; if they say
        nothing, a point for cells that any program reads as they are, else what goes with the
        table's separator, unless the cells speak against it.

        plain, unit: of the cells that are not missing. row: the first that is in doubt.
        """
        others = set(self._clear.values())
        if len(others) == 1:
            return others.pop()
        if not plain.null_count():
            return _POINT
        usual = _BY_SEPARATOR.get(self._table.separator)
        # What has a unit was laid out for people, who see as many decimals in each cell.
        if usual is not None and ((unit == "").all() or not _seem_grouped(bare, usual)):
            return usual
        read = " or ".join(f"{_read(bare, name)[row]:.10g}" for name in _FORMS)
        raise DataError(
            f"{self._table.place(row)}: {column} can be read in two ways, got "
            f"{shown(self._table.frame[column][row])}, which is {read}; write numbers like 1234.5"
        )

    @cached_property
    def _clear(self) -> dict[str, str]:
        """The columns that only one convention can read, and which."""
        import polars as pl

        found = {}
        for name in self._table.frame.columns:
            cells = self._table.frame[name]
            if cells.dtype == pl.String:
                if _is_clear(cells, cells.cast(pl.Float64, strict=False)):
                    found[name] = _POINT
                    continue
                bare, _ = _bare(cells.filter(_given(cells)))
                fits = [how for how in _FORMS if len(bare) and bool(_fitting(bare, how).all())]
                if len(fits) == 1:
                    found[name] = fits[0]
        return found


def sentinel_note(values: np.ndarray, column: str, table: Table) -> str:
    """A word on a number of nines that stands again and again far from all other values `(N,)` of a
    column, NaN where missing; "" if there is none."""
    known = values[~np.isnan(values)]
    if not len(known):
        return ""
    for nines in (known.min(), known.max()):
        text = f"{nines:.15g}"
        others = known[known != nines]
        count = len(known) - len(others)
        if count < _FEWEST_NINES or not len(others) or not _NINES.fullmatch(text):
            continue
        gap = np.abs(others - nines).min()
        if gap > np.ptp(others):
            row = int(np.flatnonzero(values == nines)[0])
            return (
                f"{column}: {text} stands {count:,} times, far from all other values, first in "
                f"{table.place(row)}; it is taken as a value, so if it means that there is none, "
                f"leave these cells empty"
            )
    return ""


def share_of_numbers(cells: "pl.Series") -> float:
    """Which share of the cells that are not missing are numbers; NaN if all are missing."""
    import polars as pl

    if cells.dtype != pl.String:
        empty = cells.null_count() == len(cells)
        return float("nan") if empty else float(cells.dtype.is_numeric())
    given = cells.filter(_given(cells))
    if given.is_empty():
        return float("nan")
    if not given.cast(pl.Float64, strict=False).null_count():
        return 1.0
    bare, _ = _bare(given)
    return max(int(_fitting(bare, name).sum()) for name in _FORMS) / len(bare)


def are_truths(cells: "pl.Series") -> bool:
    """Whether a column holds nothing but true and false."""
    import polars as pl

    if cells.dtype == pl.Boolean:
        return True
    given = cells.filter(_given(cells)) if cells.dtype == pl.String else cells.head(0)
    return len(given) > 0 and bool(given.str.to_lowercase().is_in(["true", "false"]).all())


def _is_clear(cells: "pl.Series", plain: "pl.Series") -> bool:
    """Whether all cells are plain numbers and the first already show that a point is a point."""
    given = _given(cells)
    if (plain.is_null() & given).any():
        return False
    return not _fitting(cells.filter(given).head(_FIRST), _COMMA).all()


def _differing(bare: "pl.Series", given: "pl.Series") -> int | None:
    """The first row that the two conventions read differently."""
    point, comma = (_read(bare, name) for name in _FORMS)
    rows = (given & (point != comma)).fill_null(False).arg_true()
    return int(rows[0]) if len(rows) else None


def _seem_grouped(bare: "pl.Series", name: str) -> bool:
    """Whether what would be decimals by a convention looks like thousands instead: beside cells
    with three of them stand small ones without any, as in 950 and 1.150."""
    bare = bare.filter(_given(bare))
    marked = bare.str.contains("." if name == _POINT else ",", literal=True)
    small = bare.str.contains(r"^[+-]?[0-9]{1,3}$")
    return bool((~marked).any() and (marked | small).all())


def _given(cells: "pl.Series") -> "pl.Series":
    return ~(cells.is_null() | cells.str.to_lowercase().is_in(MISSING))


def _bare(cells: "pl.Series") -> tuple["pl.Series", "pl.Series"]:
    """Cells without currency, percent and unusual spaces and signs; and what they had of those."""
    text = cells.str.replace_all("[\u00a0\u2009\u202f]", " ").str.replace_all("[\u2212\u2013]", "-")
    within = text.str.contains(_WITHIN).fill_null(False)
    unit = text.str.extract(_UNIT, 1).set(within, None).fill_null("")
    text = text.zip_with(within, text.str.replace(_UNIT, "").str.strip_chars())
    text = text.str.replace(r"^\((.*)\)$", "-${1}").str.replace(r"^-\s+", "-")
    return text, unit


def _fitting(bare: "pl.Series", name: str) -> "pl.Series":
    import polars as pl

    fits = bare.str.contains(_FORMS[name])
    return fits | bare.cast(pl.Float64, strict=False).is_not_null() if name == _POINT else fits


def _read(bare: "pl.Series", name: str) -> "pl.Series":
    """Float64 by one convention, null where a cell is of another form."""
    import polars as pl

    mark, point = (",", ".") if name == _POINT else (".", ",")
    text = bare.set(~_fitting(bare, name).fill_null(False), None)
    text = text.str.replace_all(rf"[{mark} '’]", "").str.replace(point, ".", literal=True)
    return text.cast(pl.Float64, strict=False)


def _too_large(value: float | None) -> str:
    if value is None or not LARGEST < abs(value) < float("inf"):
        return ""
    return f", which is beyond {LARGEST:g}"
