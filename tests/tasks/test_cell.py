"""Finding the user's own cell."""

import pytest

from elman.cells import LSTMCell
from elman.errors import ArgumentError, StepError
from elman.tasks.cell import find_cell, try_out

GOOD = """
import torch
from torch import nn

class Leaky(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.map = nn.Linear(input_size, hidden_size)
    def initial_state(self, batch_size, dtype=None, device=None):
        return torch.zeros(batch_size, self.map.out_features)
    def forward(self, x, h):
        h = 0.9 * h + torch.tanh(self.map(x))
        return h, h

class Wrong(Leaky):
    def forward(self, x, h):
        return h @ x, h

class NoState(nn.Module):
    def __init__(self, a, b):
        super().__init__()
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own_cells.py"
    path.write_text(GOOD)
    return str(path)


def test_names_files_and_modules(own):
    assert find_cell("lstm") is LSTMCell
    assert find_cell("mlp") is None
    assert find_cell("elman.cells:LSTMCell") is LSTMCell
    assert find_cell(f"{own}:Leaky").__name__ == "Leaky"
    try_out(find_cell(f"{own}:Leaky"), 3, 4, "Leaky")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lstn", "one of rnn, .*lstm.*file.py:Name"),
        ("nowhere.py:Name", "no file nowhere.py"),
        ("no_such_package.module:Name", "can't import no_such_package"),
        ("elman.cells:Nothing", "no class 'Nothing'"),
    ],
)
def test_a_name_that_leads_nowhere(name, words):
    with pytest.raises(ArgumentError, match=words):
        find_cell(name)


def test_a_file_that_does_not_run(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("x = = 1")
    with pytest.raises(ArgumentError, match=r"can't import .*broken.py.*SyntaxError"):
        find_cell(f"{path}:Name")


def test_a_cell_that_fails_is_reported_with_its_line(own):
    with pytest.raises(StepError, match=r"tried out: RuntimeError.*own_cells.py, line 17"):
        try_out(find_cell(f"{own}:Wrong"), 3, 4, "Wrong")
    with pytest.raises(StepError, match="initial_state"):
        try_out(find_cell(f"{own}:NoState"), 3, 4, "NoState")
