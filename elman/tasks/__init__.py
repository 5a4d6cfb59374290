"""The jobs that elman does: data, model head, loss, metrics, and use of the result."""

from elman.tasks.base import TaskKind
from elman.tasks.forecast.kind import ForecastKind
from elman.tasks.language.kind import LanguageKind

TASKS: dict[str, TaskKind] = {kind.name: kind for kind in (LanguageKind(), ForecastKind())}

__all__ = ["TASKS", "TaskKind"]
