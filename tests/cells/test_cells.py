"""Facts that hold for every cell, and equality with torch.nn where a namesake exists."""

import pytest
import torch
from torch import nn

import elman
from elman.cells import CELLS, ConcatenatingCell, GRUCell, LSTMCell, ReLURNNCell, RNNCell
from elman.errors import ArgumentError

NAMESAKES = [
    (lambda: RNNCell(3, 5), lambda: nn.RNN(3, 5), lambda: nn.RNNCell(3, 5)),
    (
        lambda: ReLURNNCell(3, 5),
        lambda: nn.RNN(3, 5, nonlinearity="relu"),
        lambda: nn.RNNCell(3, 5, nonlinearity="relu"),
    ),
    (lambda: GRUCell(3, 5), lambda: nn.GRU(3, 5), lambda: nn.GRUCell(3, 5)),
    (lambda: LSTMCell(3, 5), lambda: nn.LSTM(3, 5), lambda: nn.LSTMCell(3, 5)),
]


def leaves(state):
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize(("ours", "layer", "cell"), NAMESAKES)
def test_equals_its_namesake_in_torch(ours, layer, cell):
    ours, layer = ours().double(), layer().double()
    layer.load_state_dict({f"{k}_l0": v for k, v in ours.state_dict().items()})
    x = torch.randn(7, 4, 3, dtype=torch.double)
    state = torch.utils._pytree.tree_map(torch.randn_like, ours.initial_state(4))
    output, final = elman.scan(ours, x, state)
    batched = torch.utils._pytree.tree_map(lambda leaf: leaf[None], state)
    expected, expected_final = layer(x, batched)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-6)
    for mine, theirs in zip(leaves(final), leaves(expected_final), strict=True):
        torch.testing.assert_close(mine, theirs[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("ours", "layer", "cell"), NAMESAKES)
def test_one_seed_draws_the_weights_of_the_namesake(ours, layer, cell):
    torch.manual_seed(3)
    mine = ours().state_dict()
    torch.manual_seed(3)
    theirs = cell().state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("name", CELLS)
def test_gradients_are_those_of_finite_differences(name):
    cell = CELLS[name](3, 4).double()
    state = torch.utils._pytree.tree_map(torch.randn_like, cell.initial_state(2))
    flat, structure = torch.utils._pytree.tree_flatten(state)
    names = [key for key, _ in cell.named_parameters()]

    def run(x, *rest):
        given = torch.utils._pytree.tree_unflatten(list(rest[: len(flat)]), structure)
        weights = dict(zip(names, rest[len(flat) :], strict=True))

        def step(x_t, s):
            return torch.func.functional_call(cell, weights, (x_t, s))

        output, final = elman.scan(step, x, given)
        return (output, *torch.utils._pytree.tree_leaves(final))

    x = torch.randn(3, 2, 3, dtype=torch.double, requires_grad=True)
    free = [leaf.requires_grad_() for leaf in flat]
    parameters = [p.detach().requires_grad_() for p in cell.parameters()]
    assert torch.autograd.gradcheck(run, (x, *free, *parameters))


@pytest.mark.parametrize("name", CELLS)
def test_a_saved_cell_steps_as_before(name):
    first, second = CELLS[name](3, 4), CELLS[name](3, 4)
    second.load_state_dict(first.state_dict())
    x = torch.randn(2, 3)
    a, _ = first(x, first.initial_state(2))
    b, _ = second(x, second.initial_state(2))
    assert torch.equal(a, b)


@pytest.mark.parametrize("name", CELLS)
def test_the_sizes_are_in_the_repr(name):
    assert "3, 4" in repr(CELLS[name](3, 4))


@pytest.mark.parametrize("name", CELLS)
def test_initial_state_follows_dtype_and_batch(name):
    cell = CELLS[name](3, 4).double()
    for leaf in leaves(cell.initial_state(6)):
        assert leaf.shape == (6, 4)
        assert leaf.dtype == torch.double
    for leaf in leaves(cell.initial_state(6, dtype=torch.float32)):
        assert leaf.dtype == torch.float32


def test_concatenating_cell_is_the_tutorials():
    cell = ConcatenatingCell(3, 4, output_size=5)
    x, h = torch.randn(2, 3), torch.randn(2, 4)
    output, hidden = cell(x, h)
    combined = torch.cat((x, h), 1)
    expected = combined @ cell.i2h.weight.T + cell.i2h.bias
    torch.testing.assert_close(hidden, expected)
    scores = combined @ cell.i2o.weight.T + cell.i2o.bias
    torch.testing.assert_close(output, torch.log(torch.softmax(scores, dim=1)))
    torch.testing.assert_close(output.exp().sum(1), torch.ones(2))


def test_the_state_of_the_concatenating_cell_is_linear():
    cell = ConcatenatingCell(3, 4)
    a, b = torch.randn(6, 2, 3), torch.randn(6, 2, 3)

    def final(x):
        return elman.scan(cell, x, cell.initial_state(2))[1]

    zero = final(torch.zeros(6, 2, 3))
    torch.testing.assert_close(final(a) + final(b) - zero, final(a + b))


@pytest.mark.parametrize("sizes", [(0, 4), (3, 0), (-1, 4)])
def test_sizes_below_one_are_refused(sizes):
    with pytest.raises(ArgumentError, match="at least 1"):
        LSTMCell(*sizes)


def test_an_unknown_nonlinearity_is_refused():
    with pytest.raises(ArgumentError, match="tanh, relu"):
        RNNCell(3, 4, nonlinearity="sine")
