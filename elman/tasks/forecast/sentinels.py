"""Numbers such as -999.99 that may stand for missing values: they are kept, but named."""

import re

import numpy as np

from elman.tasks.shared.table import Table

_NINES = re.compile(r"-9+(\.9+)?|9{3,}(\.9+)?")
"""How measuring stations and old programs write that there is no value."""
_FEWEST = 2


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
        if count < _FEWEST or not len(others) or not _NINES.fullmatch(text):
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
