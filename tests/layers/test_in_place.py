"""Outputs that the user changes in place: the gradients are torch.nn's all the same."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import elman
from elman.cells import GRUCell, LSTMCell


def set_first(value):
    value[0] = 0.25


def halve_last(value):
    value[-1] *= 0.5


def double_unnoticed_by_autograd(value):
    with torch.no_grad():
        value.mul_(2)


CHANGES = {
    "relu": nn.ReLU(inplace=True),
    "dropout": nn.Dropout(0.5, inplace=True),
    "add_": lambda value: value.add_(1.5),
    "mul_": lambda value: value.mul_(value.detach().clone()),
    "masked_fill_": lambda value: value.masked_fill_(value > 0, 0.5),
    "zero_": lambda value: value.zero_(),
    "slice": set_first,
    "view": halve_last,
    "detached": lambda value: value.detach().neg_(),
    "no_grad": double_unnoticed_by_autograd,
}


def leaves(value):
    if isinstance(value, PackedSequence):
        return [value.data]
    if isinstance(value, torch.Tensor):
        return [value]
    return [leaf for item in value for leaf in leaves(item)]


def changed_and_differentiated(layer, input, change, which):
    """Results and gradients of a layer, one of whose results is changed in place."""
    results = leaves(layer(input))
    torch.manual_seed(1)
    CHANGES[change](results[which % len(results)])
    loss = sum((r * torch.linspace(-1, 1, r.numel()).view(r.shape)).sum() for r in results)
    return [*results, *torch.autograd.grad(loss, [leaves(input)[0], *layer.parameters()])]


def make_input(kind, batch_first):
    x = torch.randn(*((3, 6) if batch_first else (6, 3)), 4, dtype=torch.double)
    if kind == "unbatched":
        return x[0].clone().requires_grad_()
    if kind == "batched":
        return x.requires_grad_()
    packed = pack_padded_sequence(x, [6, 2, 4], batch_first, False)
    return packed._replace(data=packed.data.requires_grad_())


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(["RNN", "GRU", "LSTM"]),
    options=st.fixed_dictionaries({
        "num_layers": st.integers(1, 2), "bidirectional": st.booleans(),
        "batch_first": st.booleans(),
    }),
    kind=st.sampled_from(["batched", "unbatched", "packed"]),
    change=st.sampled_from(sorted(CHANGES)),
    which=st.integers(0, 2),
)  # fmt: skip
def test_gradients_are_torchs(always_compiled, name, options, kind, change, which):
    theirs = getattr(nn, name)(4, 5, **options).double()
    ours = getattr(elman, name)(4, 5, **options).double()
    ours.load_state_dict(theirs.state_dict())
    input = make_input(kind, options["batch_first"])
    before = len(always_compiled)
    found = changed_and_differentiated(ours, input, change, which)
    assert len(always_compiled) > before, "nothing was compiled"
    expected = changed_and_differentiated(theirs, input, change, which)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["GRUCell", "LSTMCell"])
def test_a_cells_state_may_be_masked_in_place(always_compiled, name):
    theirs = getattr(nn, name)(4, 5).double()
    ours = elman.convert(theirs)
    x, mask = torch.randn(6, 3, 4, dtype=torch.double), torch.tensor([[1.0], [0.0], [1.0]])
    results = []
    for cell in (ours, theirs):
        state = None
        for now in x:
            state = cell(now, state)
            leaves(state)[0].mul_(mask)
        results.append(torch.autograd.grad(leaves(state)[0].sum(), list(theirs.parameters())))
    assert always_compiled
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("backend", ["llvm", "reference"])
@pytest.mark.parametrize("more", [{}, {"lengths": [3, 6, 0]}, {"checkpoint": 4}])
def test_a_scan_whose_outputs_change(more, backend):
    cell = LSTMCell(4, 5)

    def step(x, state):
        output, state = cell(x, state)
        return {"output": output, "again": output, "cell": state[1]}, state

    x = torch.randn(6, 3, 4, requires_grad=True)
    output, final = elman.scan(step, x, cell.initial_state(3), backend=backend, **more)
    changed, _ = elman.scan(step, x, cell.initial_state(3), backend=backend, **more)
    for leaf in changed.values():
        leaf.relu_()
    final[0].zero_()
    found, expected = (
        torch.autograd.grad(sum(leaf.sum() for leaf in leaves(list(result.values()))), x)
        for result in (changed, {key: torch.relu(leaf) for key, leaf in output.items()})
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("steps", [5, 200])
def test_what_is_computed_again_has_the_same_bits(steps):
    cell = LSTMCell(16, 32)
    x = torch.randn(steps, 24, 16, requires_grad=True)
    wanted = [x, *cell.parameters()]
    found = []
    for change in (lambda _: None, lambda value: value.add_(1)):  # whose gradient is the same
        output, _ = elman.scan(cell, x, cell.initial_state(24), backend="llvm")
        change(output)
        found.append(torch.autograd.grad(output.sum(), wanted))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


class Noisy(nn.Module):
    """A GRU whose input is dropped at random in every step."""

    def __init__(self):
        super().__init__()
        self.cell = GRUCell(4, 5)

    def forward(self, x, hidden):
        return self.cell(nn.functional.dropout(x, 0.5), hidden)


@pytest.mark.parametrize("lengths", [None, [3, 6, 0]])
def test_random_numbers_are_drawn_again_and_no_others_are_lost(lengths):
    step = Noisy()
    x = torch.randn(6, 3, 4, requires_grad=True)
    found, after = [], []
    for change in (lambda _: None, lambda value: value.add_(1)):
        torch.manual_seed(2)
        output, _ = elman.scan(step, x, torch.zeros(3, 5), lengths=lengths, backend="llvm")
        change(output)
        found.append(torch.autograd.grad(output.sum(), [x, *step.parameters()]))
        after.append(torch.rand(3))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert torch.equal(*after)


@pytest.mark.parametrize("what", ["input", "state", "reset", "weight"])
def test_what_the_loop_read_must_not_change(what):
    cell = GRUCell(4, 5)
    given = {
        "input": torch.randn(6, 3, 4), "state": torch.randn(3, 5), "weight": cell.weight_hh,
        "reset": torch.rand(6, 3) < 0.3,
    }  # fmt: skip
    output, _ = elman.scan(
        cell, given["input"], given["state"], reset=given["reset"], backend="llvm"
    )
    with torch.no_grad():
        given[what].zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()
