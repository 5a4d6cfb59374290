"""What all rows share where a step wants a value for each row, views of all kinds, and nothing."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import elman
from elman.errors import UnsupportedStep
from tests.engine.comparing import Run, plain_loop

NUMBER = nn.Parameter(torch.tensor(0.5, dtype=torch.double))
VECTOR = nn.Parameter(torch.randn(6, dtype=torch.double))
ROW = nn.Parameter(torch.randn(1, 6, dtype=torch.double))
MATRIX = nn.Parameter(torch.randn(2, 3, dtype=torch.double))
WEIGHT = nn.Parameter(torch.randn(6, 6, dtype=torch.double) / 3)
HEADS = nn.Parameter(torch.randn(2, 3, 3, dtype=torch.double) / 2)
CLOSED = (NUMBER, VECTOR, ROW, MATRIX, WEIGHT, HEADS)


def rows(h):
    return h.shape[0]


def written(h, value, start):
    """Zeros with a value in some columns."""
    made = torch.zeros_like(h)
    made[:, start : start + 3] = value
    return made


SHARED = {
    "a number": lambda h: h * NUMBER.expand_as(h),
    "a vector": lambda h: VECTOR.expand(rows(h), -1) * h,
    "a row": lambda h: ROW.expand(rows(h), -1) - h, "a row as": lambda h: ROW.expand_as(h) * h,
    "a matrix": lambda h: (MATRIX.expand(rows(h), 2, 3) * h.view(-1, 2, 3)).flatten(1),
    "flattened": lambda h: MATRIX.expand(rows(h), 2, 3).reshape(-1, 6) * h,
    "repeated": lambda h: VECTOR.repeat(rows(h), 1) * h,
    "repeated twice": lambda h: ROW[:, :3].repeat(rows(h), 2) * h,
    "joined": lambda h: torch.cat([VECTOR[:3].expand(rows(h), -1), h[:, :3]], 1) @ WEIGHT,
    "stacked": lambda h: torch.stack([h, VECTOR.expand(rows(h), -1)], 1).sum(1),
    "multiplied": lambda h: VECTOR.expand(rows(h), -1) @ WEIGHT + h,
    "mse_loss": lambda h: F.mse_loss(h, ROW.expand_as(h), reduction="none"),
    "written": lambda h: written(h, VECTOR[:3], 2) + h,
    "alone": lambda h: VECTOR.expand(rows(h), -1),
    "zeros": lambda h: torch.zeros(h.shape[0], 6, dtype=h.dtype) + h,
    "ones beside": lambda h: torch.cat([h[:, 1:], torch.ones_like(h[:, :1])], 1),
    "new_full": lambda h: h.new_full(h.shape, 0.3) * h, "eye": lambda h: h @ torch.eye(6).double(),
    "a single as double": lambda h: h + torch.full_like(h, 0.1, dtype=torch.float32).double(),
    "by its norm": lambda h: h @ (WEIGHT / WEIGHT.norm()),
    "a condition": lambda h: torch.where((VECTOR > 0).expand_as(h), h, -h),
}  # fmt: skip
VIEWS = {
    "unbind": lambda h: h.view(-1, 2, 3).unbind(1)[0].sum(-1, keepdim=True) * h,
    "unbind of unbind": lambda h: h.view(-1, 2, 3).unbind(1)[1].unbind(1)[2][:, None] * h,
    "split of split": lambda h: h.split([2, 4], 1)[1].split([1, 3], -1)[1].sum(1, True) * h,
    "chunk of view": lambda h: torch.cat(h.view(-1, 2, 3).chunk(2, 1)[::-1], 1).flatten(1),
    "tensor_split": lambda h: torch.cat(h.tensor_split(4, 1)[::-1], 1),
    "nothing": lambda h: h[:, :0].exp().sum(1, keepdim=True) + h,
    "nothing joined": lambda h: torch.cat([h[:, :0] * 2, h], 1),
    "nothing multiplied": lambda h: h[:, :0] @ WEIGHT[:0] + h,
    "one column": lambda h: h[:, :1] @ ROW + h,
}  # fmt: skip


def loops(function):
    def step(x, h):
        h = torch.tanh(function(h) + x)
        return (h, function(x)), h

    return step


@pytest.mark.parametrize("options", [{}, {"lengths": [3, 1, 4]}], ids=["even", "lengths"])
@pytest.mark.parametrize("name", [*SHARED, *VIEWS])
def test_compiles_as_the_plain_loop_runs(name, options):
    step = loops({**SHARED, **VIEWS}[name])
    x, h = torch.randn(4, 3, 6, dtype=torch.double), torch.randn(3, 6, dtype=torch.double)
    expected = plain_loop(step, x, h, CLOSED, **options)
    Run.of(step, x, h, "llvm", CLOSED, **options).require_equal(expected)
    with torch.no_grad():
        (found, _), _ = elman.scan(step, x, h, backend="llvm", **options)
    torch.testing.assert_close(found, expected.tensors["output 0"])


RESULTS = {
    "a shared next state": lambda x, h: (h, VECTOR.expand_as(h)),
    "a constant next state": lambda x, h: (h * x, torch.full_like(h, 0.1)),
    "a shared output": lambda x, h: (VECTOR.expand(rows(h), -1), torch.tanh(h + x)),
    "constant outputs": lambda x, h: ((torch.zeros_like(h), h.new_ones(rows(h), 2)), h + x),
    "the input": lambda x, h: ((x, x), h), "an unused state": lambda x, h: (x * 2, x),
    "one value twice": lambda x, h: ((h, h.view(-1, 2, 3), h), torch.tanh(h + x)),
    "no numbers": lambda x, h: ((h[:, :0] * h[:, :1] + 2, h[:, :0].var(1)), torch.tanh(h + x)),
    "only a gradient of a parameter": lambda x, h: (x * NUMBER, h.detach() * 0.5),
    "several results of one operation": lambda x, h: (torch.frexp(h.detach()), torch.tanh(h + x)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:var")
@pytest.mark.parametrize("name", RESULTS)
def test_results_that_are_shared_or_constant(name):
    x, h = torch.randn(4, 3, 6, dtype=torch.double), torch.randn(3, 6, dtype=torch.double)
    expected = plain_loop(RESULTS[name], x, h, CLOSED)
    Run.of(RESULTS[name], x, h, "llvm", CLOSED).require_equal(expected)
    with torch.no_grad():
        elman.scan(RESULTS[name], x, h, backend="llvm")


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_views_outside_the_loop_hold_for_any_strides(rows):
    def step(x, h):
        u = torch.bmm(x.view(-1, 2, 3).transpose(0, 1), HEADS).transpose(0, 1).reshape(-1, 6)
        return torch.logsumexp(u, -1), torch.tanh(u + h)

    x = torch.randn(3, 6, rows, dtype=torch.double).transpose(1, 2)
    h = torch.randn(rows, 6, dtype=torch.double)
    expected = plain_loop(step, x, h, (HEADS,))
    Run.of(step, x, h, "llvm", (HEADS,)).require_equal(expected)


@pytest.mark.parametrize("function", [
    lambda h: torch.quantile(h, 0.3, dim=-1, keepdim=True), lambda h: h[:, ::2].sum(1, True),
    lambda h: h.view(-1, 2, 3).transpose(1, 2).reshape(-1, 6), lambda h: torch.complex(h, h).abs(),
    lambda h: h.half().double(),
])  # fmt: skip
def test_what_is_refused_is_named_with_its_line(function):
    x, h = torch.randn(4, 3, 6, dtype=torch.double), torch.randn(3, 6, dtype=torch.double)
    for mode in (torch.no_grad(), torch.enable_grad()):
        with mode, pytest.raises(UnsupportedStep, match=r"at test_shared_values\.py:\d+|backward"):
            elman.scan(loops(function), x, h, backend="llvm")
