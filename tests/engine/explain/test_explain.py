"""`explain` says what runs where."""

import io

import pytest
import torch

import elman
from elman.cells import CELLS
from elman.errors import ShapeError


def explanation(step, input, state):
    text = io.StringIO()
    elman.explain(step, input, state, file=text)
    return text.getvalue()


def test_a_formula_is_readable():
    def leaky(x, h):
        h = 0.5 * h + x
        return h, h

    text = explanation(leaky, torch.ones(3, 2, 4), torch.zeros(2, 4))
    assert "leaky as a compiled loop over time (float32)" in text
    assert "output[4] = state * 0.5 + input" in text
    assert "test_explain.py:" in text


@pytest.mark.parametrize("name", CELLS)
def test_every_cell(name):
    cell = CELLS[name](3, 4)
    text = explanation(cell, torch.randn(5, 9, 3), cell.initial_state(9))
    for words in ("forward loop", "backward loop", "cost of one row", "FLOP", "bytes", "threads"):
        assert words in text
    for parameter, _ in cell.named_parameters():
        assert parameter in text
    with torch.no_grad():
        assert "no backward pass" in explanation(cell, torch.randn(5, 9, 3), cell.initial_state(9))


def test_flops_and_bytes_are_those_of_the_equations():
    cell = CELLS["lstm"](3, 16)
    text = explanation(cell, torch.randn(5, 9, 3), cell.initial_state(9))
    products = 2 * 3 * 64 + 2 * 16 * 64
    assert f"{products:,} FLOP in the loop's products" in text  # of the input and of the state
    assert "saved      320 bytes beside the output" in text  # i, f, g, o and c of 16 each


def test_a_fallback_names_its_reason():
    def step(x, h):
        h = h - h.mean(0)
        return h, h

    text = explanation(step, torch.ones(3, 2, 4), torch.zeros(2, 4))
    assert "plain Python loop" in text
    assert "rows" in text
    assert "test_explain.py:" in text


def test_wrong_shapes_are_errors():
    with pytest.raises(ShapeError):
        elman.explain(lambda x, h: (x, h), torch.ones(3), torch.ones(3))
