"""Every metric against scikit-learn or a calculation by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sklearn

from elman.tasks.forecast.use.metrics import Totals, errors, interval_errors, pinball
from elman.tasks.shared.intervals import conformal_margins

ONE = np.ones((1, 1, 1))
VALUES = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 3)),
    elements=st.floats(-100, 100).map(lambda x: round(x, 3)),
)


def mean_of(actual, point, scale=ONE, seasonal=ONE, wanted=None):
    totals = Totals()
    wanted = np.ones(actual.shape, dtype=bool) if wanted is None else wanted
    totals.add(errors(actual, point, scale, seasonal), wanted)
    return totals


@settings(max_examples=60)
@given(VALUES, st.integers(0, 2**31))
def test_errors_are_those_of_scikit_learn(actual, seed):
    draw = np.random.default_rng(seed)
    point = actual + draw.normal(0, 10, actual.shape)
    wanted = draw.random(actual.shape) < 0.8
    wanted.flat[0] = True
    found = mean_of(actual, point, wanted=wanted).overall()
    y, f = actual[wanted], point[wanted]
    assert found["mse"] == pytest.approx(sklearn.mean_squared_error(y, f))
    assert found["mae"] == pytest.approx(sklearn.mean_absolute_error(y, f))
    if (y != 0).any():
        share = sklearn.mean_absolute_percentage_error(y[y != 0], f[y != 0])
        assert found["mape"] == pytest.approx(100 * share)
    for level in (0.1, 0.5, 0.9):
        ours = pinball(y, f, np.array(level)).mean()
        assert ours == pytest.approx(sklearn.mean_pinball_loss(y, f, alpha=level))


def test_by_hand():
    actual, point = np.array([[[100.0], [0.0]]]), np.array([[[110.0], [5.0]]])
    totals = mean_of(actual, point, scale=4 * ONE, seasonal=20 * ONE)
    first, second = totals.by_horizon()
    assert first == pytest.approx(
        {"mse": 100, "mae": 10, "scaled_mse": 6.25, "scaled_mae": 2.5, "mape": 10,
         "smape": 2000 / 210, "mase": 0.5}
    )  # fmt: skip
    assert second["mape"] is None  # not defined for an actual value of zero
    assert second["smape"] == 200.0
    assert totals.overall()["mape"] == 10.0
    both_zero = mean_of(np.zeros((1, 1, 1)), np.zeros((1, 1, 1)), seasonal=0 * ONE).overall()
    assert both_zero["smape"] == 0.0
    assert both_zero["mase"] is None


def test_missing_values_count_nowhere_even_as_nan():
    actual = np.array([[[1.0, np.nan], [3.0, 4.0]]])
    point = np.array([[[2.0, 9.0], [3.0, np.nan]]])
    wanted = np.array([[[True, False], [True, False]]])
    totals = mean_of(actual, point, wanted=wanted)
    assert totals.overall()["mae"] == 0.5
    assert totals.by_column(("a", "b"))["a"]["mae"] == 0.5
    assert totals.by_column(("a", "b"))["b"]["mae"] is None
    assert [entry["mae"] for entry in totals.by_horizon()] == [1.0, 0.0]


def test_intervals_by_hand():
    actual = np.array([[[1.0]], [[2.0]], [[5.0]], [[3.0]]])
    quantiles = np.tile(np.array([1.0, 2.0, 3.0]), (4, 1, 1, 1))
    found = interval_errors(actual, quantiles, (0.1, 0.5, 0.9))
    assert found["coverage"].ravel().tolist() == [1, 1, 0, 1]  # the ends count
    assert (found["width"] == 2).all()
    assert found["quantile_loss"][2] == pytest.approx((0.4 + 1.5 + 1.8) / 3)


def test_totals_do_not_depend_on_the_pieces():
    draw = np.random.default_rng(0)
    actual, point = draw.normal(size=(9, 3, 2)), draw.normal(size=(9, 3, 2))
    whole = mean_of(actual, point)
    parts = Totals()
    for start in (0, 4, 5):
        rows = slice(start, {0: 4, 4: 5, 5: 9}[start])
        parts.add(errors(actual[rows], point[rows], ONE, ONE), np.ones(actual[rows].shape, bool))
    assert parts.overall() == pytest.approx(whole.overall())


def test_margins_by_hand():
    scores = np.arange(1.0, 11.0).reshape(10, 1, 1)[::-1]
    known = np.ones(scores.shape, dtype=bool)
    assert conformal_margins(scores, known, 0.8).item() == 9.0  # ceil(11 * 0.8) = 9th smallest
    assert conformal_margins(scores, known, 0.99).item() == 10.0  # too few: the largest
    known[0] = False  # the score of 10
    assert conformal_margins(scores, known, 0.8).item() == 8.0
    assert conformal_margins(scores, ~known & known, 0.8).item() == 0.0


def test_margins_cover_new_values_of_the_same_kind():
    draw = np.random.default_rng(1)
    margin = conformal_margins(
        np.abs(draw.normal(size=(4000, 1, 1))), np.ones((4000, 1, 1), bool), 0.9
    )
    covered = (np.abs(draw.normal(size=20000)) <= margin.item()).mean()
    assert covered == pytest.approx(0.9, abs=0.01)
