"""Numbers and categories in the network: what is missing, unknown, and beside nothing."""

import torch

from elman.tasks.classify.data.inputs import PLAIN, CategoryColumn, Inputs, NumberColumn
from elman.tasks.classify.model.columns import ColumnReader

INPUTS = Inputs(("text",), (NumberColumn("n", 0.0, 1.0),), (CategoryColumn("c", ("a", "b")),))


def test_missing_is_told_from_the_median_and_unknown_from_known():
    reader = ColumnReader(INPUTS, 0.0, 0.0).eval()
    columns = torch.tensor([[0.0, 1.0], [torch.nan, 1.0], [0.0, 0.0]])
    found = reader(columns)
    assert found.shape == (3, reader.output_size)
    assert found.isfinite().all()
    assert (found[0] != found[1]).any()
    assert (found[0] != found[2]).any()
    torch.testing.assert_close(reader(reader.unknown(1)), reader(torch.tensor([[torch.nan, 0.0]])))


def test_the_unknown_category_is_learnt_while_training():
    reader = ColumnReader(INPUTS, 0.5, 0.0)
    reader(torch.tensor([[0.0, 1.0]] * 64)).sum().backward()
    assert (reader.vectors[0].weight.grad[:2].abs().sum(1) > 0).all()


def test_nothing_beside_has_no_weights():
    reader = ColumnReader(PLAIN, 0.5, 0.5)
    assert reader.output_size == 0
    assert not list(reader.parameters())
