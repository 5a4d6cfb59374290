"""CSV and Parquet files as tables whose cells are checked one by one, with the place of every cell
that can't be used.

A CSV file is read as text, so that each mistake can be shown as it stands in the file.
"""

import csv
import difflib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from elman.errors import ArgumentError, DataError

if TYPE_CHECKING:
    import polars as pl

_MOST_NAMES = 8
_MOST_SHOWN = 60


@dataclass(frozen=True)
class Table:
    """A file's cells. lines: the line of each row, for a file of text; separator: what stands
    between its cells."""

    frame: "pl.DataFrame"
    name: str
    lines: Sequence[int] | None = None
    separator: str = ""

    def place(self, row: int) -> str:
        if self.lines is None:
            return f"{self.name}, row {row + 1}"
        return f"{self.name}, line {self.lines[row]}"

    def require(self, column: str) -> None:
        """Raise `ArgumentError` if there is no such column."""
        columns = self.frame.columns
        if column not in columns:
            near = difflib.get_close_matches(column, columns, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ArgumentError(
                f"{self.name} has no column {column!r}; {hint}it has {listing(columns)}"
            )


def default_data() -> str:
    """The weekly CO2 record of Mauna Loa, 1958 to 2001, as statsmodels carries it.

    Raises:
        DataError: statsmodels is not installed.
    """
    spec = importlib.util.find_spec("statsmodels")  # found, not imported: that would take seconds
    places = spec.submodule_search_locations if spec is not None else None
    for place in places or ():
        path = Path(place) / "datasets" / "co2" / "co2.csv"
        if path.is_file():
            return str(path)
    raise DataError(
        "training without data takes the CO2 record of statsmodels, which is not installed; "
        "pip install 'elman[demo]', or name a CSV or Parquet file"
    )


def read_table(path: str) -> Table:
    """A CSV or Parquet file.

    Raises:
        DataError: no such file, not readable, or rows of different width.
    """
    import polars as pl

    file = Path(path)
    if not file.is_file():
        raise DataError(f"no file {path}; give a CSV or Parquet file that exists")
    try:
        if file.suffix.lower() in (".parquet", ".pq"):
            table = Table(_flat(pl.read_parquet(file)), file.name)
        else:
            separator, lines, blank = _checked_lines(file)
            frame = pl.read_csv(
                file, separator=separator, infer_schema=False, truncate_ragged_lines=True
            )
            frame = frame.rename({name: name.strip() for name in frame.columns})
            frame = frame.select(pl.all().str.strip_chars())
            table = Table(
                frame.filter(~pl.Series(blank)) if any(blank) else frame,
                file.name,
                lines,
                separator,
            )
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror or error}") from None
    except (pl.exceptions.PolarsError, csv.Error) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} can't be read as a table: {reason}; give CSV or Parquet") from None
    if table.frame.is_empty():
        raise DataError(f"{path} holds no rows; a model needs some to learn from")
    return table


def _checked_lines(file: Path) -> tuple[str, list[int], list[bool]]:
    """The separator, the line number of every row that is not blank, and which rows are blank."""
    with open(file, encoding="utf-8-sig", newline="") as text:
        try:
            header = text.readline()
            separator = max(",;\t", key=header.count)
            text.seek(0)
            reader = csv.reader(text, delimiter=separator)
            names = [name.strip() for name in next(reader, [])]
            width = len(names)
            repeated = next((name for name in names if name and names.count(name) > 1), None)
            if repeated is not None:
                raise DataError(
                    f"{file.name}, line 1: two columns have the name {repeated!r}; rename one"
                )
            lines, blank = [], []
            for cells in reader:
                blank.append(not cells)
                if not cells:
                    continue
                if len(cells) != width:
                    raise DataError(
                        f"{file.name}, line {reader.line_num}: a row must have {width} cells like "
                        f"the header, got {len(cells)}; correct or remove the row"
                    )
                lines.append(reader.line_num)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{file} must be UTF-8 text, but byte {error.start} is not; convert it to UTF-8"
            ) from None
    return separator, lines, blank


def listing(names: Sequence[str]) -> str:
    """Names with commas between them; only the first of very many."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def shown(cell: object) -> str:
    """A cell as a message shows it."""
    if cell in (None, ""):
        return "an empty cell"
    text = repr(cell) if isinstance(cell, str) else str(cell)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _flat(frame: "pl.DataFrame") -> "pl.DataFrame":
    """Categories as the text that they stand for, without spaces around it."""
    import polars as pl

    text = pl.col(pl.Categorical, pl.Enum, pl.String)
    return frame.with_columns(text.cast(pl.String).str.strip_chars())
