"""The networks, their read-out, and the weights that they begin with."""

from elman.tasks.language.model.build import build_model
from elman.tasks.language.model.networks import LanguageModel

__all__ = ["LanguageModel", "build_model"]
