"""Language modelling: text in, a model that writes and scores text out."""

from elman.tasks.language.generate import Sampling
from elman.tasks.language.settings import LanguageSettings
from elman.tasks.language.task import LanguageTask
from elman.tasks.language.trained import Evaluation, TrainedLanguage
from elman.tasks.language.vocabulary import Vocabulary

__all__ = [
    "Evaluation",
    "LanguageSettings",
    "LanguageTask",
    "Sampling",
    "TrainedLanguage",
    "Vocabulary",
]
