"""Classification: labelled strings or signals in, a model that names the label of others out."""

from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.targets.evaluation import Evaluation
from elman.tasks.classify.targets.number import Estimate
from elman.tasks.classify.targets.number_evaluation import NumberEvaluation
from elman.tasks.classify.targets.one_label import Guess
from elman.tasks.classify.targets.ordered_evaluation import OrderedEvaluation
from elman.tasks.classify.targets.several_evaluation import SeveralEvaluation
from elman.tasks.classify.task import ClassifyTask
from elman.tasks.classify.use.trained import TrainedClassifier

__all__ = [
    "ClassifySettings", "ClassifyTask", "Estimate", "Evaluation", "Guess", "NumberEvaluation",
    "OrderedEvaluation", "SeveralEvaluation", "TrainedClassifier",
]  # fmt: skip
