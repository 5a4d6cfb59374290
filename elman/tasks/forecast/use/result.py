"""A forecast as the user gets it: real dates, points, intervals."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.errors import ArgumentError
from elman.tasks.forecast.data.columns import Columns


@dataclass(frozen=True)
class WindowForecasts:
    """The H rows after each of B windows, for C targets, float64, in the table's units.

    quantiles: `(B, H, C, Q)`, ascending; the first and the last are the ends of the calibrated
    interval. point: `(B, H, C)`, the median.
    """

    quantiles: np.ndarray
    point: np.ndarray

    @property
    def lower(self) -> np.ndarray:
        """`(B, H, C)`, the interval's lower end."""
        return self.quantiles[..., 0]

    @property
    def upper(self) -> np.ndarray:
        """`(B, H, C)`, the interval's upper end."""
        return self.quantiles[..., -1]


@dataclass(frozen=True)
class Forecast(WindowForecasts):
    """The H rows after the end of each of S series, which take the place of the windows.

    times: for each series its H time stamps, as the table writes them. levels: of the quantiles.
    coverage: the share of values that the interval is meant to hold. notes: what the user should
    know about how the data was read.
    """

    ids: tuple[str, ...]
    columns: tuple[str, ...]
    times: tuple[tuple[str, ...], ...]
    levels: tuple[float, ...]
    coverage: float
    time_column: str = "time"
    id_column: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def header(self) -> list[str]:
        """The headings of `rows`."""
        return headings(self.time_column, self.id_column, self.columns, self.levels)

    def rows(self) -> Iterator[list[str | float]]:
        """One row for each series and time: stamp, then point, low, high (and the quantiles that
        were learned) of each target."""
        for s, (name, times) in enumerate(zip(self.ids, self.times, strict=True)):
            for h, time in enumerate(times):
                row: list[str | float] = [time] if self.id_column is None else [name, time]
                for c in range(len(self.columns)):
                    row += [
                        float(self.point[s, h, c]),
                        float(self.lower[s, h, c]),
                        float(self.upper[s, h, c]),
                    ]
                    row += [float(self.quantiles[s, h, c, q]) for q in _inner(self.levels)]
                yield row

    def to_csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows(self.rows())
        return text.getvalue()

    def to_json(self) -> dict[str, Any]:
        series = []
        for s, name in enumerate(self.ids):
            columns = {
                column: {
                    "forecast": self.point[s, :, c].tolist(),
                    "low": self.lower[s, :, c].tolist(),
                    "high": self.upper[s, :, c].tolist(),
                    "quantiles": {
                        f"{level:g}": self.quantiles[s, :, c, q].tolist()
                        for q, level in enumerate(self.levels)
                    },
                }
                for c, column in enumerate(self.columns)
            }
            series.append({"id": name or None, "time": list(self.times[s]), "columns": columns})
        return {"coverage": self.coverage, "series": series, "notes": list(self.notes)}


def headings(
    time: str, id: str | None, targets: tuple[str, ...], levels: tuple[float, ...]
) -> list[str]:
    """The columns of a forecast as a table."""
    names = [time] if id is None else [id, time]
    for target in targets:
        names += [target, f"{target} low", f"{target} high"]
        names += [f"{target} {level:g}" for level in _inner(levels).values()]
    return names


def check_headings(columns: Columns, levels: tuple[float, ...]) -> None:
    """Raise `ArgumentError` if a forecast would have two columns of one name."""
    names = headings(columns.time, columns.id, columns.targets, levels)
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise ArgumentError(
            f"a forecast of {', '.join(map(repr, columns.targets))} would have two columns "
            f"{repeated!r}, as each target gets one for low and one for high; rename a column, or "
            f"choose some with --targets"
        )


def _inner(levels: tuple[float, ...]) -> dict[int, float]:
    """The levels between the ends without the median, by their place."""
    return {place: level for place, level in list(enumerate(levels))[1:-1] if level != 0.5}
