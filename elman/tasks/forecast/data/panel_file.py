"""The panel of a run on disk."""

from pathlib import Path

import numpy as np

from elman.errors import RunError
from elman.tasks.forecast.data.panel import Panel
from elman.tasks.shared.arrays import are_lengths, read_arrays, write_arrays

SERIES = "series.safetensors"


def save_panel(panel: Panel, folder: Path) -> str:
    """Write the panel to a run's data folder; returns the file's SHA-256."""
    arrays = {
        "values": panel.values,
        "observed": panel.observed.astype(np.uint8),
        "first": panel.first,
        "lengths": panel.lengths,
        "ends": panel.ends,
    }
    return write_arrays(folder / SERIES, arrays)


def load_panel(folder: Path, sha256: str, series: int, columns: int) -> Panel:
    """The panel that `save_panel` wrote, after checking that it is still the same.

    Raises:
        RunError: missing, changed, or not what the run's settings say.
    """
    path = folder / SERIES
    arrays = read_arrays(path, sha256, "series")
    try:
        panel = Panel(
            arrays["values"], arrays["observed"].astype(bool),
            arrays["first"], arrays["lengths"], arrays["ends"],
        )  # fmt: skip
    except KeyError as error:
        raise RunError(f"{path} lacks {error}; restore it, or start a new run") from None
    if not _is_sound(panel, series, columns):
        raise RunError(
            f"{path} does not hold {series} series of {columns} columns as vocabulary.json says; "
            f"restore both, or start a new run"
        )
    return panel


def _is_sound(panel: Panel, series: int, columns: int) -> bool:
    rows = panel.values.shape[0] if panel.values.ndim == 2 else -1
    return (
        panel.values.shape == (rows, columns) == panel.observed.shape
        and panel.values.dtype == np.float64
        and bool(np.isfinite(panel.values).all())
        and are_lengths(panel.lengths, series, rows, least=0)
        and all(a.shape == (series,) and a.dtype == np.int64 for a in (panel.first, panel.ends))
        and bool((panel.first >= 0).all())
        and bool((panel.ends >= 0).all() and (panel.ends <= panel.lengths).all())
    )
