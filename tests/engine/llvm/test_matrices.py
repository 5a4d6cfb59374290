"""Packed weights and products that sum over rows, of any size and stride."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.engine.llvm.kernel import LLVMKernel
from elman.engine.llvm.transposed import transposed_products
from elman.engine.program.row_program import Carried, Pointwise, Product, RowProgram, Timetable

sizes = st.integers(1, 130)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 500), sizes, st.lists(sizes, min_size=1, max_size=3), st.booleans(),
    st.integers(0, 3),
)  # fmt: skip
def test_transposed_products(n, m, widths, double, extra):
    dtype = torch.float64 if double else torch.float32
    a = torch.randn(n, m + extra, dtype=dtype)[:, extra:]
    bs = [torch.randn(n, k + extra, dtype=dtype)[:, :k] for k in widths]
    for b, found in zip(bs, transposed_products(a, bs), strict=True):
        assert found.is_contiguous()
        expected = a.double().T @ b.double()
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-10 if double else 1e-3)


def test_transposed_product_is_the_same_for_any_number_of_threads():
    a, b, c = torch.randn(3000, 130), torch.randn(3000, 70), torch.randn(3000, 33)
    results = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        results.append(torch.cat(transposed_products(a, [b, c]), 1))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@settings(max_examples=60, deadline=None)
@given(
    sizes, st.integers(1, 40), st.sampled_from(["rows", "columns", "both", "slice"]), st.booleans()
)
def test_weights_of_any_stride(width, rows, layout, double):
    """h @ W for a W that is contiguous along rows, columns, neither, or part of another."""
    dtype = torch.float64 if double else torch.float32
    program = RowProgram(
        dtype, (Carried(width, 0), Product(width, 0, 0), Pointwise(width, "neg", (1,))),
        (2,), (2,), (), (), ((width, width),), (width,),
    )  # fmt: skip
    weight = torch.randn(width, width, dtype=dtype)
    given_weight = {
        "rows": weight,
        "columns": weight.T.contiguous().T,
        "both": weight.repeat_interleave(2, 0).repeat_interleave(2, 1)[::2, ::2],
        "slice": torch.cat([weight, weight], 1)[:, :width],
    }[layout]
    state = torch.randn(rows, width, dtype=dtype)
    expected = -(state.double() @ weight.double())
    output = torch.empty(rows, width, dtype=dtype)
    kernel = LLVMKernel(program)
    kernel(Timetable(rows, 1, rows, torch.tensor([0, rows])), inputs=[], vectors=[],
           weights=kernel.pack([given_weight]), state=[state], outputs=[output])  # fmt: skip
    tolerance = 1e-10 if double else 1e-3
    torch.testing.assert_close(output.double(), expected, rtol=0, atol=tolerance)
    torch.testing.assert_close(state.double(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("size", [(1024, 1024), (33, 4096)])
def test_large_weights_are_packed_by_several_threads(size):
    k, n = size
    program = RowProgram(
        torch.float32, (Carried(k, 0), Product(n, 0, 0)), (0,), (1,), (), (), ((k, n),), (k,)
    )
    weight, state = torch.randn(n, k).T, torch.randn(5, k)
    output = torch.empty(5, n)
    kernel = LLVMKernel(program)
    kernel(Timetable(5, 1, 5, torch.tensor([0, 5])), inputs=[], vectors=[],
           weights=kernel.pack([weight]), state=[state], outputs=[output])  # fmt: skip
    torch.testing.assert_close(output, state @ weight, rtol=1e-3, atol=1e-3)
