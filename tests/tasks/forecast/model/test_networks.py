"""The three networks: shapes, masks, no look ahead, reloading, and the user's own cell."""

import dataclasses

import pytest
import torch
from torch import nn

import elman
from elman.cells import CELLS
from elman.tasks.forecast.data.windows import Batch
from elman.tasks.forecast.model.forecaster import Forecaster, normalised
from elman.tasks.forecast.model.networks import NETWORKS, Sizes
from elman.tasks.forecast.settings import MODELS, NORMALISATIONS, ForecastSettings
from elman.tasks.setup import Setup
from tests.tasks.forecast.tables import SHOPS, SMALL, shops, wave

SIZES = Sizes(
    series=2, columns=4, targets=2, past=1, known=3, look_back=10, horizon=5, segment=3,
    levels=(0.1, 0.5, 0.9),
)  # fmt: skip

USUAL = ["gru", "lstm"]
OTHERS = [pytest.param(cell, marks=pytest.mark.slow) for cell in CELLS if cell not in USUAL]


def model_of(name, sizes=SIZES, cell="gru", backend="reference", **settings) -> Forecaster:
    torch.manual_seed(1)
    chosen = ForecastSettings(model=name, hidden_size=7, cell=cell, **settings)
    return Forecaster(sizes, chosen, Setup(CELLS[cell], backend=backend)).eval()


def batch_of(rows=4, sizes=SIZES, horizon=5, missing=True) -> Batch:
    draw = torch.Generator().manual_seed(2)
    length = sizes.look_back
    observed = torch.ones(rows, length, sizes.targets, dtype=torch.bool)
    if missing:
        observed = torch.rand(observed.shape, generator=draw) > 0.3
        observed[0, :, 0] = False  # nothing known at all
        observed[1, :4, 0] = False
        observed[2, -3:, 1] = False
    return Batch(
        torch.randn(rows, length, sizes.targets, generator=draw),
        observed,
        torch.randn(rows, length, sizes.past, generator=draw),
        torch.randn(rows, length + horizon, sizes.known, generator=draw),
        torch.arange(rows) % sizes.series,
        torch.randn(rows, horizon, sizes.targets, generator=draw),
        torch.ones(rows, horizon, sizes.targets, dtype=torch.bool),
    )


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("name", MODELS)
def test_what_is_missing_touches_nothing(name, normalisation):
    model = model_of(name, normalisation=normalisation)
    batch = batch_of()
    spoiled = torch.where(batch.observed, batch.values, torch.nan)
    found = model(batch).values
    assert found.shape == (4, 5, 2, 3)
    assert found.isfinite().all()
    assert torch.equal(found, model(dataclasses.replace(batch, values=spoiled)).values)


@pytest.mark.parametrize("name", MODELS)
def test_rows_are_independent_and_every_value_seen_counts(name):
    model = model_of(name, normalisation="none")
    batch = batch_of(missing=False)
    before = model(batch).values
    for place in (0, 5, 9):
        values = batch.values.clone()
        values[1, place, 0] += 1.0
        after = model(dataclasses.replace(batch, values=values)).values
        changed = (after != before).flatten(1).any(1).tolist()
        assert changed == [False, True, False, False]
    for which, value in (("past", batch.past), ("known", batch.known)):
        for place in range(value.shape[1]):
            other = value.clone()
            other[2, place] += 1.0
            after = model(dataclasses.replace(batch, **{which: other})).values
            changed = (after != before).flatten(1).any(1).tolist()
            # The step-by-step model reads what is known of the next row, never of the first.
            unread = name == "autoregressive" and which == "known" and place == 0
            assert changed == [False, False, not unread, False], (which, place)


def test_the_autoregressive_model_does_not_look_ahead():
    model = model_of("autoregressive")
    batch = batch_of()
    known = batch.known.clone()
    known[:, 12:] += 1.0  # the third row ahead and later
    before, after = model(batch).values, model(dataclasses.replace(batch, known=known)).values
    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.equal(before[:, 2], after[:, 2])


@pytest.mark.parametrize("name", MODELS)
def test_shorter_and_longer_horizons(name):
    model = model_of(name)
    batch = batch_of(horizon=15)
    full = model(batch, 5).values
    torch.testing.assert_close(model(batch, 2).values, full[:, :2])
    longer = model(batch, 13).values
    assert longer.shape == (4, 13, 2, 3)
    torch.testing.assert_close(longer[:, :5], full)


@pytest.mark.parametrize("cell", USUAL + OTHERS)
@pytest.mark.parametrize("name", MODELS)
def test_every_cell_in_every_model_learns(name, cell):
    sizes = dataclasses.replace(
        SIZES, series=1, targets=1, columns=1, past=0, known=0, levels=(0.5,)
    )
    model = model_of(name, sizes, cell=cell, layers=2 if cell == "lstm" else 1).train()
    series = torch.tensor(wave(60), dtype=torch.float32)
    windows = series.unfold(0, 15, 1)[:, :, None] - 10
    batch = Batch(
        windows[:, :10], torch.ones(windows[:, :10].shape, dtype=torch.bool),
        torch.zeros(len(windows), 10, 0), torch.zeros(len(windows), 15, 0),
        torch.zeros(len(windows), dtype=torch.long), windows[:, 10:],
        torch.ones(windows[:, 10:].shape, dtype=torch.bool),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    losses = []
    for _ in range(40):
        loss = (model(batch).values[..., 0] - batch.targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_compiled_and_plain_loops_agree(name):
    found = [
        model_of(name, backend=backend)(batch_of()).values for backend in ("llvm", "reference")
    ]
    torch.testing.assert_close(*found)


def test_normalisation_by_hand():
    values = torch.tensor([[1.0], [5.0], [3.0], [9.0]])[None]
    seen = torch.tensor([[False], [True], [True], [False]])[None]
    filled, level, spread = normalised(values, seen, "last")
    assert filled.flatten().tolist() == [0.0, 2.0, 0.0, 0.0]
    assert (level.item(), spread.item()) == (3.0, 1.0)
    filled, level, spread = normalised(values, seen, "window")
    assert (level.item(), spread.item()) == (4.0, pytest.approx(1.0, abs=1e-4))
    assert filled.flatten().tolist() == pytest.approx([0.0, 1.0, -1.0, -1.0], abs=1e-4)
    filled, level, spread = normalised(values, seen, "none")
    assert filled.flatten().tolist() == [0.0, 5.0, 3.0, 3.0]
    assert normalised(values, torch.zeros_like(seen), "last")[1].item() == 0.0


def test_networks_have_one_row_each():
    assert tuple(NETWORKS) == MODELS


class Own(nn.Module):
    """A cell as a user writes it, whose output is wider than its state."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.map = nn.Linear(input_size + hidden_size, hidden_size)

    def initial_state(self, batch_size, dtype=None, device=None):
        return {"h": torch.zeros(batch_size, self.map.out_features, dtype=dtype, device=device)}

    def forward(self, x, state):
        h = torch.tanh(self.map(torch.cat([x, state["h"]], 1)))
        return torch.cat([h, h * h], 1), {"h": h}


@pytest.mark.parametrize("name", MODELS)
def test_a_cell_of_ones_own_with_all_kinds_of_columns(tmp_path, name):
    run = tmp_path / "run"
    options = {**SMALL, **SHOPS, "model": name, "steps": 6, "quantiles": "0.1,0.5,0.9"}
    model = elman.fit("forecast", shops(tmp_path / "t.csv"), run, cell=Own, **options)
    assert isinstance(model.model.network.recurrent.cells[0], Own)
    found = elman.load(run, cell=Own, backend="reference").forecast(horizon=6)
    assert found.point.shape == (2, 6, 1)
    assert (found.lower <= found.point).all()
    assert (found.point <= found.upper).all()
    assert (found.quantiles == model.forecast(horizon=6).quantiles).all()
    assert found.times[0][0] == "2024-03-31"
