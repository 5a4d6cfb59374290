"""What a row of a table gives a model: one text or several, numbers and categories beside them."""

import csv
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.errors import ArgumentError, DataError, RunError
from elman.tasks.classify.data.examples import short

SEPARATOR = "\u241f"
"""Stands between the texts of several columns, whose cells never hold it: ␟, the symbol for a unit
separator."""
MISSING = ("", "na", "n/a", "nan", "null", "none", "#n/a", "<na>", "-", "?")
"""What stands in a cell of numbers, in lower case, where there is none."""
_MOST = 1000  # categories of a column; rarer ones are read as one that is not known
_LARGEST = 1e38  # number of a column, so that no difference is beyond a float
_FARTHEST = 10.0  # of a scaled number from the median

Place = Callable[[int], str]
"""Where a row stands in the user's data, for messages."""


def nowhere(row: int) -> str:
    """The place of a row that came from no file."""
    return f"row {row + 1}"


def names_in(option: str, columns: Sequence[str] = ()) -> list[str]:
    """The columns that an option names, with commas between; double quotes enclose a name that
    holds one. A name with a comma that is a column is taken as it is."""
    if option in columns:
        return [option]
    return [name.strip() for row in csv.reader([option]) for name in row if name.strip()]


def joined_texts(columns: Sequence[Sequence[str]]) -> list[str]:
    """The texts of each row as one; "" where all of them are empty."""
    if len(columns) == 1:
        return list(columns[0])
    rows = zip(*columns, strict=True)
    return [
        SEPARATOR.join(text.replace(SEPARATOR, " ") for text in row) if any(row) else ""
        for row in rows
    ]


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers, read as asinh((x - median) / deviation): straight near the median, and
    like a logarithm far from it, so that neither outliers nor long tails drown the rest.

    deviation: a robust one, the quartiles' distance / 1.349; where that is 0 the mean distance from
    the median.
    """

    name: str
    median: float
    deviation: float

    @classmethod
    def of(cls, name: str, cells: Sequence[str], place: Place) -> "NumberColumn":
        """Measured on the cells of the training part."""
        values = _numbers(name, cells, place)
        values = values[~np.isnan(values)]
        if not len(values):
            raise DataError(f"column {name!r} holds no number in the training part; leave it out")
        low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
        deviation = (high - low) / 1.349 or np.abs(values - median).mean() or 1.0
        return cls(name, float(median), float(deviation))

    def encode(self, cells: Sequence[str], place: Place) -> np.ndarray:
        """`(N,)` float32, NaN where there is no number."""
        with np.errstate(over="ignore"):  # infinity is clipped, too
            scaled = np.arcsinh((_numbers(self.name, cells, place) - self.median) / self.deviation)
        return np.clip(scaled, -_FARTHEST, _FARTHEST).astype(np.float32)


@dataclass(frozen=True)
class CategoryColumn:
    """A column of categories. values: known ones; number i + 1 is values[i], 0 any other."""

    name: str
    values: tuple[str, ...]

    @classmethod
    def of(cls, name: str, cells: Sequence[str]) -> "CategoryColumn":
        """The commonest values of the training part."""
        common = [value for value, _ in Counter(cells).most_common(_MOST)]
        return cls(name, tuple(sorted(common)))

    def encode(self, cells: Sequence[str]) -> np.ndarray:
        """`(N,)` float32 numbers of the values."""
        number = {value: i for i, value in enumerate(self.values, 1)}
        return np.array([number.get(cell, 0) for cell in cells], dtype=np.float32)


@dataclass(frozen=True)
class Inputs:
    """texts: the columns whose texts are read, one after the other; none if examples are read from
    no table. numbers and categories: columns beside them."""

    texts: tuple[str, ...] = ()
    numbers: tuple[NumberColumn, ...] = ()
    categories: tuple[CategoryColumn, ...] = ()

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        numbers: Sequence[str],
        categories: Sequence[str],
        training: Mapping[str, Sequence[str]],
        place: Place,
    ) -> "Inputs":
        """Names of columns, and the cells of the training part by these names.

        Raises:
            DataError: a column of numbers without a number, or with something else in it.
        """
        return cls(
            tuple(texts),
            tuple(NumberColumn.of(name, training[name], place) for name in numbers),
            tuple(CategoryColumn.of(name, training[name]) for name in categories),
        )

    @property
    def names(self) -> list[str]:
        """Of the columns beside the texts, in the order of `encode`."""
        return [*(c.name for c in self.numbers), *(c.name for c in self.categories)]

    @property
    def plain(self) -> bool:
        """Whether an example is no more than its text or signal."""
        return len(self.texts) < 2 and not self.names

    def encode(self, cells: Mapping[str, Sequence[str]], count: int, place: Place) -> np.ndarray:
        """`(N, C)` float32 of the cells of each column: numbers, then categories.

        Raises:
            DataError: a cell that is no number.
        """
        columns = [column.encode(cells[column.name], place) for column in self.numbers]
        columns += [column.encode(cells[column.name]) for column in self.categories]
        return np.stack(columns, 1) if columns else np.zeros((count, 0), dtype=np.float32)

    def fit(self, encoded: np.ndarray, count: int) -> bool:
        """Whether an array from a run folder is what `encode` gives for so many examples."""
        width = len(self.numbers)
        if encoded.dtype != np.float32 or encoded.shape != (count, len(self.names)):
            return False
        numbers, categories = encoded[:, :width], encoded[:, width:]
        known = np.array([len(column.values) for column in self.categories])
        return bool(
            (np.isnan(numbers) | (np.abs(numbers) <= _FARTHEST)).all()
            and ((categories >= 0) & (categories <= known) & (categories % 1 == 0)).all()
        )

    def of_mapping(self, row: object) -> tuple[str, dict[str, str]]:
        """The text, and the other cells, of an example given in Python by the names of columns.

        Raises:
            ArgumentError: no mapping, or a column that is not in it.
        """
        wanted = [*self.texts, *self.names]
        if not isinstance(row, Mapping):
            raise ArgumentError(
                f"this model reads the columns {', '.join(wanted)} of a table; give a mapping with "
                f"them, or a table with --file, got {short(repr(row))}"
            )
        if lacking := [name for name in wanted if name not in row]:
            raise ArgumentError(
                f"an example must have all of {', '.join(wanted)}, but lacks "
                f"{', '.join(lacking)}; give None where it is not known"
            )
        cells = {name: "" if row[name] is None else str(row[name]).strip() for name in wanted}
        return joined_texts([[cells[name]] for name in self.texts])[0], cells

    def to_json(self) -> dict[str, Any]:
        return {
            "texts": list(self.texts),
            "numbers": [[c.name, c.median, c.deviation] for c in self.numbers],
            "categories": [[c.name, list(c.values)] for c in self.categories],
        }

    @classmethod
    def from_json(cls, value: object) -> "Inputs":
        """Raises `RunError` unless the value is what `to_json` gives; None stands for nothing."""
        if value is None:
            return cls()
        try:
            found = cls._from(value)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            found = None
        if found is None or len({*found.texts, *found.names}) < len([*found.texts, *found.names]):
            raise RunError(
                "vocabulary.json must hold under inputs the columns of texts, numbers (with median "
                "and deviation) and categories (with their values); restore it or train anew"
            )
        return found

    @classmethod
    def _from(cls, value: Any) -> "Inputs | None":
        numbers = tuple(NumberColumn(*fields) for fields in value["numbers"])
        categories = tuple(CategoryColumn(n, tuple(values)) for n, values in value["categories"])
        names = [*value["texts"], *(c.name for c in numbers), *(c.name for c in categories)]
        scales = [x for c in numbers for x in (c.median, c.deviation)]
        if (
            not all(isinstance(name, str) for name in names)
            or not all(type(x) is float and math.isfinite(x) for x in scales)
            or not all(c.deviation > 0 for c in numbers)
            or not all(isinstance(v, str) for c in categories for v in c.values)
            or not all(len(set(c.values)) == len(c.values) <= _MOST for c in categories)
        ):
            return None
        return cls(tuple(value["texts"]), numbers, categories)


PLAIN = Inputs()
"""A text or a signal, and nothing else."""


def _numbers(name: str, cells: Sequence[str], place: Place) -> np.ndarray:
    """`(N,)` float64, NaN where a cell says that there is none."""
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if cell.strip().lower() in MISSING:
            continue
        try:
            values[row] = float(cell)
        except ValueError:
            values[row] = np.inf
        if not abs(values[row]) <= _LARGEST:
            raise DataError(
                f"{place(row)}: {name!r} must be a finite number, or empty where there is none, "
                f"got {short(cell)!r}; correct it, or give the column as --category-columns"
            )
    return values
