"""Steps and calls that once gave wrong numbers, or ended the process."""

import gc
import sys
import types
import weakref

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import elman
from tests.engine.comparing import Run, plain_loop

STEPS, ROWS = 5, 4


def compared(step, x, state, **options):
    """Outputs and gradients of the compiled step beside those of the plain loop."""
    Run.of(step, x, state, "llvm", **options).require_equal(plain_loop(step, x, state, **options))


@pytest.mark.parametrize("reverse", [False, True])
def test_the_old_state_beside_the_new_one_as_outputs(reverse):
    weight = (torch.randn(30, 30) / 10).requires_grad_()

    def step(x, h):
        new = torch.tanh(h @ weight + x)
        return (h, new, new), new

    compared(step, torch.randn(STEPS, ROWS, 30), torch.randn(ROWS, 30), reverse=reverse)


def test_a_state_that_moves_on_to_another():
    weight = torch.randn(3, 3, requires_grad=True)

    def step(x, state):
        a, b = state
        new = torch.tanh(a @ weight + b @ weight.T + x)
        return (a, b), (b, new)

    compared(step, torch.randn(STEPS, ROWS, 3), (torch.zeros(ROWS, 3), torch.ones(ROWS, 3)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_over_nothing(dtype):
    weight = torch.randn(2, 2, dtype=dtype, requires_grad=True)
    none = torch.randn(0, 2, dtype=dtype, requires_grad=True)

    def step(x, state):
        h, empty = state
        h = torch.tanh(torch.cat([x[:, :0], h, empty], 1) @ weight + x + h[:, :0] @ none)
        return h, (h, empty)

    x = torch.randn(STEPS, ROWS, 2, dtype=dtype)
    state = (torch.zeros(ROWS, 2, dtype=dtype), torch.zeros(ROWS, 0, dtype=dtype))
    compared(step, x, state, closed=(weight, none))


def test_a_reset_on_another_device_is_not_read():
    x, h = torch.zeros(3, 2, 4), torch.zeros(2, 4)
    reset = torch.zeros(3, 2, dtype=torch.bool, device="meta")
    with pytest.raises(elman.errors.UnsupportedStep, match="on the CPU"):
        elman.scan(lambda x, h: (x + h, x + h), x, h, reset=reset, backend="llvm")


def test_a_storage_that_the_user_keeps_is_not_used_again():
    weight = torch.randn(64, 64)
    step = lambda x, h: (torch.tanh(h @ weight + x),) * 2  # noqa: E731
    x, h = torch.randn(50, 32, 64), torch.zeros(32, 64)
    output, _ = elman.scan(step, x, h, backend="llvm")
    storage, before = output.untyped_storage(), output.clone()
    del output
    for _ in range(3):
        elman.scan(step, -x, h, backend="llvm")
    kept = torch.empty(0).set_(storage)[-before.numel() :]
    assert torch.isin(kept, before).float().mean() > 0.9


def test_memory_moved_to_where_other_processes_see_it_is_not_used_again():
    weight = torch.randn(64, 64)
    step = lambda x, h: (torch.tanh(h @ weight + x),) * 2  # noqa: E731
    x, h = torch.randn(50, 32, 64), torch.zeros(32, 64)
    output, _ = elman.scan(step, x, h, backend="llvm")
    output.share_memory_()
    address = output.untyped_storage().data_ptr()
    del output
    others = [elman.scan(step, x, h, backend="llvm")[0] for _ in range(3)]
    assert all(other.untyped_storage().data_ptr() != address for other in others)


@pytest.mark.parametrize("backend", ["auto", "llvm"])
def test_checkpoints_of_a_step_that_was_not_compiled_yet(backend):
    weight = torch.randn(3, 3, requires_grad=True)

    def step(x, h):
        h = torch.tanh(x @ weight + h)
        return h, h

    x, h = torch.randn(STEPS, ROWS, 3), torch.zeros(ROWS, 3)
    output, _ = elman.scan(step, x, h, checkpoint=2, backend=backend)
    (found,) = torch.autograd.grad(output.sum(), weight)
    other = torch.randn(3, 3, requires_grad=True)
    output = checkpoint(
        lambda x: elman.scan(lambda x, h: (torch.tanh(x @ other + h),) * 2, x, h,
                             backend=backend)[0], x, use_reentrant=False,
    )  # fmt: skip
    output.sum().backward()
    expected = elman.scan(step, x, h, backend="reference")[0].sum()
    torch.testing.assert_close(found, torch.autograd.grad(expected, weight)[0])


def test_packed_sequences_that_do_not_add_up():
    step = lambda x, h: (x + h, x + h)  # noqa: E731
    pack = nn.utils.rnn.PackedSequence
    for rows, sizes in ((0, []), (3, [2, 2])):
        packed = pack(torch.randn(rows, 3), torch.tensor(sizes, dtype=torch.int64))
        with pytest.raises(elman.errors.ShapeError, match="batch_sizes"):
            elman.scan(step, packed, torch.zeros(2, 3))


def test_second_derivatives_need_the_same_draws():
    drop, weight = nn.Dropout(0.5), torch.ones(3, requires_grad=True)
    step = lambda x, h: (h + drop(x * weight),) * 2  # noqa: E731
    output, _ = elman.scan(step, torch.ones(6, 4, 3), torch.zeros(4, 3), backend="llvm")
    with pytest.raises(elman.errors.UnsupportedStep, match="draws random numbers"):
        torch.autograd.grad(output.sum(), weight, create_graph=True)


def test_many_gradients_at_once():
    weight = torch.randn(3, 3, requires_grad=True)
    step = lambda x, h: (torch.tanh(h @ weight + x),) * 2  # noqa: E731
    x, h = torch.randn(2, 1, 3), torch.zeros(1, 3)
    outputs = [elman.scan(step, x, h, backend=b)[0].flatten() for b in ("llvm", "reference")]
    found = [
        torch.autograd.grad(o, weight, torch.eye(6), is_grads_batched=True)[0] for o in outputs
    ]
    torch.testing.assert_close(*found)


def test_what_needs_no_gradient_says_so_and_shares_no_memory():
    weight, shift = torch.randn(3, requires_grad=True), torch.ones(3)

    def step(x, h):
        h = h + x * weight
        return (x, h, h, shift.expand_as(x), torch.zeros_like(h)), h

    x = torch.randn(STEPS, ROWS, 3)
    outputs, _ = elman.scan(step, x, torch.zeros(ROWS, 3), backend="llvm")
    assert [o.requires_grad for o in outputs] == [False, True, True, False, False]
    before = x.clone()
    for output in outputs:
        output.detach().mul_(2)
    assert torch.equal(x, before)
    assert torch.equal(outputs[1], outputs[2])


def test_a_long_chain():
    def step(x, h):
        for _ in range(1100):  # beyond Python's limit of calls within calls
            h = h * 0.999
        return h + x, h + x

    compared(step, torch.randn(2, 3, 5), torch.zeros(3, 5))


def test_a_tensor_made_of_numbers_is_named():
    def step(x, h):
        h = torch.tanh(x + h) + torch.tensor(0.5)
        return h, h

    with pytest.raises(elman.errors.UnsupportedStep, match=r"from numbers, .*test_faults.py:\d+"):
        elman.scan(step, torch.zeros(2, 2, 3), torch.zeros(2, 3), backend="llvm")


def test_calls_of_a_step_that_cannot_be_compiled_keep_nothing():
    def step(x, h):
        h = torch.sort(x + h, dim=0)[0]
        return h, h

    gone = []
    for _ in range(3):
        x = torch.randn(2, 3, 4)
        gone.append(weakref.ref(x))
        with pytest.raises(elman.errors.UnsupportedStep):
            elman.scan(step, x, torch.zeros(3, 4), backend="llvm")
        del x
    gc.collect()
    assert [reference() for reference in gone] == [None] * 3


def recursive(x, n):
    return x if n == 1 else x * recursive(x, n - 1)


def test_objects_that_hold_themselves():
    options = {"factor": 2.0}
    options["whole"] = options

    def power(x, n):
        return x if n == 1 else x * power(x, n - 1)

    def step(x, h):
        h = torch.tanh(h + power(x, 2) * recursive(x, 2) * options["factor"])
        return h, h

    compared(step, torch.randn(STEPS, ROWS, 3), torch.zeros(ROWS, 3))
    deep: dict = {}
    for _ in range(3000):
        deep = {"inner": deep}
    with pytest.warns(UserWarning, match="anew at every call"):
        elman.scan(lambda x, h: (x + h * len(deep),) * 2, torch.zeros(2, 3, 4), torch.zeros(3, 4))


class Rate(float):
    pass


class Hooked(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.inner.weight.scale = 1.0
        self.rate = Rate(0.5)
        self.zero = 1e-30

    def forward(self, x, h):
        h = torch.tanh(self.inner(x) * self.inner.weight.scale * self.rate + h)
        return torch.copysign(h, torch.full_like(h, self.zero)), h


def agree(cell):
    x, h = torch.randn(STEPS, ROWS, 3), torch.zeros(ROWS, 3)
    found, expected = (elman.scan(cell, x, h, backend=b)[0] for b in ("auto", "reference"))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_hooks_and_odd_attributes_are_seen():
    cell, factor = Hooked(), 2.0
    agree(cell)
    handle = cell.inner.register_forward_hook(lambda module, given, out: out * factor)
    agree(cell)
    factor = 3.0
    agree(cell)
    handle.remove()
    handle = cell.inner.register_forward_hook(lambda module, given, out: out + 1)
    agree(cell)
    handle.remove()
    everywhere = nn.modules.module.register_module_forward_hook(lambda m, given, out: None)
    agree(cell)
    everywhere.remove()
    for change in (
        lambda: setattr(cell.inner.weight, "scale", 2.0),
        lambda: setattr(cell, "rate", Rate(2.0)),
        lambda: setattr(cell, "zero", -1e-30),
        lambda: setattr(cell, "zero", 0.0),
        lambda: setattr(cell, "zero", -0.0),
    ):
        change()
        agree(cell)


def test_a_module_imported_inside_the_step(monkeypatch):
    library = types.ModuleType("a_library")
    library.RATE = 1.0
    monkeypatch.setitem(sys.modules, "a_library", library)

    def step(x, h):
        import a_library

        h = torch.tanh(x * a_library.RATE + h)
        return h, h

    agree(step)
    library.RATE = 3.0
    agree(step)


def test_models_that_hooks_or_classes_hold_are_not_kept_alive():
    class WithHook(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(3, 3)
            self._register_load_state_dict_pre_hook(self.hook)

        def hook(self, *given):
            pass

        def forward(self, x, h):
            h = torch.tanh(self.inner(x) + h)
            return h, h

    def closing_over():
        net = nn.Linear(3, 3)

        class Cell(nn.Module):
            def forward(self, x, h):
                h = torch.tanh(net(x) + h)
                return h, h

        return Cell(), weakref.ref(net.weight)

    cell = WithHook()
    gone = [weakref.ref(cell.inner.weight)]
    agree(cell)
    cell, reference = closing_over()
    gone.append(reference)
    agree(cell)
    del cell
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
