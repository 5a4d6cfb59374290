"""Small models of each kind for tests."""

import torch

from elman.cells import CELLS
from elman.tasks.language import LanguageSettings, Vocabulary
from elman.tasks.language.model import build_model
from elman.tasks.setup import Setup

VOCABULARY = Vocabulary("char", tuple(map(ord, "\nabcde")))


def model_of(cell: str, **changes):
    chosen = LanguageSettings(cell=cell, hidden_size=8, **changes)
    torch.manual_seed(1)
    return build_model(VOCABULARY.size, chosen, Setup(CELLS.get(cell))).eval()
