"""`Recurrent` against torch.nn's stacked layers, and its errors."""

import pytest
import torch
from torch import nn

from elman import Recurrent
from elman.cells import GRUCell, LSTMCell
from elman.errors import ArgumentError, ShapeError


def copy_weights(ours: Recurrent, theirs: nn.Module) -> None:
    for index, cell in enumerate(ours.cells):
        for name, value in cell.named_parameters():
            value.data.copy_(getattr(theirs, f"{name}_l{index}"))


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
def test_equals_torchs_stacked_lstm(layers, batch_first):
    ours = Recurrent(
        lambda size: LSTMCell(size, 5), layers, batch_first=batch_first, input_size=3
    ).double()
    theirs = nn.LSTM(3, 5, layers, batch_first=batch_first).double()
    copy_weights(ours, theirs)
    x = torch.randn(4, 6, 3, dtype=torch.double)
    output, state = ours(x)
    expected, (hidden, cell) = theirs(x)
    torch.testing.assert_close(output, expected)
    for index in range(layers):
        torch.testing.assert_close(state[index][0], hidden[index])
        torch.testing.assert_close(state[index][1], cell[index])


def test_lengths_equal_a_packed_sequence():
    ours = Recurrent(lambda size: GRUCell(size, 5), 2, input_size=3).double()
    theirs = nn.GRU(3, 5, 2).double()
    copy_weights(ours, theirs)
    x, lengths = torch.randn(6, 4, 3, dtype=torch.double), torch.tensor([3, 6, 1, 4])
    output, state = ours(x, lengths=lengths)
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    expected, hidden = theirs(packed)
    torch.testing.assert_close(output, nn.utils.rnn.pad_packed_sequence(expected)[0])
    torch.testing.assert_close(torch.stack(state), hidden)


def test_a_state_carried_over_equals_one_long_sequence():
    layer = Recurrent(lambda size: LSTMCell(size, 5), 2, input_size=3).double()
    x = torch.randn(6, 4, 3, dtype=torch.double)
    whole, _ = layer(x)
    first, state = layer(x[:2])
    second, _ = layer(x[2:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)


def test_a_reset_begins_a_new_sequence():
    layer = Recurrent(lambda size: GRUCell(size, 5), 2, input_size=3).double()
    x = torch.randn(6, 1, 3, dtype=torch.double)
    reset = torch.zeros(6, 1, dtype=torch.bool)
    reset[4] = True
    output, _ = layer(x, reset=reset)
    torch.testing.assert_close(output[4:], layer(x[4:])[0])


def test_dropout_acts_between_layers_and_in_training_only():
    layer = Recurrent(lambda size: GRUCell(size, 5), 2, dropout=0.5, input_size=3)
    x = torch.randn(4, 2, 3)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])
    single = Recurrent(GRUCell(3, 5), dropout=0.5)
    assert torch.equal(single(x)[0], single(x)[0])


def test_output_size_is_known_from_the_cell():
    assert Recurrent(lambda size: GRUCell(size, 7), 2, input_size=3).output_size == 7
    assert Recurrent(GRUCell(3, 7)).output_size is None


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Recurrent(GRUCell(3, 5), 2), "factory"),
        (lambda: Recurrent(lambda size: GRUCell(size, 5)), "needs input_size"),
        (lambda: Recurrent(GRUCell(3, 5), 0), "num_layers must be at least 1"),
        (lambda: Recurrent(GRUCell(3, 5), dropout=1.0), "dropout"),
    ],
)
def test_wrong_arguments_are_named(build, words):
    with pytest.raises(ArgumentError, match=words):
        build()


def test_a_state_for_another_number_of_layers_is_refused():
    layer = Recurrent(GRUCell(3, 5))
    with pytest.raises(ShapeError, match="each of 1 layers, got 2"):
        layer(torch.zeros(4, 2, 3), [torch.zeros(2, 5)] * 2)
