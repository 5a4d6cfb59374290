"""`constants`: what a row sees at every step, against a loop written out row by row."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import elman
from elman.engine.graph import untraceable
from elman.errors import ShapeError, StepError, UnsupportedStep

STEPS, ROWS, SLOTS, WIDTH = 5, 4, 3, 6
BACKENDS = ("reference", "llvm")


class Attention(nn.Module):
    """Reads an encoder's memory `(B, S, H)` where a mask `(B, S)` allows it."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(WIDTH, WIDTH).double()

    def forward(self, x, h, constants):
        memory, mask = constants["memory"], constants["mask"]
        scores = (memory * h.unsqueeze(1)).sum(-1).masked_fill(~mask, -1e9)
        read = (torch.softmax(scores, 1).unsqueeze(-1) * memory).sum(1)
        h = torch.tanh(self.map(x) + h + read)
        return h, h


def numbers(*shape, grad=True):
    return torch.randn(*shape, dtype=torch.double, requires_grad=grad)


@pytest.fixture
def given():
    torch.manual_seed(0)
    mask = torch.ones(ROWS, SLOTS, dtype=torch.bool)
    mask[0, 1:] = False
    return (
        Attention(), numbers(STEPS, ROWS, WIDTH), numbers(ROWS, WIDTH),
        {"memory": numbers(ROWS, SLOTS, WIDTH), "mask": mask}, numbers(ROWS, WIDTH),
    )  # fmt: skip


def row_by_row(step, x, state, constants, reset_state, lengths=None, reset=None, reverse=False):
    outputs, finals = torch.zeros(STEPS, ROWS, WIDTH, dtype=torch.double), []
    for row in range(ROWS):
        own = {name: leaf[row : row + 1] for name, leaf in constants.items()}
        s = state[row : row + 1]
        times = list(range(STEPS if lengths is None else lengths[row]))
        for t in reversed(times) if reverse else times:
            if reset is not None and reset[t, row]:
                s = reset_state[row : row + 1]
            y, s = step(x[t, row : row + 1], s, own)
            place = torch.zeros(STEPS, ROWS, 1, dtype=torch.double)
            place[t, row] = 1.0
            outputs = outputs + place * y
        finals.append(s)
    return outputs, torch.cat(finals)


RESET = torch.tensor([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]).bool()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("checkpoint", [None, 2])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reverse": True},
        {"lengths": [2, 5, 0, 3]},
        {"lengths": [2, 5, 0, 3], "reverse": True},
        {"reset": RESET},
        {"reset": RESET, "lengths": [5, 1, 4, 3], "reverse": True},
    ],
)
def test_equals_rows_on_their_own(given, options, checkpoint, backend):
    step, x, state, constants, reset_state = given
    wanted = [x, state, constants["memory"], *step.parameters()]
    if "reset" in options:
        wanted.append(reset_state)
    expected = row_by_row(step, x, state, constants, reset_state, **options)
    if "reset" in options:
        options = {**options, "reset_state": reset_state}
    found = elman.scan(
        step, x, state, constants=constants, checkpoint=checkpoint, backend=backend, **options
    )
    torch.testing.assert_close(found, expected)
    weights = torch.randn(STEPS, ROWS, WIDTH, dtype=torch.double)
    gradients = [
        torch.autograd.grad((y * weights).sum() + h.sum(), wanted) for y, h in (found, expected)
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("reset_state", [None, True])
def test_a_reset_leaves_the_constants_as_they_are(backend, reset_state):
    start = torch.full((ROWS, WIDTH), 5.0)
    options = {} if reset_state is None else {"reset_state": torch.zeros_like(start)}
    output, _ = elman.scan(
        lambda x, h, c: (h + x * c, h + x * c), torch.ones(2, ROWS, WIDTH), start,
        constants=torch.arange(4.0)[:, None].expand(ROWS, WIDTH), reset=torch.ones(2, ROWS).bool(),
        backend=backend, **options,
    )  # fmt: skip
    assert output[1, :, 0].tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_a_packed_input_keeps_rows_and_constants_together(given, backend, enforce_sorted):
    step, x, state, constants, _ = given
    lengths = [5, 3, 3, 1] if enforce_sorted else [3, 1, 5, 3]
    packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=enforce_sorted)
    output, final = elman.scan(step, packed, state, constants=constants, backend=backend)
    expected = row_by_row(step, x, state, constants, None, lengths)
    torch.testing.assert_close((pad_packed_sequence(output)[0], final), expected)


def test_a_function_of_no_state_but_constants():
    output, state = elman.scan(
        lambda x, s, c: (x + c[0], s), torch.ones(2, 3, 1), (), constants=(torch.ones(3, 1),),
        backend="reference",
    )  # fmt: skip
    assert output.flatten().tolist() == [2.0] * 6
    assert state == ()


def test_what_does_not_fit_is_named(given):
    step, x, state, constants, _ = given
    with pytest.raises(ShapeError, match=r"constants\['memory'\] must have the batch of 4 rows"):
        elman.scan(step, x, state, constants={"memory": constants["memory"][:2]})
    with pytest.raises(StepError, match=r"given, tensor, but it returned \(tensor, tensor\)"):
        elman.scan(lambda x, h, c: (h, (h, h)), x, state, constants=state)
    with pytest.raises(StepError, match="must return the pair"):
        elman.scan(lambda x, h, c: h, x, state, constants=state)
    with pytest.raises(StepError, match=r"its state, but state went in as \(4, 6\)"):
        elman.scan(lambda x, h, c: (h, h[:, :2]), x, state, constants=state)


def test_explain_names_them(given, capsys):
    step, x, state, constants, _ = given
    elman.explain(step, x, state, constants=constants)
    text = capsys.readouterr().out
    assert "constants['memory'] (4, 3, 6)" in text
    assert "state (4, 6)" in text


def test_the_plain_loop_keeps_rows_in_their_order_for_what_a_step_closes_over():
    condition = torch.tensor([[1.0], [2.0]])

    def step(x, h):
        h = h + x * condition[: len(x)]
        return h, h

    for lengths in ([1, 3], [3, 1], [2, 0]):
        output, state = elman.scan(
            step, torch.ones(3, 2, 1), torch.zeros(2, 1), lengths=lengths, backend="reference"
        )
        assert state.flatten().tolist() == [lengths[0] * 1.0, lengths[1] * 2.0]
        assert output[0].flatten().tolist() == [1.0 * bool(lengths[0]), 2.0 * bool(lengths[1])]


def test_the_plain_loop_gives_a_step_its_own_copy_of_input_and_state():
    def step(x, h):
        h.add_(x.mul_(2.0))
        return h, h

    x, h = torch.ones(3, 2, 1), torch.zeros(2, 1)
    output, _ = elman.scan(step, x, h, backend="reference")
    assert output[:, 0, 0].tolist() == [2.0, 4.0, 6.0]
    assert x.unique().item() == 1.0
    assert not h.any()


def test_rows_that_are_over_leave_no_trace_in_gradients():
    """A derivative that is infinite in the padding, or for a row without any step."""
    weight = torch.ones(1, dtype=torch.double, requires_grad=True)

    def step(x, h):
        h = h + (x * weight).sqrt()
        return h, h

    x = torch.ones(3, 3, 1, dtype=torch.double)
    x[1:, 0], x[:, 1] = 0.0, float("nan")
    state = torch.zeros(3, 1, dtype=torch.double)
    state[1] = float("nan")
    for backend in BACKENDS:
        output, final = elman.scan(step, x, state, lengths=[1, 0, 3], backend=backend)
        (gradient,) = torch.autograd.grad(output[:, ::2].sum() + final[::2].sum(), weight)
        assert torch.isfinite(gradient).all()


MEMORY, WIDE, PLACES = torch.randn(5, 7, 6), torch.randn(5, 6), torch.arange(5)
CLOSED_OVER = {
    "WIDE": [
        lambda x, h: (h, torch.tanh(x + h + WIDE)),
        lambda x, h: (h, torch.tanh(x + h + WIDE[: len(x)])),
        lambda x, h: (h, torch.cat([h, WIDE], -1)[:, :6]),
        lambda x, h: (h, torch.where(WIDE > 0, h, x)),
    ],
    "MEMORY": [
        lambda x, h: (h, x + torch.bmm(MEMORY, h.unsqueeze(-1)).mean(1)),
        lambda x, h: (h, x + torch.einsum("bse,be->bs", MEMORY, h).mean(1, keepdim=True)),
    ],
    "PLACES": [lambda x, h: (h, h + MEMORY[PLACES, 0])],
}


@pytest.mark.parametrize("name", CLOSED_OVER)
def test_a_closed_over_tensor_with_an_entry_for_each_row_is_refused_by_name(name):
    for step in CLOSED_OVER[name]:
        x, h = torch.randn(4, 5, 6), torch.zeros(5, 6)
        with pytest.raises(UnsupportedStep, match=rf"closes over {name} \(5.*constants="):
            elman.scan(step, x, h, backend="llvm")


def test_a_batch_as_large_as_the_number_that_stands_for_rows_in_a_trace():
    rows = untraceable.HINT
    wide = torch.randn(rows, 6)
    with pytest.raises(UnsupportedStep, match=r"closes over wide \(61, 6\)"):
        elman.scan(
            lambda x, h: (h, torch.tanh(x + h + wide)), torch.randn(4, rows, 6),
            torch.zeros(rows, 6), backend="llvm",
        )  # fmt: skip


def test_a_tensor_that_only_looks_as_if_it_had_an_entry_for_each_row_is_a_weight():
    weight = torch.randn(5, 5)
    step = lambda x, h: (h, torch.tanh(x + h @ weight))  # noqa: E731
    x, h = torch.randn(4, 5, 5), torch.zeros(5, 5)
    found, expected = (elman.scan(step, x, h, backend=b)[0] for b in ("llvm", "reference"))
    torch.testing.assert_close(found, expected)
