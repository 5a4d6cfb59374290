"""Steps that can't be compiled: named, with the operation and the line, and run all the same."""

import warnings

import pytest
import torch
from torch import nn

import elman
from elman.engine import backends
from elman.engine.run import cache
from elman.errors import UnsupportedStep

X, H = torch.randn(4, 3, 5), torch.randn(3, 5)


@pytest.fixture(autouse=True)
def _warnings_start_anew():
    backends._warned.clear()


class Remembering(nn.Module):
    """Keeps the last state as an attribute, which a compiled loop can't."""

    def __init__(self):
        super().__init__()
        self.last = None
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x, h):
        self.last = h
        self.seen += 1
        return x + h, x + h


def mixes_by_mean(x, h):
    h = h - h.mean(0)
    return h + x, h + x


def mixes_by_product(x, h):
    h = torch.tanh(h @ (h.T @ h)) + x
    return h, h


def mixes_by_softmax(x, h):
    h = h.softmax(0) + x
    return h, h


def mixes_by_sorting(x, h):
    h = h.flip(0) + x
    return h, h


def mixes_by_regrouping(x, h):
    h = (h.reshape(-1) * 2).reshape(h.shape) + x
    return h, h


def counts_rows(x, h):
    h = h / h.shape[0] + x
    return h, h


def depends_on_values(x, h):
    if h.sum() > 0:
        h = h * 2
    return h + x, h + x


def has_no_lowering(x, h):
    h = torch.cumsum(h, 1) * 0.1 + x
    return h, h


STEPS = {
    mixes_by_mean: "mean at test_refusals.py:\\d+ joins all rows",
    mixes_by_product: "matmul at test_refusals.py:\\d+.*rows",
    mixes_by_softmax: "rows",
    mixes_by_sorting: "flip.*test_refusals.py:\\d+.*along the rows",
    mixes_by_regrouping: "rows",
    counts_rows: "rows",
    depends_on_values: "depends on the values of a tensor at test_refusals.py:\\d+",
    has_no_lowering: "cumsum.*test_refusals.py:\\d+",
}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_refused_by_name_and_run_by_the_plain_loop(step):
    with pytest.raises(UnsupportedStep, match=STEPS[step]) as caught:
        elman.scan(step, X, H, backend="llvm")
    assert "\n" not in str(caught.value)
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match=step.__name__):
        found, _ = elman.scan(step, X, H)
    torch.manual_seed(0)
    expected, _ = elman.scan(step, X, H, backend="reference")
    assert torch.equal(found, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is said once
        elman.scan(step, X, H)


LINEAR, CONVOLUTION = torch.nn.Linear(5, 5), torch.nn.Conv1d(5, 5, 3, padding=1)
LOST = {
    "a layer on more axes": (
        lambda x, h: (h, torch.tanh(h + LINEAR(torch.stack([h, x], 1)).sum(1))),
        r"^linear at test_refusals\.py:\d+ regroups rows, so it can't be seen that",
    ),
    "stacked before the rows": (
        lambda x, h: (h, torch.stack([h, x], 0).logsumexp(0)),
        r"^stack at test_refusals\.py:\d+ works along the rows, so it can't be seen that",
    ),
    "numbers for each row": (
        lambda x, h: (h, h + x * torch.randint(0, 5, (len(h), 1))),
        r"^the step depends on the number of rows of its batch at test_refusals\.py:\d+;",
    ),
    "rows that torch counts": (
        lambda x, h: (h, torch.tanh(x + CONVOLUTION(h.unsqueeze(2)).squeeze(2))),
        r"^conv1d depends on the number of rows of its batch at test_refusals\.py:\d+ ",
    ),
    "rows counted behind a layer": (
        lambda x, h: (h, LINEAR(h).view(len(x), 5, 1).exp().squeeze(2) + x),
        r"^the step depends on the number of rows of its batch at test_refusals\.py:\d+;",
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_a_step_that_mixes_no_rows_is_not_accused_of_it(name):
    step, words = LOST[name]
    with pytest.raises(UnsupportedStep, match=words) as caught:
        elman.scan(step, X, H, backend="llvm")
    assert "must treat" not in str(caught.value)


def test_rows_together_and_one_at_a_time_agree_when_a_step_is_accepted():
    def step(x, h):
        h = torch.tanh(h.view(-1, 5) + x.softmax(-1) + x.view(x.shape[0], 5, 1).sum(2))
        return h, h

    together, _ = elman.scan(step, X, H, backend="llvm")
    single = [elman.scan(step, X[:, i : i + 1], H[i : i + 1], backend="llvm")[0] for i in range(3)]
    torch.testing.assert_close(together, torch.cat(single, 1))


def test_a_step_that_changes_its_module_runs_as_written():
    cell = Remembering()
    with pytest.raises(UnsupportedStep, match="in place"):
        elman.scan(cell, X, H, backend="llvm")
    assert cell.last is None
    assert cell.seen.item() == 0
    with pytest.warns(UserWarning, match="Remembering"):
        elman.scan(cell, X, H)
    assert cell.seen.item() == 4


def test_tracing_leaves_the_module_and_the_random_numbers_as_they_were():
    cell = nn.ModuleDict({"norm": nn.BatchNorm1d(5), "spectral": nn.Linear(5, 5)})
    cell["spectral"] = nn.utils.parametrizations.spectral_norm(cell["spectral"])
    before = {name: tensor.clone() for name, tensor in cell.state_dict().items()}
    attributes = {name: set(vars(module)) for name, module in cell.named_modules()}

    def step(x, h):
        h = torch.tanh(cell["norm"](cell["spectral"](x)) + h)
        return h, h

    torch.manual_seed(7)
    state = torch.get_rng_state()
    with pytest.raises(UnsupportedStep):
        elman.scan(step, X, H, backend="llvm")
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in cell.state_dict().items():
        assert type(tensor) is torch.Tensor
        assert torch.equal(tensor, before[name]), name
    assert {name: set(vars(module)) for name, module in cell.named_modules()} == attributes
    for tensor in [*cell.parameters(), *cell.buffers()]:
        assert type(tensor) in (torch.Tensor, nn.Parameter)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.complex64])
def test_other_dtypes_run_by_the_plain_loop(dtype):
    def step(x, h):
        return x + h, x + h

    with pytest.warns(UserWarning, match="float32 or float64"):
        output, _ = elman.scan(step, X.to(dtype), H.to(dtype))
    assert output.dtype == dtype


def test_a_fault_of_the_compiler_costs_no_run(monkeypatch):
    def fails(*_):
        raise KeyError("cat_3")

    def step(x, h):
        return x + h, x + 2 * h

    monkeypatch.setattr(cache, "plan", fails)
    with pytest.warns(UserWarning, match=r"KeyError: 'cat_3'.*please report"):
        found, _ = elman.scan(step, X, H)
    expected, _ = elman.scan(step, X, H, backend="reference")
    assert torch.equal(found, expected)
    cache._entries.clear()


def test_an_integer_state_runs_by_the_plain_loop():
    def step(x, state):
        h, count = state
        return h + x, (h + x, count + 1)

    with pytest.warns(UserWarning, match="int64"):
        _, (_, count) = elman.scan(step, X, (H, torch.zeros(3, 1, dtype=torch.long)))
    assert count.tolist() == [[4], [4], [4]]
