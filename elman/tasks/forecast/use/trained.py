"""A trained forecasting model in use."""

import os
from collections.abc import Callable

import numpy as np

from elman.errors import ArgumentError, DataError
from elman.paths import path_of
from elman.tasks.base import Outcome
from elman.tasks.forecast.data.checks import check_reach, unit_notes
from elman.tasks.forecast.data.layout import Layout
from elman.tasks.forecast.data.panel import Panel, build_panel
from elman.tasks.forecast.data.table import read_table
from elman.tasks.forecast.data.windows import Windows, windows_between
from elman.tasks.forecast.model.forecaster import Forecaster
from elman.tasks.forecast.settings import (
    BacktestSettings,
    ForecastSettings,
    delivered_levels,
    interval_coverage,
)
from elman.tasks.forecast.use.backtest import Backtest, run_backtest
from elman.tasks.forecast.use.naive import Naive
from elman.tasks.forecast.use.pictures import Drawing, draw_errors, draw_forecasts, history_rows
from elman.tasks.forecast.use.predictor import Predictor
from elman.tasks.forecast.use.result import Forecast, WindowForecasts
from elman.tasks.shared.table import listing
from elman.tasks.shared.trained import Trained

Path = str | os.PathLike[str]
Retrain = Callable[[Panel, int], "TrainedForecast"]


class TrainedForecast(Trained[Forecaster]):
    """What `elman.load` returns for a forecasting run.

    model: the network with its scaling, in evaluation mode. layout: columns, grid of time, parts.
    coverage: the share of values that its intervals are meant to hold.
    """

    def __init__(
        self,
        model: Forecaster,
        settings: ForecastSettings,
        layout: Layout,
        panel: Panel | None = None,
    ) -> None:
        super().__init__(model)
        self.layout = layout
        self.panel = panel
        self.coverage = interval_coverage(settings)
        self._settings = settings

    @property
    def horizon(self) -> int:
        """Rows that the model learned to forecast."""
        return self.layout.windowing.horizon

    @property
    def keeps_test(self) -> bool:
        """Whether the run has a test part, and its data."""
        w = self.layout.windowing
        return self.panel is not None and w.test_end > w.valid_end

    def forecast(self, data: Path | None = None, horizon: int | None = None) -> Forecast:
        """The rows after the end of each series.

        Args:
            data: a table with the columns that the run was trained on; None goes on from the end of
                the run's own series. Covariates known ahead stand in rows after the last target.
            horizon: rows to forecast; None for as many as the model learned. More are reached by
                feeding forecasts back, and their intervals are as wide as that of the last row
                learned, which is too narrow.

        Raises:
            ArgumentError: a horizon below 1, or no data given and none kept.
            DataError: a table that does not fit the run, is shorter than the look-back, or whose
                future covariates end too early.
        """
        steps = _positive(horizon, self.horizon, "horizon")
        predictor, windows = self._at_the_end(data, steps)
        found = predictor.forecasts(windows, np.arange(len(windows)), steps)
        grid, columns = self.layout.grid, self.layout.columns
        first = predictor.panel.first + predictor.panel.ends
        return Forecast(
            ids=tuple(self.layout.ids[number] for number in predictor.whose),
            columns=columns.targets,
            times=tuple(tuple(grid.text(int(f) + h) for h in range(steps)) for f in first),
            point=found.point,
            quantiles=found.quantiles,
            levels=delivered_levels(self._settings),
            coverage=self.coverage,
            time_column=columns.time,
            id_column=columns.id,
            notes=predictor.notes,
        )

    def draw(self, data: Path | None = None, horizon: int | None = None) -> bytes:
        """`forecast` as a picture: a PNG of the first four series or columns over their history."""
        steps = _positive(horizon, self.horizon, "horizon")
        predictor, windows = self._at_the_end(data, steps)
        found = predictor.forecasts(windows, np.arange(len(windows)), steps)
        return self._drawn(predictor, windows, found, steps, came=False)

    def evaluate(
        self,
        data: Path | None = None,
        horizon: int | None = None,
        stride: int = BacktestSettings.stride,
        retrain: Retrain | None = None,
    ) -> Backtest:
        """A rolling backtest: forecasts from every `stride`-th row on, beside naive ones.

        Args:
            data: a table with the columns of the run, all of which is forecast but its first
                look-back rows; None takes the run's own test part.
            horizon: rows ahead; None for as many as the model learned.
            stride: rows from one forecast to the next.
            retrain: `(panel, row) -> TrainedForecast`, which trains anew on the rows of the grid
                before `row`; None uses this model throughout.

        Raises:
            ArgumentError: horizon or stride below 1; or no data given and no test part kept.
            DataError: the data does not fit the run, or is too short.
        """
        steps = _positive(horizon, self.horizon, "horizon")
        stride = _positive(stride, 1, "stride")
        predictor = self._predictor(data)
        windows = self._test_windows(predictor, data, steps, stride)
        again = None
        if retrain is not None:

            def again(row: int) -> Predictor:
                trained = retrain(predictor.panel, row)
                number = {name: place for place, name in enumerate(trained.layout.ids)}
                # A series that begins later is not in it, and not asked for either.
                whose = [number.get(self.layout.ids[series], 0) for series in predictor.whose]
                return Predictor(
                    trained.model, self._settings, self.layout, predictor.panel, np.array(whose)
                )

        return run_backtest(predictor, windows, steps, stride, again)

    def test(self) -> Outcome | None:
        """The backtest of the test part with its pictures; None if there is no such part."""
        if self.panel is None or not self.keeps_test:
            return None
        w = self.layout.windowing
        predictor = self._on(self.panel)
        windows = self._test_windows(predictor, None, w.horizon, 1)
        backtest = run_backtest(predictor, windows, w.horizon, 1)
        ends = np.array(
            [np.flatnonzero(windows.series == s)[-1] for s in np.unique(windows.series)]
        )
        found = predictor.forecasts(windows, ends, w.horizon)
        last = Windows(windows.series[ends], windows.origin[ends])
        pictures = {
            "forecast.png": self._drawn(predictor, last, found, w.horizon, came=True),
            "errors.png": draw_errors(backtest),
        }
        return Outcome(backtest.to_json(), pictures)

    def _predictor(self, data: Path | None) -> Predictor:
        if data is None:
            if self.panel is None:
                raise ArgumentError("this run keeps no data of its own; give a table")
            return self._on(self.panel)
        table = read_table(path_of(data))
        for name in self.layout.columns.named:
            table.require(name)
        source = build_panel(table, self.layout.columns, self.layout.grid)
        known = {name: number for number, name in enumerate(self.layout.ids)}
        for name in source.ids:
            if name not in known:
                raise DataError(
                    f"{table.name} holds series {name!r}, which the run was not trained on; it "
                    f"knows {listing(self.layout.ids)}"
                )
        whose = np.array([known[name] for name in source.ids])
        mean, scale = (
            fitted.cpu().numpy()[whose] for fitted in (self.model.mean, self.model.scale)
        )
        check_reach(self.layout, source.panel, whose, mean, scale)
        notes = (*source.notes, *unit_notes(self.layout, source, table.name))
        return self._on(source.panel, whose, notes)

    def _on(
        self, panel: Panel, whose: np.ndarray | None = None, notes: tuple[str, ...] = ()
    ) -> Predictor:
        return Predictor(self.model, self._settings, self.layout, panel, whose, notes)

    def _at_the_end(self, data: Path | None, steps: int) -> tuple[Predictor, Windows]:
        """One window for each series, at its end, with `steps` rows after it."""
        predictor = self._predictor(data)
        panel, look_back = predictor.panel, self.layout.windowing.look_back
        for number, end in enumerate(panel.ends):
            if end < look_back:
                raise DataError(
                    f"{self._named(predictor, number)} has {end} rows, but the model looks back "
                    f"{look_back}; give more rows"
                )
        self._require_calendar(panel, steps)
        self._require_covariates(predictor, steps)
        panel = panel.extended(self.model.rows_ahead(steps))
        predictor = self._on(panel, predictor.whose, predictor.notes)
        panel = predictor.panel
        return predictor, Windows(np.arange(len(panel.ends)), panel.offsets + panel.ends)

    def _require_calendar(self, panel: Panel, steps: int) -> None:
        """Raise `ArgumentError` if a forecast would end after the calendar does."""
        begin = int((panel.first + panel.ends).max())
        grid = self.layout.grid
        if not grid.reaches(begin + steps - 1):
            raise ArgumentError(
                f"a forecast must end by the year 9999, but {steps:,} rows ({grid.name}) after "
                f"{grid.text(begin - 1)} reach beyond it; give a smaller --horizon"
            )

    def _require_covariates(self, predictor: Predictor, steps: int) -> None:
        """Raise `DataError` if covariates known ahead are not known far enough ahead."""
        panel, grid, columns = predictor.panel, self.layout.grid, self.layout.columns
        for number, (offset, end, length) in enumerate(
            zip(panel.offsets, panel.ends, panel.lengths, strict=True)
        ):
            for place, name in enumerate(
                columns.future, len(columns.numeric) - len(columns.future)
            ):
                known = panel.observed[offset + end : offset + min(length, end + steps), place]
                reach = len(known) if known.all() else int(np.argmin(known))
                if reach < steps:
                    row = int(panel.first[number] + end)
                    raise DataError(
                        f"{name} of {self._named(predictor, number)} must be known up to "
                        f"{grid.text(row + steps - 1)} to forecast {steps} rows, but ends at "
                        f"{grid.text(row + reach - 1)}; add rows with it and empty targets, or "
                        f"give a smaller --horizon"
                    )

    def _test_windows(
        self, predictor: Predictor, data: Path | None, steps: int, stride: int
    ) -> Windows:
        w, panel = self.layout.windowing, predictor.panel
        start, stop = int(panel.first.min()), panel.last
        if data is None:
            start, stop = w.valid_end, w.test_end
            if start == stop:
                raise ArgumentError(
                    "this run keeps no test part (--test-part 0); give a table to evaluate on"
                )
        windows = windows_between(panel, w.look_back, steps, start, stop, stride)
        if not len(windows):
            need = steps if data is None else w.look_back + steps
            raise DataError(
                f"there are {stop - start} rows to evaluate on, but one forecast needs {need}; "
                f"give more rows or a smaller --horizon"
            )
        return windows

    def _drawn(
        self, predictor: Predictor, windows: Windows, found: WindowForecasts, steps: int, came: bool
    ) -> bytes:
        panel, columns, w = predictor.panel, self.layout.columns.targets, self.layout.windowing
        naive = Naive(panel, len(columns), w.season, predictor.mean[:, : len(columns)])
        seasonal = naive.seasonal(windows, np.arange(len(windows)), steps)
        values = np.where(panel.observed, panel.values, np.nan)
        drawings = []
        for b, (number, origin) in enumerate(zip(windows.series, windows.origin, strict=True)):
            begin = panel.offsets[number]
            back = np.arange(
                max(begin, origin - history_rows(steps, w.look_back, w.season)), origin
            )
            ahead = np.arange(origin, origin + steps)
            for c, column in enumerate(columns):
                name = self.layout.ids[predictor.whose[number]]
                drawings.append(
                    Drawing(
                        title=f"{name} {column}".strip(),
                        rows=back - begin + panel.first[number],
                        history=values[back, c],
                        ahead=ahead - begin + panel.first[number],
                        point=found.point[b, :, c],
                        lower=found.lower[b, :, c],
                        upper=found.upper[b, :, c],
                        seasonal=seasonal[b, :, c],
                        actual=values[ahead, c] if came else None,
                    )
                )
        return draw_forecasts(drawings, self.layout.grid, self.coverage)

    def _named(self, predictor: Predictor, number: int) -> str:
        name = self.layout.ids[predictor.whose[number]]
        return f"series {name!r}" if self.layout.columns.id else "the series"


def _positive(value: int | None, default: int, name: str) -> int:
    if value is None:
        return default
    if value < 1:
        raise ArgumentError(f"{name} must be at least 1, got {value}")
    return value
