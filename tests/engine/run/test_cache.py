"""A compiled step is used again only while everything that went into it is as it was."""

import decimal
import types

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import elman
from elman.cells import GRUCell
from elman.engine.run import cache

X, H = torch.randn(4, 3, 5), torch.zeros(3, 5)


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(5, 5)
        self.drop = nn.Dropout(0.5)
        self.scale = 1.0
        self.options = {"shift": 0.0, "names": ["a"]}

    def forward(self, x, h):
        h = torch.tanh(self.drop(self.inner(x)) * self.scale + h + self.options["shift"])
        if self.training and len(self.options["names"]) > 1:
            h = h * 0.5
        return h, h


def both(step, x=X, h=H, **options):
    """The output of the compiled step; it must equal that of the plain loop."""
    torch.manual_seed(0)
    found, _ = elman.scan(step, x, h, backend="llvm", **options)
    torch.manual_seed(0)
    expected, _ = elman.scan(step, x, h, backend="reference", **options)
    return found.detach(), expected.detach()


def require_equal(step, *arguments):
    torch.testing.assert_close(*both(step, *arguments), rtol=1e-5, atol=1e-5)


CHANGES = {
    "training flag": lambda cell: cell.eval(),
    "dropout rate": lambda cell: setattr(cell.drop, "p", 0.0),
    "attribute": lambda cell: setattr(cell, "scale", 3.0),
    "value in a dict": lambda cell: cell.options.update(shift=1.0),
    "length of a list": lambda cell: cell.options["names"].append("b"),
    "weights in place": lambda cell: cell.inner.weight.data.mul_(2),
    "weights through .data": lambda cell: setattr(cell.inner.weight, "data", torch.randn(5, 5)),
    "another parameter": lambda cell: setattr(
        cell.inner, "weight", nn.Parameter(torch.randn(5, 5))
    ),
    "no bias": lambda cell: setattr(cell.inner, "bias", None),
    "another method": lambda cell: setattr(
        cell, "forward", types.MethodType(lambda self, x, h: (x - h, h), cell)
    ),
    "another module": lambda cell: setattr(cell, "inner", nn.Identity()),
    "a hook": lambda cell: cell.inner.register_forward_hook(lambda m, i, out: out * 2),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_seen(name):
    cell = Cell().eval() if name != "length of a list" else Cell()
    cell.drop.p = 0.0
    if name == "training flag":
        cell.train()
    require_equal(cell)
    CHANGES[name](cell)
    require_equal(cell)


def test_compiled_in_inference_mode_and_used_outside():
    cell = Cell().eval()
    with torch.inference_mode():
        require_equal(cell)
    with torch.no_grad():
        require_equal(cell)
    require_equal(cell)


def test_a_dropout_rate_that_grows_is_seen():
    cell = Cell()
    cell.drop.p = 0.0
    require_equal(cell)
    cell.drop.p = 1.0
    require_equal(cell)
    cell.drop.p = 0.5
    found, _ = elman.scan(cell, X, H, backend="llvm")
    assert not torch.equal(found, elman.scan(cell, X, H, backend="llvm")[0])


def test_closed_over_numbers_globals_and_functions_are_seen():
    factor, weight = 2.0, torch.ones(5)

    def helper(h):
        return h * factor

    def step(x, h):
        h = helper(x) * SCALE + h * weight
        return h, h

    global SCALE
    SCALE = 1.0
    require_equal(step)
    SCALE = 5.0
    require_equal(step)
    factor = 0.5
    require_equal(step)
    weight = torch.full((5,), 3.0)
    require_equal(step)
    weight = torch.full((5,), 3.0, dtype=torch.double)
    found, expected = both(step, X.double(), H.double())
    torch.testing.assert_close(found, expected)


class Options:
    scale = 1.0
    shift = types.SimpleNamespace(by=0.0)

    @property
    def factor(self):
        return self.scale


class Configured(nn.Module):
    scale = 1.0

    def gate(self, x):
        return torch.tanh(x)

    def forward(self, x, h):
        h = self.gate(x * self.scale * LIBRARY.SCALE + h) * Options.scale * OPTIONS.factor
        return h, LIBRARY.inner.helper(h) + OPTIONS.shift.by


OPTIONS = Options()
LIBRARY = types.ModuleType("library")
LIBRARY.inner = types.ModuleType("library.inner")
LIBRARY.SCALE = LIBRARY.inner.FACTOR = 1.0


def helper(h):
    return h * FACTOR  # noqa: F821 (a name of the module that it is put into)


LIBRARY.inner.helper = types.FunctionType(helper.__code__, vars(LIBRARY.inner))

FAR_CHANGES = {
    "attribute of a module": (LIBRARY, "SCALE", 2.0),
    "global of a module's function": (LIBRARY.inner, "FACTOR", 0.5),
    "function of a module": (LIBRARY.inner, "helper", lambda h: h * 0.25),
    "attribute of a class": (Options, "scale", 3.0),
    "property of a class": (Options, "factor", property(lambda self: 0.5)),
    "attribute of the cell's class": (Configured, "scale", 2.0),
    "method of the cell's class": (Configured, "gate", lambda self, x: torch.sigmoid(x)),
    "an object in a class": (Options, "shift", types.SimpleNamespace(by=1.0)),
    "attribute of an object in a class": (Options.shift, "by", 2.0),
}


@pytest.mark.parametrize("name", FAR_CHANGES)
def test_a_change_far_from_the_step_is_seen(name, monkeypatch):
    cell = Configured()
    require_equal(cell)
    require_equal(cell)
    monkeypatch.setattr(*FAR_CHANGES[name])
    require_equal(cell)
    monkeypatch.undo()
    require_equal(cell)


def test_equal_steps_have_each_their_own_weights():
    class Same(GRUCell):
        def __eq__(self, other):
            return isinstance(other, Same)

        __hash__ = nn.Module.__hash__

    for _ in range(3):
        require_equal(Same(5, 5))


def test_many_steps_in_turn():
    cells = [GRUCell(5, 5) for _ in range(20)]
    for cell in [*cells, *cells]:
        require_equal(cell)


def test_sizes_dtypes_grad_mode_and_requires_grad():
    cell = GRUCell(5, 5)
    for steps, rows in ((4, 3), (9, 3), (4, 11), (1, 1)):
        require_equal(cell, torch.randn(steps, rows, 5), torch.zeros(rows, 5))
    with torch.no_grad():
        assert not elman.scan(cell, X, H)[0].requires_grad
    assert elman.scan(cell, X, H)[0].requires_grad
    cell.requires_grad_(False)
    assert not elman.scan(cell, X, H)[0].requires_grad
    x = X.clone().requires_grad_()
    elman.scan(cell, x, H, backend="llvm")[0].sum().backward()
    assert x.grad is not None
    cell.weight_hh.requires_grad_(True)
    elman.scan(cell, X, H, backend="llvm")[0].sum().backward()
    assert cell.weight_hh.grad is not None
    assert cell.weight_ih.grad is None
    cell.double()
    found, expected = both(cell, X.double(), H.double())
    torch.testing.assert_close(found, expected)


def test_another_number_of_rows_or_steps_compiles_nothing(monkeypatch):
    cell = GRUCell(5, 5)
    elman.scan(cell, X, H)
    monkeypatch.setattr(cache, "trace", None)  # would fail if it were called
    for steps, rows in ((1, 3), (50, 3), (4, 40), (4, 1)):
        elman.scan(cell, torch.randn(steps, rows, 5), torch.zeros(rows, 5))


def test_weights_of_a_dropped_cell_are_not_kept_alive():
    import gc
    import weakref

    cell = GRUCell(5, 5)
    elman.scan(cell, X, H)[0].sum().backward()
    gone = weakref.ref(cell.weight_hh)
    del cell
    gc.collect()
    assert gone() is None


def test_two_cells_of_one_kind_keep_their_own_weights():
    first, second = GRUCell(5, 5), GRUCell(5, 5)
    for cell in (first, second, first):
        require_equal(cell)


def test_a_step_with_something_opaque_is_traced_anew_each_time():
    thing = decimal.Context(prec=1)

    def step(x, h):
        h = F.relu(x * thing.prec + h)
        return h, h

    with pytest.warns(UserWarning, match=r"anew at every call.*Context"):
        require_equal(step)
    thing.prec = 2
    require_equal(step)
