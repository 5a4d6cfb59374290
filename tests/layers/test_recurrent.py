"""`Recurrent` against torch.nn's stacked layers, and its errors."""

import pytest
import torch
from torch import nn

import elman
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
        (lambda: Recurrent(GRUCell(3, 5), bidirectional=True), "both directions need a factory"),
        (lambda: Recurrent(GRUCell, input_size=3), r"lambda size: Cell\(size, hidden_size\)"),
        (lambda: Recurrent(lambda size: size, input_size=3), "it built a int"),
        (lambda: Recurrent(GRUCell(3, 5), layer_norm=True), "layer_norm needs input_size"),
        (
            lambda: Recurrent(lambda size: GRUCell(size, 5), residual=True, input_size=3),
            "the widths are 3, 5",
        ),
    ],
)
def test_wrong_arguments_are_named(build, words):
    with pytest.raises(ArgumentError, match=words):
        build()


def test_a_state_for_another_number_of_layers_is_refused():
    layer = Recurrent(GRUCell(3, 5))
    with pytest.raises(ShapeError, match="each of 1 layers, got 2"):
        layer(torch.zeros(4, 2, 3), [torch.zeros(2, 5)] * 2)


def test_a_packed_sequence_equals_lengths():
    layer = Recurrent(
        lambda size: LSTMCell(size, 5), 2, bidirectional=True, residual=True, input_size=3
    ).double()
    x, lengths = torch.randn(6, 4, 3, dtype=torch.double), torch.tensor([3, 6, 1, 4])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    output, state = layer(packed)
    expected, expected_state = layer(x, lengths=lengths)
    torch.testing.assert_close(nn.utils.rnn.pad_packed_sequence(output)[0], expected)
    torch.testing.assert_close(state, expected_state)


def test_both_directions_equal_torchs():
    ours = Recurrent(lambda size: GRUCell(size, 5), 2, bidirectional=True, input_size=3).double()
    theirs = nn.GRU(3, 5, 2, bidirectional=True).double()
    for number, cell in enumerate(ours.cells):
        suffix = f"_l{number // 2}" + ("_reverse" if number % 2 else "")
        for name, value in cell.named_parameters():
            value.data.copy_(getattr(theirs, name + suffix))
    x = torch.randn(4, 6, 3, dtype=torch.double)
    output, state = ours(x)
    expected, hidden = theirs(x)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(torch.stack(state), hidden)
    assert ours.output_size == 10


def test_a_reset_separates_sequences_in_both_directions():
    layer = Recurrent(
        lambda size: GRUCell(size, 5), 2, bidirectional=True, learned_state=True, input_size=3
    ).double()
    for parameter in layer.first_state:
        nn.init.normal_(parameter)
    x = torch.randn(7, 1, 3, dtype=torch.double)
    reset = torch.zeros(7, 1, dtype=torch.bool)
    reset[3] = True
    output, _ = layer(x, reset=reset)
    torch.testing.assert_close(output, torch.cat([layer(x[:3])[0], layer(x[3:])[0]]))


NAN = float("nan")
LENGTHS = [3, 6, 0, 4]
SETTINGS = {
    "plain": {},
    "residual": {"residual": True},
    "norm": {"layer_norm": True},
    "both": {"residual": True, "layer_norm": True},
    "dropout": {"dropout": 0.5, "residual": True},
    "learned": {"learned_state": True, "residual": True},
    "bidirectional": {"bidirectional": True, "residual": True, "layer_norm": True},
}


def of_equal_widths(backend="auto", **options):
    """Two layers whose outputs are as wide as the input, so that a residual spans both."""
    width = 4 if options.get("bidirectional") else 8
    layer = Recurrent(
        lambda size: GRUCell(size, width), 2, input_size=8, backend=backend, **options
    ).double()
    for name, parameter in layer.named_parameters():
        if "norms" in name or "first_state" in name:
            nn.init.normal_(parameter)
    return layer


@pytest.mark.parametrize("backend", ["llvm", "reference"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("setting", SETTINGS)
def test_padding_reaches_nothing(setting, batch_first, backend):
    layer = of_equal_widths(backend, batch_first=batch_first, **SETTINGS[setting])
    x = torch.randn(6, 4, 8, dtype=torch.double)
    ended = torch.arange(6)[:, None] >= torch.tensor(LENGTHS)
    results = []
    for filling in (NAN, 0.0, 7.0):
        padded = torch.where(ended[..., None], filling, x)
        input = (padded.transpose(0, 1) if batch_first else padded).detach().requires_grad_()
        torch.manual_seed(3)
        output, state = layer(input, lengths=LENGTHS)
        loss = output.square().sum() + sum(leaf.square().sum() for leaf in state)
        gradients = torch.autograd.grad(loss, [input, *layer.parameters()], allow_unused=True)
        results.append([output, *state, *(g for g in gradients if g is not None)])
        both = (output, gradients[0])
        for value in (v.transpose(0, 1) if batch_first else v for v in both):
            assert not value[ended].any()
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("setting", [name for name in SETTINGS if name != "dropout"])
def test_padded_rows_are_as_if_alone(setting):
    layer = of_equal_widths(**SETTINGS[setting])
    x = torch.randn(6, 4, 8, dtype=torch.double)
    output, state = layer(x, lengths=LENGTHS)
    packed = nn.utils.rnn.pack_padded_sequence(x[:, [0, 1, 3]], [3, 6, 4], enforce_sorted=False)
    from_packed = nn.utils.rnn.pad_packed_sequence(layer(packed)[0])[0]
    torch.testing.assert_close(output[:, [0, 1, 3]], from_packed)
    for row, length in enumerate(LENGTHS):
        alone, end = layer(x[:length, row : row + 1])
        torch.testing.assert_close(output[:length, row : row + 1], alone)
        torch.testing.assert_close([s[row : row + 1] for s in state], list(end))


def test_a_reset_in_the_padding_is_none():
    layer = of_equal_widths(bidirectional=True)
    x = torch.randn(6, 4, 8, dtype=torch.double)
    given = [torch.randn(4, 4, dtype=torch.double) for _ in range(4)]
    inside = torch.zeros(6, 4, dtype=torch.bool)
    inside[2, 1] = True
    ended = torch.arange(6)[:, None] >= torch.tensor(LENGTHS)
    expected = layer(x, given, LENGTHS, inside)
    torch.testing.assert_close(layer(x, given, LENGTHS, inside | ended), expected)


def test_input_without_a_batch_is_refused():
    for layer, where in (
        (Recurrent(GRUCell(3, 5)), 1),
        (Recurrent(lambda n: GRUCell(n, 5), 2, input_size=3, batch_first=True), 0),
    ):
        with pytest.raises(
            ShapeError, match=rf"without a batch; add it with input.unsqueeze\({where}"
        ):
            layer(torch.zeros(7, 3))
        assert layer(torch.zeros(7, 3).unsqueeze(where))[0].dim() == 3
    with pytest.raises(ArgumentError, match="got list; put the steps together"):
        layer([torch.zeros(2, 3)])


def test_lazy_cells_are_made_by_the_factory():
    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.both = nn.LazyLinear(5)

        def forward(self, x, hidden):
            hidden = torch.tanh(self.both(torch.cat([x, hidden], -1)))
            return hidden, hidden

        def initHidden(self):  # noqa: N802
            return torch.zeros(1, 5)

    layer = Recurrent(lambda _: Lazy(), 2, input_size=3)
    assert [cell.both.in_features for cell in layer.cells] == [8, 10]
    assert layer(torch.zeros(4, 2, 3))[0].shape == (4, 2, 5)


def test_a_learned_state_is_used_and_learned():
    layer = Recurrent(lambda size: LSTMCell(size, 5), 2, learned_state=True, input_size=3)
    assert [tuple(p.shape) for p in layer.first_state] == [(1, 5)] * 4
    with torch.no_grad():
        layer.first_state[2].fill_(0.5)
    x = torch.randn(4, 2, 3)
    layer(x)[0].sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in layer.first_state)
    state = layer.initial_state(2)
    assert torch.equal(state[1][0], torch.full((2, 5), 0.5))
    same, _ = layer(x, state)
    assert torch.equal(same, layer(x)[0])


def test_residual_and_norm_written_out():
    layer = Recurrent(
        lambda size: GRUCell(size, 3), 2, residual=True, layer_norm=True, input_size=3
    ).double()
    x = torch.randn(4, 2, 3, dtype=torch.double)
    expected = x
    for cell, norm in zip(layer.cells, layer.norms, strict=True):
        expected = expected + norm(Recurrent(cell)(expected)[0])
    torch.testing.assert_close(layer(x)[0], expected)


class Tutorial(nn.Module):
    """As in the names tutorial: no base class of elman's, and `initHidden`."""

    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.i2o = nn.Linear(input_size + hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, input, hidden):
        combined = torch.cat((input, hidden), 1)
        hidden = self.i2h(combined)
        output = self.softmax(self.i2o(combined))
        return output, hidden

    def initHidden(self):  # noqa: N802
        return torch.zeros(1, self.hidden_size)


@pytest.mark.parametrize("backend", ["llvm", "reference"])
def test_a_class_of_the_names_tutorial_runs_as_it_stands(backend):
    rnn = Tutorial(7, 5, 3)
    x = torch.randn(6, 4, 7)
    hidden = rnn.initHidden().expand(4, -1)
    outputs = []
    for step in x:
        output, hidden = rnn(step, hidden)
        outputs.append(output)
    layer = Recurrent(rnn, backend=backend)
    found, state = layer(x)
    torch.testing.assert_close(found, torch.stack(outputs))
    torch.testing.assert_close(state[0], hidden)
    expected = torch.autograd.grad(torch.stack(outputs).sum(), rnn.i2h.weight)
    torch.testing.assert_close(torch.autograd.grad(found.sum(), rnn.i2h.weight), expected)
    assert layer.double().initial_state(2)[0].dtype == torch.double


def test_a_cell_without_a_first_state_needs_one():
    class Bare(nn.Module):
        def forward(self, x, h):
            h = 0.5 * h + x
            return h, h

    layer = Recurrent(Bare())
    with pytest.raises(ArgumentError, match="pass the state"):
        layer(torch.ones(3, 2, 4))
    output, _ = layer(torch.ones(3, 2, 4), [torch.zeros(2, 4)])
    assert output[-1, 0, 0] == 1.75

    class Wide(Bare):
        def initHidden(self):  # noqa: N802
            return torch.zeros(3, 4)

    with pytest.raises(ArgumentError, match="must give the state of one row"):
        Recurrent(Wide())(torch.ones(3, 2, 4))


@pytest.mark.parametrize("cell", [GRUCell, LSTMCell])
def test_step_by_step_equals_the_whole_sequence(cell):
    layer = Recurrent(
        lambda size: cell(size, 5), 3, dropout=0.5, residual=True, layer_norm=True,
        learned_state=True, input_size=4,
    ).double().eval()  # fmt: skip
    x = torch.randn(6, 2, 4, dtype=torch.double)
    expected, _ = layer(x)
    state = layer.initial_state(2)
    for t, x_t in enumerate(x):
        output, state = layer.step(x_t, state)
        torch.testing.assert_close(output, expected[t])
    scanned, _ = elman.scan(layer.step, x, layer.initial_state(2))
    torch.testing.assert_close(scanned, expected)


def test_a_layer_that_reads_from_the_end_has_no_step():
    layer = Recurrent(lambda size: GRUCell(size, 5), bidirectional=True, input_size=4)
    with pytest.raises(ArgumentError, match="bidirectional=False"):
        layer.step(torch.zeros(2, 4), layer.initial_state(2))
