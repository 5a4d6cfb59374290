"""Classification: labelled strings or signals in, a model that names the label of others out."""

from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.task import ClassifyTask
from elman.tasks.classify.use.evaluation import Evaluation
from elman.tasks.classify.use.trained import Guess, TrainedClassifier

__all__ = ["ClassifySettings", "ClassifyTask", "Evaluation", "Guess", "TrainedClassifier"]
