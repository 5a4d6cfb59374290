"""Whether series can be learned from, and what the user should know about them."""

import numpy as np

from elman.errors import DataError
from elman.tasks.forecast.data.layout import Layout
from elman.tasks.forecast.data.panel import Panel, Source
from elman.tasks.forecast.data.scaling import training_rows, training_scale
from elman.tasks.forecast.data.windows import windows_between

_FARTHEST = 1e12
"""Deviations from the mean beyond which float32 could not hold the squares of errors."""


def check_reach(
    layout: Layout, panel: Panel, whose: np.ndarray, mean: np.ndarray, scale: np.ndarray
) -> None:
    """Raise `DataError` if a value is so far from the training part that a model can't tell it.

    whose: `(S,)` number in the run of each of the panel's series. mean, scale: `(S, K)` of them.
    """
    owner = np.repeat(np.arange(len(panel.lengths)), panel.lengths)
    with np.errstate(over="ignore"):
        far = np.abs(panel.values - mean[owner]) / scale[owner]
    rows, places = np.nonzero(panel.observed & ~(far <= _FARTHEST))
    if len(rows):
        row, column = int(rows[0]), int(places[0])
        raise DataError(
            f"{layout.columns.numeric[column]} is {panel.values[row, column]:g} at "
            f"{_stamp(layout, panel, row, whose)}, more than {_FARTHEST:g} deviations away from "
            f"the mean of the training part, {mean[owner[row], column]:g}; correct it, or give "
            f"logarithms"
        )


def check_series(layout: Layout, panel: Panel) -> None:
    """Raise `DataError` if the series are too short for the windows, or hold nothing to learn."""
    w = layout.windowing
    for number, rows in training_rows(panel, w.train_end):
        have, need = rows.stop - rows.start, w.look_back + w.horizon
        if have < need:
            raise DataError(
                f"{_series(layout, number)} has {have} rows in the training part, but one window "
                f"needs {need} (look-back {w.look_back} + horizon {w.horizon}); give more rows, or "
                f"a smaller --look-back or --horizon"
            )
    for name, start, stop in (
        ("validation", w.train_end, w.valid_end), ("test", w.valid_end, w.test_end)
    ):  # fmt: skip
        if stop > start and not len(windows_between(panel, w.look_back, w.horizon, start, stop)):
            raise DataError(
                f"the {name} part has {stop - start} rows, but one window needs {w.horizon} there "
                f"(the horizon); give a larger --{name}-part or a smaller --horizon"
            )
    ahead = windows_between(panel, w.look_back, w.horizon, w.train_end, w.valid_end).origin
    forecast = panel.observed[ahead[:, None] + np.arange(w.horizon), : len(layout.columns.targets)]
    if not forecast.any():
        raise DataError(
            "the validation part has no value of any target, only missing ones; give a larger "
            "--validation-part, or data without that gap"
        )
    _check_columns(layout, panel)
    whose = np.arange(len(panel.lengths))
    check_reach(layout, panel, whose, *training_scale(panel, w.train_end))


def notes_of(layout: Layout, panel: Panel) -> list[str]:
    """What stands in the table that is no mistake, but should be known."""
    notes = list(layout.notes)
    if layout.gaps.rows:
        notes.append(
            f"the table is {layout.grid.name}, but leaves out {_rows(layout.gaps.rows)}, first "
            f"{layout.gaps.where}; they count as missing values"
        )
    for column, name in enumerate(layout.columns.numeric):
        missing = np.flatnonzero(~panel.observed[:, column] & _with_targets(panel))
        if len(missing):
            what = "masked" if column < len(layout.columns.targets) else "filled with the last one"
            notes.append(
                f"{name}: {len(missing):,} of {len(panel.values):,} values are missing, the first "
                f"at {_stamp(layout, panel, int(missing[0]))}; they are {what}"
            )
    for number, rows in training_rows(panel, layout.windowing.train_end):
        for column, name in enumerate(layout.columns.numeric):
            if _constant(panel, rows, column):
                notes.append(f"{name} does not vary in the training part of "
                             f"{_series(layout, number)}")  # fmt: skip
    return notes


def unit_notes(layout: Layout, source: Source, name: str) -> list[str]:
    """A word on each column that has another unit than in the run. name: of the table. A currency
    that only one of the two tells is no difference: it is often left out."""
    notes = []
    for column, ours, theirs in zip(
        layout.columns.numeric, layout.units, source.units, strict=False
    ):
        if _same_unit(ours, theirs) or (not (ours and theirs) and "%" not in (ours, theirs)):
            continue
        notes.append(
            f"{column} is in {theirs or 'plain numbers'} in {name}, but in "
            f"{ours or 'plain numbers'} in the data of the run; its numbers are taken as they are"
        )
    return notes


def _same_unit(one: str, other: str) -> bool:
    return one.casefold().rstrip(".") == other.casefold().rstrip(".")


def _check_columns(layout: Layout, panel: Panel) -> None:
    columns = layout.columns
    training = list(training_rows(panel, layout.windowing.train_end))
    for column, name in enumerate(columns.numeric):
        flag = ("--targets", "--past", "--future")[
            int(np.searchsorted(np.cumsum(columns.roles), column, side="right"))
        ]
        if not any(panel.observed[rows, column].any() for _, rows in training):
            raise DataError(
                f"column {name!r} has no value in the training part, only missing ones; leave it "
                f"out with {flag}"
            )
        if column < len(columns.targets) and all(
            _constant(panel, rows, column) for _, rows in training
        ):
            value = panel.values[panel.observed[:, column], column][0]
            raise DataError(
                f"column {name!r} is constant in the training part ({value:g} in every row), so "
                f"there is nothing to learn; leave it out with --targets"
            )


def _constant(panel: Panel, rows: slice, column: int) -> bool:
    values = panel.values[rows, column][panel.observed[rows, column]]
    return bool((values == values[:1]).all())


def _with_targets(panel: Panel) -> np.ndarray:
    """Which of the N rows are not only there for future covariates."""
    within = np.arange(len(panel.values)) - np.repeat(panel.offsets, panel.lengths)
    are_inside: np.ndarray = within < np.repeat(panel.ends, panel.lengths)
    return are_inside


def _stamp(layout: Layout, panel: Panel, row: int, whose: np.ndarray | None = None) -> str:
    number = int(np.searchsorted(panel.offsets, row, side="right")) - 1
    text = layout.grid.text(int(panel.first[number] + row - panel.offsets[number]))
    name = number if whose is None else int(whose[number])
    return text if layout.columns.id is None else f"{text} of {_series(layout, name)}"


def _series(layout: Layout, number: int) -> str:
    return "the series" if layout.columns.id is None else f"series {layout.ids[number]!r}"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
