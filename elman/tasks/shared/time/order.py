"""Columns that order rows by time: dates, or any numbers that grow."""

import numpy as np

from elman.errors import DataError
from elman.tasks.shared.table import Table, shown
from elman.tasks.shared.time.stamps import looks_like_dates, stamps_of


def order_of(table: Table, column: str) -> np.ndarray:
    """`(N,)` numbers that grow with the time of the rows.

    Raises:
        DataError: a cell that is neither a date like most others nor a number; names its row.
    """
    import polars as pl

    cells = table.frame[column]
    if cells.dtype == pl.String:
        cells = cells.str.strip_chars()
    if cells.dtype == pl.String or cells.dtype.is_numeric():
        numbers = cells.cast(pl.Float64, strict=False)
        bad = (~numbers.is_finite()).fill_null(True).arg_true()
        if not len(bad):
            return numbers.to_numpy()
        dated = cells.dtype == pl.String and looks_like_dates(cells)
        if len(bad) < len(cells) / 2 and not dated:
            row = int(bad[0])
            raise DataError(
                f"{table.place(row)}: {column} must be a number, as most of its cells are, got "
                f"{shown(cells[row])}; correct or remove the row"
            )
    return stamps_of(table, column).values
