"""A loop of any length answers Ctrl-C, and what makes it answer changes no number."""

import os
import signal
import threading
import time

import pytest
import torch

import elman
from elman.engine.llvm import openmp, pieces, transposed

HIDDEN = 24
WEIGHT = torch.nn.Parameter(torch.randn(HIDDEN, HIDDEN) / HIDDEN)
BIAS = torch.nn.Parameter(torch.zeros(HIDDEN))


def step(x, h):
    h = torch.tanh(x + h @ WEIGHT + BIAS)
    return h, h


@pytest.fixture
def small_pieces(monkeypatch):
    """As if every call were long: a piece holds a few rows and steps only."""

    def use(size):
        monkeypatch.setattr(pieces, "PIECE", size)
        monkeypatch.setattr(transposed, "PIECE", size)

    return use


@pytest.fixture(params=["OpenMP", "plain pool"])
def threads(request, monkeypatch):
    if request.param == "plain pool":
        monkeypatch.setattr(openmp, "parallel_function", lambda: None)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


def results(steps, rows, **options):
    """Outputs, final state and gradients of one call."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(steps, rows, HIDDEN, generator=generator).requires_grad_()
    h = torch.randn(rows, HIDDEN, generator=generator).requires_grad_()
    output, state = elman.scan(step, x, h, backend="llvm", **options)
    loss = (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum() + state.sum()
    return [output, state, *torch.autograd.grad(loss, [x, h, WEIGHT, BIAS])]


@pytest.mark.parametrize("size", [20_000, 300_000])
@pytest.mark.parametrize("kind", ["even", "lengths", "reset", "reverse", "one step"])
def test_pieces_change_no_number(kind, size, small_pieces, threads):
    steps, rows = (1, 900) if kind == "one step" else (60, 70)
    options = {
        "lengths": {"lengths": [(7 * row) % (steps + 1) for row in range(rows)]},
        "reset": {"reset": torch.arange(steps * rows).view(steps, rows) % 11 == 0},
        "reverse": {"reverse": True},
    }.get(kind, {})
    whole = results(steps, rows, **options)
    small_pieces(size)
    for found, expected in zip(results(steps, rows, **options), whole, strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("rows", [1, 33, 500])
@pytest.mark.parametrize("backwards", [False, True])
def test_pieces_cover_every_row_and_step_once(rows, backwards, small_pieces):
    small_pieces(3000)
    active = torch.tensor([rows - rows * t // 9 for t in range(9)])
    offsets = torch.cat([active.new_zeros(1), active.cumsum(0)])
    timetable = elman.engine.program.row_program.Timetable(
        rows, 9, int(offsets[-1]), offsets, backwards
    )
    bounds = torch.tensor([0, rows // 2, rows])
    seen = torch.zeros(9, rows, dtype=torch.int64)
    at = dict.fromkeys(range(rows), 8 if backwards else 0)
    for piece in pieces.pieces_of(timetable, 20, 2, bounds):
        assert piece.bounds.diff().min() >= 0
        mine = range(int(piece.bounds[0]), int(piece.bounds[-1]))
        times = range(piece.first, piece.first + piece.steps)
        for row in mine:
            for t in reversed(times) if backwards else times:
                assert at[row] == t  # in the order of the loop
                at[row] += -1 if backwards else 1
                seen[t, row] += 1
    assert torch.equal(seen, torch.ones_like(seen))


def sines(x, h):
    for _ in range(40):
        h = torch.sin(h + x)
    return h, h


def seconds_to_answer(call):
    """From Ctrl-C, sent while the call runs, until it ends."""
    sent = []

    def kick():
        time.sleep(0.15)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    def run():
        call()
        time.sleep(1)  # it ended by itself
        pytest.fail("the call was too short to be interrupted")

    kicker = threading.Thread(target=kick)
    kicker.start()
    with pytest.raises(KeyboardInterrupt):
        run()
    kicker.join()
    return time.monotonic() - sent[0]


@pytest.mark.slow
@pytest.mark.parametrize("size", [(20_000, 8), (1, 160_000)], ids=["long", "wide"])
def test_ctrl_c_in_a_forward_pass(size, threads):
    x = torch.randn(*size, HIDDEN)
    short = elman.scan(sines, x[:1, :8], torch.zeros(8, HIDDEN))
    state = torch.zeros(size[1], HIDDEN)
    assert seconds_to_answer(lambda: elman.scan(sines, x, state)) < 0.5
    again = elman.scan(sines, x[:1, :8], torch.zeros(8, HIDDEN))
    torch.testing.assert_close(again, short, rtol=0, atol=0)


@pytest.mark.slow
def test_ctrl_c_in_a_backward_pass(threads):
    x = torch.randn(2_000, 8, HIDDEN, requires_grad=True)
    state = torch.zeros(8, HIDDEN)
    elman.scan(sines, x[:2], state)[0].sum().backward()
    output, _ = elman.scan(sines, x, state)
    gradient = torch.ones_like(output)
    assert seconds_to_answer(lambda: output.backward(gradient)) < 0.5
    x.grad = None
    elman.scan(sines, x[:2], state)[0].sum().backward()
    assert x.grad.isfinite().all()
