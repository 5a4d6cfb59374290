"""Small models of each kind for tests."""

import torch

from elman.cells import CELLS
from elman.tasks.language import LanguageSettings, Vocabulary
from elman.tasks.language.model import build_model

VOCABULARY = Vocabulary("char", tuple(map(ord, "\nabcde")))
CPU = torch.device("cpu")


def model_of(cell: str, **changes):
    chosen = LanguageSettings(cell=cell, hidden_size=8, **changes)
    return build_model(VOCABULARY.size, chosen, CELLS.get(cell), "auto").eval()
