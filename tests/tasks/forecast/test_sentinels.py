"""Numbers that may stand for missing values are named, others of the same look are not."""

import numpy as np
import polars as pl
import pytest

from elman.tasks.forecast.sentinels import sentinel_note
from elman.tasks.shared.table import Table

USUAL = [310.0, 312.5, np.nan, 317.0, 311.0, 314.0]


def note(values) -> str:
    table = Table(pl.DataFrame({"x": values}), "t.csv", range(2, 2 + len(values)))
    return sentinel_note(np.array(values, dtype=float), "x", table)


@pytest.mark.parametrize("nines", [-999.99, -99, -9, -9999.0, 9999, 999.9, 99999])
def test_numbers_of_nines_far_from_all_others(nines):
    found = note([*USUAL, nines, 312, nines, nines])
    assert found.startswith(
        f"x: {nines:g} stands 3 times, far from all other values, first in t.csv"
    )
    assert "line 8" in found
    assert "leave these cells empty" in found


@pytest.mark.parametrize(
    "values",
    [
        USUAL,
        [*USUAL, -999.99],  # once: a mistake or a value
        [*USUAL, -1000, -1000],
        [*USUAL, -989.9, -989.9],
        [*USUAL, 99, 99],
        [0, 500, 700, 999, 999],  # near the others
        [-9, -9, 3, 24, 8],
        [-999.0] * 5,
        [np.nan] * 3,
        [1e300, -1e300, -999, -999],
    ],
)
def test_values_that_mean_themselves(values):
    assert note(values) == ""
