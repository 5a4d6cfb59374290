"""Language modelling: text in, a model that writes and scores text out."""

from elman.tasks.language.data.vocabulary import Vocabulary
from elman.tasks.language.settings import LanguageSettings
from elman.tasks.language.task import LanguageTask
from elman.tasks.language.use.generate import Sampling
from elman.tasks.language.use.trained import Evaluation, TrainedLanguage

__all__ = [
    "Evaluation",
    "LanguageSettings",
    "LanguageTask",
    "Sampling",
    "TrainedLanguage",
    "Vocabulary",
]
