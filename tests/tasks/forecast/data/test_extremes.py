"""Numbers near the ends of float64: finite results, or a refusal by name."""

import json
from fractions import Fraction

import numpy as np
import pytest

import elman
from elman.errors import ArgumentError, DataError
from elman.tasks.forecast.data.panel import Panel
from elman.tasks.forecast.data.scaling import training_scale
from elman.tasks.forecast.use.metrics import Totals, errors
from tests.tasks.forecast.tables import SMALL, days, wave, write


def panel_of(values) -> Panel:
    column = np.array(values, dtype=np.float64)[:, None]
    count = np.array([len(column)])
    return Panel(column, ~np.isnan(column), np.array([0]), count, count)


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1.0, 1e200, 1e299])
@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_mean_and_deviation_are_exact(size, offset):
    """Against rational numbers."""
    values = ((wave(30) + offset) * size).tolist()
    mean, scale = (array.item() for array in training_scale(panel_of(values), 30))
    exact = [Fraction(value) for value in values]
    centre = sum(exact) / 30
    variance = sum((value - centre) ** 2 for value in exact) / 30
    unit = Fraction(size)
    assert mean == pytest.approx(float(centre), rel=1e-14)
    assert scale / size == pytest.approx(float(variance / unit**2) ** 0.5, rel=1e-6)


def test_metrics_that_float64_can_not_hold_are_none():
    totals = Totals()
    actual, unit = np.full((1, 1, 1), 1e200), np.ones((1, 1, 1))
    totals.add(errors(actual, actual * 2, unit * 1e200, unit * 1e200), np.ones((1, 1, 1), bool))
    found = totals.overall()
    assert found["mse"] is None
    assert found["mae"] == 1e200
    assert found["mase"] == pytest.approx(1.0)


def refuse(token):
    raise ValueError(token)


@pytest.mark.parametrize("size", [1e-300, 1e200])
def test_forecasts_are_finite_and_results_are_json(tmp_path, size):
    rows = [(day, repr(float(v * size))) for day, v in zip(days(80), wave(80), strict=True)]
    path = write(tmp_path / "t.csv", "day,y", rows)
    model = elman.fit("forecast", path, tmp_path / "run", steps=5, **SMALL)
    point = model.forecast().point
    assert (np.abs(point / size - 10) < 10).all()
    json.loads(json.dumps(model.forecast().to_json()), parse_constant=refuse)
    json.loads((tmp_path / "run" / "results.json").read_text(), parse_constant=refuse)
    far = write(tmp_path / "far.csv", "day,y", [(day, 1e290) for day in days(80)])
    if size < 1:
        with pytest.raises(DataError, match=r"y is 1e\+290 at 2024-01-01, more than 1e\+12"):
            model.forecast(far)


def test_a_spike_and_clashing_names_are_refused(tmp_path):
    values = wave(80).tolist()
    rows = list(zip(days(80), values, values, strict=True))
    path = write(tmp_path / "names.csv", "day,y,y low", rows)
    with pytest.raises(ArgumentError, match=r"two columns 'y low'.*--targets"):
        elman.fit("forecast", path, tmp_path / "run", steps=5, **SMALL)
    values[75] = 1e40
    path = write(tmp_path / "t.csv", "day,y", list(zip(days(80), values, strict=True)))
    with pytest.raises(DataError, match=r"y is 1e\+40 at 2024-03-16, more than 1e\+12 deviations"):
        elman.fit("forecast", path, tmp_path / "run", steps=5, **SMALL)
