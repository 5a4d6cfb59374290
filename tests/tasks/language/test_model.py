"""The models: token numbers in, scores for the next token out."""

import pytest
import torch

from elman.cells import CELLS
from elman.tasks.cell import PERCEPTRON
from tests.tasks.language.models import model_of


@pytest.mark.parametrize("changes", [{}, {"layers": 2}, {"embedding_size": 3}])
@pytest.mark.parametrize("cell", [*CELLS, PERCEPTRON])
def test_reading_in_parts_equals_reading_at_once(cell, changes):
    model = model_of(cell, window=4, **changes)
    tokens = torch.randint(6, (12, 3))
    whole, _ = model(tokens, model.initial_state(3))
    first, state = model(tokens[:5], model.initial_state(3))
    second, _ = model(tokens[5:], state)
    assert whole.shape == (12, 3, 6)
    torch.testing.assert_close(torch.cat([first, second]), whole)


def test_the_perceptron_sees_its_window_and_no_more():
    model = model_of("mlp", window=3)
    tokens = torch.randint(6, (8, 1))
    other = tokens.clone()
    other[2] = (other[2] + 1) % 6
    a, _ = model(tokens, model.initial_state(1))
    b, _ = model(other, model.initial_state(1))
    changed = [t for t in range(8) if not torch.equal(a[t], b[t])]
    assert changed == [2, 3, 4]
