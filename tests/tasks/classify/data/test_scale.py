"""Signals of any size and on any offset keep their differences in float32."""

import numpy as np
import pytest

from elman.errors import ArgumentError, RunError
from elman.tasks.classify.data.scale import Scale

SHAPE = np.random.default_rng(0).normal(0.0, 1.0, (200, 1))


@pytest.mark.parametrize("offset", [1e6, 1.7e9, -1e12])
def test_differences_on_an_offset_stay(offset):
    values = SHAPE + offset
    found = Scale.of(values).apply(values)
    assert found.dtype == np.float32
    standard = (values - values.mean()) / values.std()
    np.testing.assert_allclose(found, standard, atol=1e-3)


@pytest.mark.parametrize("size", [1e-310, 1e-50, 1e-40, 1e39, 1e300, 1e307])
def test_any_size_will_do(size):
    values = SHAPE * size
    found = Scale.of(values).apply(values)
    assert len(np.unique(found)) == 200
    assert found.std() == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("values", [SHAPE, SHAPE + 100, SHAPE * 1e20, SHAPE * 0 + 1.7e9, SHAPE * 0])
def test_what_float32_holds_well_stays_as_it_is(values):
    np.testing.assert_array_equal(Scale.of(values).apply(values), values.astype(np.float32))


@pytest.mark.parametrize("value", [1.0, 1.7e9, 1e-50, 5e39])
def test_a_constant_channel_keeps_no_rounding_errors(value):
    values = np.full((50, 1), value)
    values[::2] = np.nextafter(value, np.inf)
    assert len(np.unique(Scale.of(values).apply(values))) == 1


def test_each_channel_has_its_own():
    values = np.concatenate([SHAPE, SHAPE + 1e9, SHAPE * 1e-60], axis=1)
    scale = Scale.of(values)
    assert (scale.centers[0], scale.units[0]) == (0.0, 1.0)
    found = scale.apply(values)
    np.testing.assert_allclose(found.std(0), SHAPE.std(), rtol=0.2)
    assert Scale.from_json(scale.to_json(), 3) == scale


def test_a_value_too_far_away_is_named():
    scale = Scale.of(SHAPE * 1e-50)
    with pytest.raises(ArgumentError, match=r"channel 1 .* near .*e-5.*, got 1, too far away for"):
        scale.apply(np.ones((2, 1)))


@pytest.mark.parametrize(
    "value",
    [
        3, {}, {"centers": [0.0]}, {"centers": [0.0], "units": [0.0]},
        {"centers": [0.0, 0.0], "units": [1.0, 1.0]}, {"centers": [0], "units": [1.0]},
        {"centers": [float("nan")], "units": [1.0]}, {"centers": "a", "units": [1.0]},
    ],
)  # fmt: skip
def test_no_saved_scale_is_believed(value):
    with pytest.raises(RunError, match=r"vocabulary\.json must hold the center and the unit"):
        Scale.from_json(value, 1)
