"""The row that makes forecasting known: from a table to a task, from a run to a model."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elman.errors import ArgumentError, RunError
from elman.tasks.base import Outcome, Prepared, Restored
from elman.tasks.forecast.data.checks import check_series
from elman.tasks.forecast.data.columns import choose_columns, left_out
from elman.tasks.forecast.data.kept import KeptSeries
from elman.tasks.forecast.data.layout import Layout, plan_windows, season_note
from elman.tasks.forecast.data.panel import build_panel
from elman.tasks.forecast.data.panel_file import save_panel
from elman.tasks.forecast.data.table import default_data, read_table
from elman.tasks.forecast.model.forecaster import Forecaster
from elman.tasks.forecast.model.networks import network_input
from elman.tasks.forecast.settings import (
    BacktestSettings,
    ForecastSettings,
    delivered_levels,
    quantile_levels,
)
from elman.tasks.forecast.task import ForecastTask, sizes_of
from elman.tasks.forecast.use.result import check_headings
from elman.tasks.forecast.use.trained import TrainedForecast
from elman.tasks.setup import Setup
from elman.tasks.shared.stack import try_stack


class ForecastKind:
    """Implements `elman.tasks.base.TaskKind`."""

    name = "forecast"
    settings = ForecastSettings
    evaluation = BacktestSettings
    training: Mapping[str, Any] = {
        "learning_rate": 0.002,
        "weight_decay": 0.0,
        "evaluate_every": 50,
        "patience": 12,
    }
    budget: Mapping[str, Any] = {"steps": 2000}

    def prepare(
        self, data: list[str], settings: ForecastSettings, setup: Setup, folder: Path
    ) -> Prepared:
        quantile_levels(settings)
        if len(data) > 1:
            raise ArgumentError(
                f"forecasting reads one table, got {len(data)}; put many series into one file and "
                f"name the column that tells them apart with --id-column"
            )
        path = data[0] if data else default_data()
        table = read_table(path)
        columns = choose_columns(table, settings)
        check_headings(columns, delivered_levels(settings))
        source = build_panel(table, columns)
        windowing = plan_windows(source, settings)
        panel = source.panel.cut(windowing.test_end) if settings.preset == "ett" else source.panel
        season = season_note(source, settings, windowing)
        notes = (
            *left_out(table, columns, settings.time_column is not None),
            *source.notes,
            *([season] if season else []),
        )
        layout = Layout(
            columns, source.grid, source.ids, windowing, source.gaps, notes, source.units
        )
        check_series(layout, panel)
        try_stack(settings, setup, network_input(sizes_of(settings, layout), settings))
        described = {
            "source": Path(path).name,
            "rows": len(panel.values),
            "source_sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
            "series_sha256": save_panel(panel, folder),
        }
        return Prepared(layout.to_json(), described)

    def restore(self, saved: Restored) -> KeptSeries:
        return KeptSeries(saved)

    def open_task(self, settings: ForecastSettings, kept: KeptSeries, setup: Setup) -> ForecastTask:
        return ForecastTask(settings, kept.layout, kept.panel, setup)

    def open_trained(
        self, settings: ForecastSettings, kept: KeptSeries, setup: Setup
    ) -> TrainedForecast:
        model = Forecaster(sizes_of(settings, kept.layout), settings, setup)
        try:
            panel = kept.panel
        except RunError:  # a run that was copied without its data can still be used
            panel = None
        return TrainedForecast(model, settings, kept.layout, panel)

    def finish(self, trained: TrainedForecast) -> Outcome | None:
        """A backtest over every window of the test part; None if the run keeps none."""
        return trained.test()
