"""Windows: how many there are, what they hold, and that nothing leaks backwards in time."""

import numpy as np
import pytest
import torch

from elman.tasks.forecast.data.columns import Columns, choose_columns
from elman.tasks.forecast.data.layout import plan_windows, season_note
from elman.tasks.forecast.data.panel import Panel, build_panel
from elman.tasks.forecast.data.scaling import seasonal_errors, training_scale
from elman.tasks.forecast.data.table import read_table
from elman.tasks.forecast.data.windows import (
    Windows,
    gather,
    shuffled,
    standardised,
    windows_between,
)
from elman.tasks.forecast.settings import ForecastSettings
from elman.tasks.forecast.use.naive import Naive
from elman.tasks.shared.epochs import cut
from tests.tasks.forecast.tables import shops, write

NAN = np.nan


def panel_of(*series, first=None) -> Panel:
    """Series of one column; NaN is missing."""
    values = np.concatenate([np.array(one, dtype=float) for one in series])[:, None]
    lengths = np.array([len(one) for one in series])
    observed = ~np.isnan(values)
    begins = np.zeros(len(series), dtype=np.int64) if first is None else np.array(first)
    return Panel(np.where(observed, values, 0.0), observed, begins, lengths, lengths.copy())


@pytest.fixture(scope="module")
def hourly(tmp_path_factory):
    """As many hours as ETTh1 has, with two columns."""
    path = tmp_path_factory.mktemp("ett") / "h.csv"
    stamps = np.datetime64("2016-07-01T00", "h") + np.arange(17420)
    rows = [(str(stamp).replace("T", " ") + ":00:00", i % 24, -i) for i, stamp in enumerate(stamps)]
    table = read_table(str(write(path, "date,a,b", rows)))
    return build_panel(table, choose_columns(table, ForecastSettings()))


@pytest.mark.parametrize(
    ("horizon", "counts"),
    [(96, (8449, 2785, 2785)), (192, (8353, 2689, 2689)), (720, (7825, 2161, 2161))],
)
def test_the_ett_protocol_counts_every_window(hourly, horizon, counts):
    w = plan_windows(hourly, ForecastSettings(preset="ett", horizon=horizon))
    assert (w.look_back, w.horizon, w.season) == (96, horizon, 24)
    assert (w.train_end, w.valid_end, w.test_end) == (8640, 11520, 14400)
    panel = hourly.panel.cut(w.test_end)
    parts = ((0, w.train_end), (w.train_end, w.valid_end), (w.valid_end, w.test_end))
    found = [windows_between(panel, 96, horizon, *part) for part in parts]
    assert tuple(map(len, found)) == counts
    assert found[2].origin[0] == 11520  # the look-back reaches into validation, targets do not
    assert found[2].origin[-1] + horizon == 14400
    assert sum(map(len, cut(np.arange(len(found[2])), 128))) == counts[2]


@pytest.mark.parametrize(
    ("step", "rows", "season", "horizon"),
    [
        ("ms", 300, 1, 12),  # a day would be 86,400,000 rows
        ("h", 300, 24, 24),
        ("h", 30, 1, 12),
    ],
)
def test_a_season_that_the_training_part_does_not_hold_is_none(
    tmp_path, step, rows, season, horizon
):
    stamps = np.datetime64("2024-01-01T00:00:00.000") + np.arange(rows) * np.timedelta64(1, step)
    rows_of = [(stamp, number) for number, stamp in enumerate(stamps)]
    table = read_table(str(write(tmp_path / "t.csv", "t,x", rows_of)))
    source = build_panel(table, choose_columns(table, ForecastSettings()))
    w = plan_windows(source, ForecastSettings())
    assert (w.season, w.horizon) == (season, horizon)
    note = season_note(source, ForecastSettings(), w)
    assert ("does not fit into the training part" in note) == (season == 1)
    asked = ForecastSettings(season=rows)
    assert "season of" in season_note(source, asked, plan_windows(source, asked))


def test_windows_of_many_series_with_a_stride():
    panel = panel_of(range(10), range(7), first=[0, 5])
    found = windows_between(panel, 3, 2, 6, 12, stride=2)
    rows = panel.first[found.series] + found.origin - panel.offsets[found.series]
    assert found.series.tolist() == [0, 0, 1, 1]
    assert rows.tolist() == [6, 8, 8, 10]


def test_a_batch_holds_what_it_says(tmp_path):
    table = read_table(str(shops(tmp_path / "t.csv")))
    settings = ForecastSettings(id_column="shop", targets="sales", past="visitors", future="price")
    columns = choose_columns(table, settings)
    source = build_panel(table, columns)
    panel = source.panel
    mean, scale = training_scale(panel, 60)
    features = standardised(panel, source.grid, mean, scale, columns.roles, calendar=False)
    windows = windows_between(panel, 5, 3, 0, 90)
    batch = gather(features, windows, np.array([len(windows) - 1]), 5, 3)
    row = panel.offsets[1] + panel.ends[1] - 3  # of the last window of shop b
    want = (panel.values[row : row + 3, 0] - mean[1, 0]) / scale[1, 0]
    assert batch.series.tolist() == [1]
    assert batch.targets[0, :, 0].numpy() == pytest.approx(want, rel=1e-5)
    assert batch.values.shape == (1, 5, 1)
    assert batch.past.shape == (1, 5, 1)
    assert batch.known.shape == (1, 8, 1)
    price = (panel.values[row - 5 : row + 3, 2] - mean[1, 2]) / scale[1, 2]
    assert batch.known[0, :, 0].numpy() == pytest.approx(price, rel=1e-5)


def test_the_scale_is_that_of_the_training_part_alone():
    early = [1.0, NAN, 3.0, 5.0]
    a = training_scale(panel_of([*early, 1000.0, NAN]), 4)
    b = training_scale(panel_of([*early, -7.0, 2.0]), 4)
    assert np.array_equal(a, b)
    assert a[0].item() == 3.0
    assert a[1].item() == pytest.approx(np.std([1, 3, 5]))
    assert training_scale(panel_of([2.0, 2.0, 9.0]), 2)[1].item() == 1.0  # does not vary
    assert seasonal_errors(panel_of([*early, 99.0]), 1, 2, 4).item() == 2.0
    assert seasonal_errors(panel_of(early), 1, 9, 4).item() == 0.0


def test_every_window_comes_once_an_epoch_and_depends_on_seed_and_step_alone():
    batches = shuffled(10, 4, seed=3)
    epoch = [batches.batch(step) for step in range(3)]
    assert sorted(np.concatenate(epoch)) == list(range(10))
    again = shuffled(10, 4, seed=3)
    for step in (7, 2, 0, 5):
        assert np.array_equal(again.batch(step), shuffled(10, 4, seed=3).batch(step))
    assert not np.array_equal(batches.batch(0), batches.batch(3))
    assert not np.array_equal(batches.batch(0), shuffled(10, 4, seed=4).batch(0))


def test_naive_forecasts_by_hand():
    panel = panel_of([NAN, 1, 2, 3, NAN, 5, NAN, 7], [NAN, NAN, 4])
    naive = Naive(panel, 1, 3, np.array([[50.0], [60.0]]))

    def both(series, origin, horizon):
        windows, first = Windows(np.array([series]), np.array([origin])), np.array([0])
        found = (naive.last_value(windows, first, horizon), naive.seasonal(windows, first, horizon))
        return [one[0, :, 0].tolist() for one in found]

    assert both(0, 4, 4) == [[3] * 4, [1, 2, 3, 1]]
    assert both(0, 7, 4) == [[5] * 4, [1, 5, 3, 1]]  # row 4 misses: row 1; row 6: row 3
    assert both(1, 8 + 2, 2) == [[60, 60], [60, 60]]  # nothing known yet
    assert both(1, 8 + 3, 2) == [[4, 4], [60, 60]]
    naive = Naive(panel, 1, 2**50, np.array([[50.0], [60.0]]))  # as a run of old may have it
    assert both(0, 7, 2) == [[5, 5], [5, 5]]


def test_covariates_are_carried_forward_within_their_series_only():
    panel = panel_of([1, NAN, 3], [NAN, 5])
    values = np.repeat(panel.values, 2, axis=1)
    doubled = Panel(values, np.repeat(panel.observed, 2, 1), panel.first, panel.lengths, panel.ends)
    one, zero = np.ones((2, 2)), np.zeros((2, 2))
    grid_unused = None
    features = standardised(doubled, grid_unused, zero, one, (1, 1, 0), calendar=False)
    assert features.past[:, 0].tolist() == [1, 1, 3, 0, 5]
    assert features.values[:, 0].tolist() == [1, 0, 3, 0, 5]
    assert features.observed[:, 0].tolist() == [True, False, True, False, True]


def test_a_panel_is_cut_and_extended():
    panel = panel_of([1, 2, 3], [4, 5], first=[0, 2])
    cut = panel.cut(3)
    assert cut.lengths.tolist() == [3, 1]
    assert cut.values[:, 0].tolist() == [1, 2, 3, 4]
    longer = panel.extended(2)
    assert longer.lengths.tolist() == [5, 4]
    assert longer.values[:, 0].tolist() == [1, 2, 3, 0, 0, 4, 5, 0, 0]
    assert longer.ends.tolist() == [3, 2]
    assert longer.observed[:, 0].tolist() == [True] * 3 + [False] * 2 + [True] * 2 + [False] * 2
    assert torch.from_numpy(longer.values).shape == (9, 1)
    assert Columns("t", ("a",), ("b", "c")).roles == (1, 2, 0)
