"""How a model is built and where it runs."""

import pytest
import torch

from elman.cells import GRUCell
from elman.errors import ArgumentError
from elman.tasks.setup import Setup


def test_a_setup_is_checked_once_and_then_believed():
    setup = Setup.of(GRUCell, "cpu", "reference", 3)
    assert setup == Setup(GRUCell, torch.device("cpu"), "reference", 3)
    assert setup.recurrent_cell is GRUCell


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"device": "abacus"}, "device 'abacus' can't be used here"),
        ({"device": ""}, "device '' can't be used here"),
        ({"backend": "abacus"}, "backend must be one of auto"),
    ],
)
def test_what_is_not_there_is_refused(changes, words):
    with pytest.raises(ArgumentError, match=words):
        Setup.of(GRUCell, **changes)


def test_a_task_without_a_model_of_windows_refuses_the_perceptron():
    with pytest.raises(ArgumentError, match="mlp is for language models only"):
        _ = Setup(None).recurrent_cell
