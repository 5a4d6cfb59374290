"""What a run keeps of its series."""

from functools import cached_property

from elman.errors import ArgumentError, DataError, RunError
from elman.tasks.base import Restored
from elman.tasks.forecast.data.layout import Layout
from elman.tasks.forecast.data.panel import Panel
from elman.tasks.forecast.data.panel_file import load_panel


class KeptSeries:
    """Each part is read when it is first asked for, since a run may be copied without its data."""

    def __init__(self, saved: Restored) -> None:
        self._saved = saved

    @cached_property
    def layout(self) -> Layout:
        try:
            return Layout.from_json(self._saved.vocabulary)
        except (DataError, ArgumentError) as error:
            raise RunError(
                f"{self._saved.folder}: {error}; restore vocabulary.json or train anew"
            ) from None

    @cached_property
    def panel(self) -> Panel:
        ids, columns = self.layout.ids, self.layout.columns.numeric
        sha256 = self._saved.text("series_sha256")
        return load_panel(self._saved.folder, sha256, len(ids), len(columns))
