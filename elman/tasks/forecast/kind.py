"""The row that makes forecasting known: from a table to a task, from a run to a model."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from elman.errors import ArgumentError, DataError, RunError
from elman.tasks.base import Outcome, Prepared, Restored
from elman.tasks.cell import CellClass, try_out
from elman.tasks.forecast.data.checks import check_series
from elman.tasks.forecast.data.columns import choose_columns, left_out
from elman.tasks.forecast.data.layout import Layout, plan_windows, season_note
from elman.tasks.forecast.data.panel import Panel, build_panel, load_panel, save_panel
from elman.tasks.forecast.data.table import default_data, read_table
from elman.tasks.forecast.model.forecaster import Forecaster
from elman.tasks.forecast.model.networks import network_input
from elman.tasks.forecast.settings import ForecastSettings, delivered_levels, quantile_levels
from elman.tasks.forecast.task import ForecastTask, sizes_of
from elman.tasks.forecast.use.result import check_headings
from elman.tasks.forecast.use.trained import TrainedForecast


class ForecastKind:
    """Implements `elman.tasks.base.TaskKind`."""

    name = "forecast"
    settings = ForecastSettings
    training: Mapping[str, Any] = {
        "learning_rate": 0.002,
        "weight_decay": 0.0,
        "evaluate_every": 50,
        "patience": 12,
    }
    budget: Mapping[str, Any] = {"steps": 2000}

    def prepare(
        self,
        data: list[str],
        settings: ForecastSettings,
        cell: CellClass | None,
        folder: Path,
        seed: int,
    ) -> Prepared:
        recurrent = _recurrent_cell(cell)
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
        features = network_input(sizes_of(settings, layout), settings)
        try_out(recurrent, features, settings.hidden_size, settings.cell)
        described = {
            "source": Path(path).name,
            "rows": len(panel.values),
            "source_sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
            "series_sha256": save_panel(panel, folder),
        }
        return Prepared(layout.to_json(), described)

    def open_task(
        self,
        settings: ForecastSettings,
        saved: Restored,
        cell: CellClass | None,
        seed: int,
        device: torch.device,
        backend: str,
    ) -> ForecastTask:
        layout = _layout(saved)
        panel = _panel(saved, layout)
        return ForecastTask(settings, layout, panel, _recurrent_cell(cell), seed, device, backend)

    def open_trained(
        self,
        settings: ForecastSettings,
        saved: Restored,
        cell: CellClass | None,
        device: torch.device,
        backend: str,
    ) -> TrainedForecast:
        layout = _layout(saved)
        model = Forecaster(sizes_of(settings, layout), settings, _recurrent_cell(cell), backend)
        try:
            panel = _panel(saved, layout)
        except RunError:  # a run that was copied without its data can still be used
            panel = None
        return TrainedForecast(model.to(device), settings, layout, panel)

    def finish(self, trained: TrainedForecast) -> Outcome | None:
        """A backtest over every window of the test part; None if the run keeps none."""
        return trained.test()


def _recurrent_cell(cell: CellClass | None) -> CellClass:
    if cell is None:
        raise ArgumentError(
            "forecasting needs a recurrent cell, got the perceptron mlp; choose another with --cell"
        )
    return cell


def _layout(saved: Restored) -> Layout:
    try:
        return Layout.from_json(saved.vocabulary)
    except (DataError, ArgumentError) as error:
        raise RunError(f"{saved.folder}: {error}; restore vocabulary.json or train anew") from None


def _panel(saved: Restored, layout: Layout) -> Panel:
    digest = saved.data.get("series_sha256")
    if not isinstance(digest, str):
        raise RunError(
            "config.toml: the [data] table must hold series_sha256; restore it or train anew"
        )
    return load_panel(saved.folder, digest, len(layout.ids), len(layout.columns.numeric))
