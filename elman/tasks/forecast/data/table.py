"""CSV and Parquet files as tables whose cells are checked one by one, with the place of every cell
that can't be used.

A CSV file is read as text, so that each mistake can be shown as it stands in the file.
"""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from elman.errors import DataError
from elman.tasks.shared.recognise import PARQUET, head_of
from elman.tasks.shared.separated import parse_separated
from elman.tasks.shared.table import Table, parquet_cells
from elman.tasks.shared.text import label_of, read_text

if TYPE_CHECKING:
    import polars as pl


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
        DataError: no such file, not readable, without rows, rows of different width, or columns
            that share a name.
    """
    if path == "-":
        raise DataError(
            "forecasting reads its table from a file, got - for standard input; write it to a file"
        )
    name = label_of(Path(path).name)
    if head_of(path).startswith(PARQUET):
        return Table(_stripped(parquet_cells(path, name)), name)
    usual = "\t" if Path(path).suffix.lower() in (".tsv", ".tab") else ","
    found = parse_separated("".join(read_text(path)), name, usual)
    if found.repeated:
        raise DataError(f"{name}: two columns have the name {min(found.repeated)!r}; rename one")
    return Table(_stripped(found.frame), name, found.lines, found.separator, found.notes)


def _stripped(frame: "pl.DataFrame") -> "pl.DataFrame":
    """Text without spaces around it, and categories as the text that they stand for."""
    import polars as pl

    text = pl.col(pl.Categorical, pl.Enum, pl.String)
    return frame.with_columns(text.cast(pl.String).str.strip_chars())
