"""Small tables for the tests of forecasting."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np

SMALL = {
    "hidden_size": 8, "batch_size": 8, "look_back": 12, "horizon": 4, "evaluate_every": 5,
    "threads": 1, "backend": "reference",
}  # fmt: skip
"""Settings of a model so small that the plain loop is faster than compiling it."""


def days(count: int, start: str = "2024-01-01") -> list[str]:
    first = date.fromisoformat(start)
    return [(first + timedelta(days=day)).isoformat() for day in range(count)]


def wave(count: int, seed: int = 0) -> np.ndarray:
    """A week's wave with a little noise."""
    noise = np.random.default_rng(seed).normal(0, 0.1, count)
    return np.round(10 + np.sin(np.arange(count) * 2 * np.pi / 7) + noise, 4)


def write(path: Path, header: str, rows: list) -> Path:
    lines = [header, *(row if isinstance(row, str) else ",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def daily(path: Path, count: int = 120, gaps: tuple[int, ...] = (), blank: tuple[int, ...] = ()):
    """day,sales: one value a day, without the days `gaps` and with empty cells at `blank`."""
    values = wave(count)
    rows = [
        (day, "" if number in blank else values[number])
        for number, day in enumerate(days(count))
        if number not in gaps
    ]
    return write(path, "day,sales", rows)


def shops(path: Path, count: int = 90) -> Path:
    """Two shops in one table, with a price known ahead (ten days more) and visitors known up to
    now; shop b begins 20 days later."""
    rows = []
    for shop, begin in (("a", 0), ("b", 20)):
        values = wave(count, seed=begin) * (1 if shop == "a" else 100)
        for number, day in enumerate(days(count + 10)):
            if number >= begin:
                known = number < count
                sales = values[number] if known else ""
                visitors = round(float(values[number]) * 3, 3) if known else ""
                rows.append((shop, day, sales, visitors, 1 + number % 3))
    return write(path, "shop,day,sales,visitors,price", rows)


SHOPS = {"id_column": "shop", "targets": "sales", "past": "visitors", "future": "price"}
