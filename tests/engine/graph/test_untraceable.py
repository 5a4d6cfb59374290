"""Steps, and calls, that no trace can follow: said in the user's terms, and run all the same."""

import numpy as np
import pytest
import torch
from torch import fx, nn

import elman
from elman.engine import backends
from elman.errors import ArgumentError, UnsupportedStep

X, H = torch.randn(4, 2, 6), torch.zeros(2, 6)


class Cell(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, h):
        h = torch.tanh(self.layer(x) + h)
        return h, h


def eagerly(function):
    return torch.compile(function, backend="eager")


def compiled_in_place():
    cell = Cell(nn.Linear(6, 6))
    cell.compile(backend="eager")
    return cell


def around(layer):
    return lambda x, h: (h, torch.tanh(layer(x) + h))


@pytest.fixture(autouse=True)
def _warnings_start_anew():
    backends._warned.clear()


STEPS = {
    "a compiled cell": (lambda: eagerly(Cell(nn.Linear(6, 6))), "Cell is compiled by torch"),
    "compiled in place": (compiled_in_place, "Cell is compiled by torch.compile"),
    "a compiled layer": (lambda: around(eagerly(nn.Linear(6, 6))), "Linear is compiled"),
    "a compiled function": (lambda: around(eagerly(torch.tanh)), "tanh is compiled"),
    "a compiled step": (lambda: eagerly(lambda x, h: (h, x + h)), "is compiled by torch.compile"),
    "a scripted cell": (lambda: torch.jit.script(Cell(nn.Linear(6, 6))), "Cell is scripted"),
    "a scripted layer": (lambda: Cell(torch.jit.script(nn.Linear(6, 6))), "Linear is scripted"),
    "a lazy layer": (lambda: Cell(nn.LazyLinear(6)), "LazyLinear makes its parameters"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning", "ignore:.*jit.script")
@pytest.mark.parametrize("name", STEPS)
def test_what_torch_has_compiled_or_not_finished_runs_as_a_plain_loop(name):
    make, reason = STEPS[name]
    step = make()
    with pytest.raises(UnsupportedStep, match=reason):
        elman.scan(step, X, H, backend="llvm")
    with pytest.warns(UserWarning, match=reason):
        found, _ = elman.scan(step, X, H)
    expected, _ = elman.scan(step, X, H, backend="reference")
    assert torch.equal(found, expected)


def test_a_lazy_layer_compiles_once_it_has_its_parameters():
    cell = Cell(nn.LazyLinear(6))
    with pytest.warns(UserWarning, match="LazyLinear"):
        expected, _ = elman.scan(cell, X, H)
    found, _ = elman.scan(cell, X, H, backend="llvm")
    torch.testing.assert_close(found, expected)


def test_symbolic_tracing_is_told_what_to_do():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = Cell(nn.Linear(6, 6))

        def forward(self, x, h):
            return elman.scan(self.cell, x, h)[0]

    with pytest.raises(ArgumentError, match=r"symbolic_trace.*leaf"):
        fx.symbolic_trace(Model())


def branches(x, h):
    return h, (x if h.sum(1)[0] > 0 else h)


def reads_a_number(x, h):
    return h, x * float(h[0, 0])


def counts_rows(x, h):
    return h, (x + h if x.shape[0] == 2 else x)


def has_rows_of_its_own(x, h):
    return h, x + h + torch.ones(2, 6)


def leaves_torch(x, h):
    return h, x + torch.from_numpy(h.detach().numpy())


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (branches, r"values of a tensor at test_untraceable.py:\d+"),
        (reads_a_number, r"values of a tensor at test_untraceable.py:\d+"),
        (counts_rows, r"number of rows of its batch at test_untraceable.py:\d+ \(Ne\(rows, 2\)\)"),
        (has_rows_of_its_own, r"at test_untraceable.py:\d+ \(RuntimeError: The size .*\(rows\)"),
        (leaves_torch, r"numbers of a tensor \(numpy at test_untraceable.py:\d+\)"),
    ],
)
def test_reasons_name_the_users_line_and_no_symbols(step, reason):
    with pytest.raises(UnsupportedStep, match=reason) as caught:
        elman.scan(step, X, H, backend="llvm")
    assert "\n" not in str(caught.value)
    assert "reference" in str(caught.value)


# Words that are true, and name the user's line.


def with_float_of_a_buffer(way):
    module = nn.Linear(6, 6)
    module.register_buffer("scale", torch.tensor(0.5))
    return lambda x, h: (h, torch.tanh(x + h * way(module.scale)))


VALUES = {
    "item": with_float_of_a_buffer(lambda scale: scale.item()),
    "float": with_float_of_a_buffer(float),
    "if": with_float_of_a_buffer(lambda scale: 2 if scale > 0.3 else 1),
    "tolist": with_float_of_a_buffer(lambda scale: scale.tolist()),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_the_values_of_a_tensor(name):
    words = r"(values of a tensor|numbers of a tensor \(tolist) at test_untraceable\.py:\d+"
    with pytest.raises(UnsupportedStep, match=words):
        elman.scan(VALUES[name], X, H, backend="llvm")


LAYER, ARRAY = elman.GRU(6, 6), np.ones(6, dtype=np.float32)
NESTED = {
    "vmap": (
        lambda x, h: (h, torch.vmap(lambda a, b: a * b.sum())(h, x)),
        r"a transform of torch\.func \(vmap, grad\) at test_untraceable\.py:\d+;",
    ),
    "grad": (
        lambda x, h: (h, torch.func.grad(lambda a: (a * x).sum())(h)),
        r"a transform of torch\.func \(vmap, grad\) at test_untraceable\.py:\d+;",
    ),
    "a fixed number of rows": (
        lambda x, h: (h, torch.take_along_dim(h * x, x.argsort(-1), 1)),
        r"the number of rows of its batch at test_untraceable\.py:\d+;",
    ),
    "an array": (
        lambda x, h: (h, torch.tanh(x + h * torch.from_numpy(ARRAY))),
        r"makes a tensor from what is none, .*, used at test_untraceable\.py:\d+;",
    ),
    "a recurrent layer": (
        lambda x, h: (h, LAYER(torch.stack([h] * 200))[0][-1]),
        r"test_untraceable\.py:\d+ works along the rows",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NESTED)
def test_what_runs_within_a_step(name):
    step, words = NESTED[name]
    with pytest.raises(UnsupportedStep, match=words):
        elman.scan(step, X, H, backend="llvm")
    with pytest.warns(UserWarning, match=words):
        output, _ = elman.scan(step, X, H)
    torch.testing.assert_close(output, elman.scan(step, X, H, backend="reference")[0])


def test_draws_from_a_generator_of_its_own():
    generator = torch.Generator().manual_seed(3)

    def step(x, h):
        return h, torch.tanh(x + h * torch.rand(h.shape, generator=generator))

    expected, _ = elman.scan(step, X, H + 1, backend="reference")
    generator.manual_seed(3)
    with pytest.warns(UserWarning, match=r"torch\.Generator of its own at test_untraceable\.py"):
        found, _ = elman.scan(step, X, H + 1)
    assert torch.equal(found, expected)


TABLE = {torch.Tensor: 0.2}


class AsksItself(nn.Module):
    def forward(self, x, h):
        rate = 0.5 if type(self) is AsksItself and self.__class__ is AsksItself else 2
        return h, torch.tanh(x + h * rate)


TYPES = {
    "is": lambda x, h: (h, x + h * (0.2 if type(h) is torch.Tensor else 0.6)),
    "class": lambda x, h: (h, x + h * (0.2 if h.__class__ == torch.Tensor else 0.6)),
    "table": lambda x, h: (h, x + h * TABLE.get(type(h), 0.6)),
    "name": lambda x, h: (h, x + h * len(type(x).__name__)),
    "map": lambda x, h: (h, x + h * [0.2, 0.6][torch.Tensor not in map(type, (x, h))]),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
def test_the_very_type_of_a_tensor(name):
    words = r"asks for the very type of something at test_untraceable\.py:\d+.*isinstance"
    with pytest.raises(UnsupportedStep, match=words):
        elman.scan(TYPES[name], X, H + 1, backend="llvm")
    with pytest.warns(UserWarning, match=words):
        output, _ = elman.scan(TYPES[name], X, H + 1)
    h = H + 1
    for t in range(len(X)):
        assert torch.equal(output[t], TYPES[name](X[t], h)[0])
        h = TYPES[name](X[t], h)[1]


def test_the_type_of_a_cell_itself_may_be_asked_for():
    cell = AsksItself()
    output, _ = elman.scan(cell, X, H + 1, backend="llvm")
    torch.testing.assert_close(output, elman.scan(cell, X, H + 1, backend="reference")[0])
