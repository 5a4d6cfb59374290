"""Training anew within a backtest: for each point in time a model that knows nothing later."""

import tempfile
from pathlib import Path
from typing import Any

from elman.app import terminal
from elman.artifacts.load import SavedRun
from elman.settings import build, given
from elman.tasks.forecast import TrainedForecast
from elman.tasks.forecast.data.panel import Panel, to_frame
from elman.train.fit import fit
from elman.train.settings import TrainingSettings


class Retraining:
    """Trains with the settings of a run on the rows before any row of its grid."""

    def __init__(self, run: SavedRun, model: TrainedForecast) -> None:
        training = build(TrainingSettings, run.config.settings, run.source)
        self._settings = {**given(run.settings), **given(training)}
        self._cell = run.cell
        self._layout = model.layout

    def __call__(self, panel: Panel, row: int) -> TrainedForecast:
        """A model that was trained on the rows of the grid before `row`, all of them: the
        validation part is as long as the run's, and there is no test part."""
        layout, w = self._layout, self._layout.windowing
        terminal.note(f"training on the rows before {layout.grid.text(row)}")
        columns = layout.columns
        settings: dict[str, Any] = {
            **self._settings,
            "preset": "none",
            "validation_part": float(w.valid_end - w.train_end),
            "test_part": 0.0,
            "look_back": w.look_back,
            "horizon": w.horizon,
            "segment": w.segment,
            "season": w.season,
            "time_column": columns.time,
            "targets": ",".join(columns.targets),
        }
        settings.pop("cell")
        with tempfile.TemporaryDirectory(prefix="elman-") as folder:
            table = Path(folder) / "rows.csv"
            to_frame(panel.cut(row), layout.ids, columns, layout.grid).write_csv(table)
            run = Path(folder) / "run"
            trained: TrainedForecast = fit("forecast", table, run, cell=self._cell, **settings)
            return trained
