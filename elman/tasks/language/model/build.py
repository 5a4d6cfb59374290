"""The model that settings and a vocabulary describe."""

from elman.errors import ArgumentError
from elman.tasks.language.model.networks import (
    LanguageModel,
    RecurrentLanguageModel,
    WindowPerceptron,
)
from elman.tasks.language.settings import LanguageSettings
from elman.tasks.setup import Setup


def build_model(vocabulary_size: int, settings: LanguageSettings, setup: Setup) -> LanguageModel:
    """The model that the settings describe, on the setup's device.

    Raises:
        ArgumentError: a setting of recurrent layers, with the perceptron; or a read-out tied with
            an embedding that is not there.
    """
    settings = settings.for_vocabulary(vocabulary_size)
    if setup.cell is not None:
        return RecurrentLanguageModel(vocabulary_size, settings, setup).to(setup.device)
    for name in ("residual", "layer_norm", "learned_state", "tied"):
        if getattr(settings, name):
            raise ArgumentError(
                f"--{name.replace('_', '-')} is for recurrent layers; the perceptron has none, so "
                f"leave it out or choose a cell, such as --cell lstm"
            )
    return WindowPerceptron(vocabulary_size, settings).to(setup.device)
