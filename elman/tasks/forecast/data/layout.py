"""What a run knows about its table: columns, grid, series, and how time is cut into parts.

Written to `vocabulary.json`, and checked when it is read back, because nobody vouches for a run.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from elman.errors import ArgumentError, DataError
from elman.tasks.forecast.data.columns import Columns
from elman.tasks.forecast.data.panel import Gaps, Source
from elman.tasks.forecast.settings import ForecastSettings
from elman.tasks.shared.time.grid import EVERY_DAY, KINDS, Grid
from elman.tasks.shared.time.style import FORMATS, INDEX, Style

ETT_TRAIN, ETT_PART, ETT_LOOK_BACK, ETT_HORIZON = 8640, 2880, 96, 96


@dataclass(frozen=True)
class Windowing:
    """Sizes in rows: what a model sees, what it forecasts, one segment, one season; and where the
    training, validation and test parts end, as rows of the grid."""

    look_back: int
    horizon: int
    segment: int
    season: int
    train_end: int
    valid_end: int
    test_end: int


@dataclass(frozen=True)
class Layout:
    """notes: what the user should know about how the table was read. units: what stands beside the
    numbers of each column, such as % or €; empty for a run that does not know."""

    columns: Columns
    grid: Grid
    ids: tuple[str, ...]
    windowing: Windowing
    gaps: Gaps
    notes: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "columns": asdict(self.columns),
            "grid": asdict(self.grid),
            "ids": list(self.ids),
            "windowing": asdict(self.windowing),
            "gaps": asdict(self.gaps),
            "notes": list(self.notes),
            "units": list(self.units),
        }

    @classmethod
    def from_json(cls, value: object) -> "Layout":
        """The inverse of `to_json` for a file that nobody vouches for.

        Raises:
            DataError, ArgumentError: it is not what `to_json` writes.
        """
        try:
            return _parsed(value)
        except (KeyError, TypeError, IndexError):
            raise DataError(
                "the description of a table must hold columns, grid, ids, windowing and gaps"
            ) from None


def plan_windows(source: Source, settings: ForecastSettings) -> Windowing:
    """Every size that the settings leave open, and the rows at which the parts end.

    Raises:
        ArgumentError: settings that contradict one another.
        DataError: too few rows for the preset.
    """
    ett = settings.preset == "ett"
    rows = source.panel.last
    if ett:
        rows = _ett_rows(rows, settings)
    test = ETT_PART if ett else _part(settings.test_part, rows, "test_part")
    valid = ETT_PART if ett else max(1, _part(settings.validation_part, rows, "validation_part"))
    train = rows - test - valid
    season = _suggested_season(source, settings)
    season = season if season < train else 1  # nothing to compare with: no value has come twice
    horizon = settings.horizon or (ETT_HORIZON if ett else _usual_horizon(season))
    look_back = settings.look_back or (
        ETT_LOOK_BACK if ett else _usual_look_back(season, horizon, train)
    )
    segment = settings.segment or _usual_segment(horizon, look_back)
    if segment > look_back:
        raise ArgumentError(
            f"segment must be at most the look-back of {look_back} rows, got {segment}"
        )
    return Windowing(look_back, horizon, segment, season, train, train + valid, rows)


def season_note(source: Source, settings: ForecastSettings, windowing: Windowing) -> str:
    """What the user should know about a season that does not count, or ""."""
    season = _suggested_season(source, settings)
    if season == windowing.season:
        return ""
    return (
        f"a season of {season:,} rows does not fit into the training part of "
        f"{windowing.train_end:,}, so there is none; give a shorter one with --season"
    )


def _suggested_season(source: Source, settings: ForecastSettings) -> int:
    return settings.season or source.grid.season


def _ett_rows(rows: int, settings: ForecastSettings) -> int:
    needed = ETT_TRAIN + 2 * ETT_PART
    if rows < needed:
        raise DataError(f"--preset ett needs {needed} hourly rows, got {rows}; leave it out")
    if settings.look_back not in (None, ETT_LOOK_BACK):
        raise ArgumentError(
            f"--preset ett stands for a look-back of {ETT_LOOK_BACK}, got {settings.look_back}; "
            f"leave out one of the two"
        )
    return needed


def _part(value: float, rows: int, name: str) -> int:
    if value >= 1.0 and value != int(value):
        raise ArgumentError(f"{name} must be a share below 1 or a whole number, got {value}")
    part = int(value) if value >= 1.0 else round(value * rows)
    if part >= rows:
        raise ArgumentError(f"{name} must leave rows for training, got {part} of {rows} rows")
    return part


def _usual_horizon(season: int) -> int:
    """A season ahead, or a dozen rows where there is none."""
    return season if season > 1 else 12


def _usual_look_back(season: int, horizon: int, train: int) -> int:
    """Two seasons or two horizons, whichever is more, if the training part is long enough."""
    return max(1, min(2 * max(season, horizon), (train - horizon) // 2))


def _usual_segment(horizon: int, look_back: int) -> int:
    """The longest that divides the horizon and is at most a quarter of it and of the look-back."""
    most = max(1, min(horizon, look_back) // 4)
    return max(size for size in range(1, most + 1) if horizon % size == 0)


def _parsed(value: Any) -> Layout:
    columns, grid, windowing, gaps = (
        value[key] for key in ("columns", "grid", "windowing", "gaps")
    )
    style = Style(
        _one_of(grid["style"]["format"], FORMATS | {INDEX}, "format"),
        _text(grid["style"]["zone"]),
        tuple(_count(ahead, None) for ahead in grid["style"].get("local", [])),
    )
    kind = _one_of(grid["kind"], KINDS, "kind")
    if (kind == "index") == style.dated:
        raise DataError(f"a grid of kind {kind!r} can't have stamps like {style.format}")
    layout = Layout(
        Columns(
            _text(columns["time"]),
            _names(columns["targets"]),
            _names(columns["past"]),
            _names(columns["future"]),
            None if columns["id"] is None else _text(columns["id"]),
        ),
        Grid(
            kind,
            _count(grid["step"], 1),
            _count(grid["origin"], None),
            style,
            _is_true(grid["month_end"]),
            _weekmask(grid.get("weekmask", EVERY_DAY)),
        ),
        _names(value["ids"]),
        Windowing(**{name: _count(number, 0) for name, number in windowing.items()}),
        Gaps(_count(gaps["rows"], 0), _text(gaps["where"])),
        _names(value.get("notes", [])),
        tuple(_text(unit) for unit in value.get("units", [])),
    )
    _require_order(layout)
    layout.grid.text(0)  # raises if the calendar does not reach that far
    layout.grid.text(layout.windowing.test_end)
    return layout


def _require_order(layout: Layout) -> None:
    w = layout.windowing
    if not (
        layout.columns.targets
        and layout.ids
        and min(w.look_back, w.horizon, w.segment, w.season) >= 1
        and w.segment <= w.look_back
        and w.train_end <= w.valid_end <= w.test_end
        and len(layout.units) in (0, len(layout.columns.numeric))
    ):
        raise DataError("the description of a table has sizes or parts that do not fit together")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise DataError(f"the description of a table must hold a text, got {value!r}")
    return value


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(set(map(repr, value))) != len(value):
        raise DataError(f"the description of a table must hold distinct names, got {value!r}")
    return tuple(_text(name) for name in value)


def _count(value: object, minimum: int | None) -> int:
    small = minimum is not None and isinstance(value, int) and value < minimum
    if not isinstance(value, int) or isinstance(value, bool) or small or abs(value) >= 2**62:
        raise DataError(f"the description of a table must hold a whole number, got {value!r}")
    return value


def _is_true(value: object) -> bool:
    if not isinstance(value, bool):
        raise DataError(f"the description of a table must hold true or false, got {value!r}")
    return value


def _weekmask(value: object) -> str:
    text = _text(value)
    if len(text) != 7 or set(text) - {"0", "1"} or "1" not in text:
        raise DataError(f"the description of a table must hold seven digits, got {value!r}")
    return text


def _one_of(value: object, choices: Collection[str], what: str) -> str:
    if value not in choices:
        raise DataError(f"the {what} in the description of a table is not known: {value!r}")
    return str(value)
