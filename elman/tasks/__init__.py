"""The jobs that elman does: data, model head, loss, metrics, and use of the result."""

from elman.tasks.base import TaskKind
from elman.tasks.classify.kind import ClassifyKind
from elman.tasks.forecast.kind import ForecastKind
from elman.tasks.language.kind import LanguageKind

_KINDS: tuple[TaskKind, ...] = (LanguageKind(), ClassifyKind(), ForecastKind())

TASKS = {kind.name: kind for kind in _KINDS}

__all__ = ["TASKS", "TaskKind"]
