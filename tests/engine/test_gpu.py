"""Tensors on a GPU: the compiled loop refuses them by name, and the plain loop serves."""

import pytest
import torch
from torch.utils import _pytree as pytree

import elman
from elman.cells import CELLS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.mark.filterwarnings("ignore:elman.scan runs")
@pytest.mark.parametrize("name", CELLS)
def test_cells_give_what_they_give_on_the_cpu(name):
    cell, input = CELLS[name](5, 9).double(), torch.randn(7, 6, 5, dtype=torch.double)
    options = {"lengths": [7, 0, 3, 5, 1, 7], "reset": torch.rand(7, 6) < 0.3, "reverse": True}
    expected = elman.scan(cell, input, cell.initial_state(6), **options)
    options["reset"] = options["reset"].cuda()
    cell.cuda()
    state = pytree.tree_map(torch.Tensor.cuda, cell.initial_state(6))
    found = elman.scan(cell, input.cuda(), state, **options)
    torch.testing.assert_close(pytree.tree_map(torch.Tensor.cpu, found), expected)


def test_the_compiled_loop_says_where_the_tensors_are():
    x, h = torch.zeros(3, 2, 4, device="cuda"), torch.zeros(2, 4, device="cuda")
    with pytest.raises(elman.errors.UnsupportedStep, match="cuda"):
        elman.scan(lambda x, h: (x + h, x + h), x, h, backend="llvm")
