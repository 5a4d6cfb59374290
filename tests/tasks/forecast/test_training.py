"""Training, use, and everything that a user may get wrong in between."""

import json
import signal

import numpy as np
import polars as pl
import pytest
import torch

import elman
from elman.artifacts import open_run
from elman.errors import ArgumentError, DataError, Interrupted, RunError
from elman.tasks.forecast.data import table
from elman.tasks.forecast.data.columns import choose_columns
from elman.tasks.forecast.data.panel import build_panel
from elman.tasks.forecast.data.windows import Windows
from elman.tasks.forecast.settings import MODELS, ForecastSettings
from elman.train.listener import Listener
from tests.tasks.forecast.tables import SHOPS, SMALL, daily, days, shops, wave, write


@pytest.fixture(scope="module")
def sales(tmp_path_factory):
    return daily(tmp_path_factory.mktemp("data") / "sales.csv", gaps=(30, 31), blank=(50, 110))


@pytest.fixture(scope="module")
def trained(sales, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    elman.fit("forecast", sales, run, **SMALL, steps=40, learning_rate=0.01)
    return run


def comparable(run):
    times = ("seconds", "values_per_second")
    metrics = [
        {key: value for key, value in record.items() if key not in times}
        for record in open_run(run).read_metrics()
    ]
    files = ("model.safetensors", "results.json", "forecast.png", "errors.png")
    return metrics, *((run / name).read_bytes() for name in files)


@pytest.mark.parametrize("name", MODELS)
def test_interrupted_and_resumed_equals_never_interrupted(tmp_path, sales, name):
    class Stop(Listener):
        def stepped(self, progress, loss):
            if progress.step == 8:
                signal.raise_signal(signal.SIGTERM)

    data = tmp_path / "sales.csv"
    data.write_bytes(sales.read_bytes())
    options = {**SMALL, "model": name, "dropout": 0.2, "steps": 15, "backend": "auto"}
    elman.fit("forecast", data, tmp_path / "whole", **options)
    with pytest.raises(Interrupted, match="step 8 and saved"):
        elman.fit("forecast", data, tmp_path / "parts", listener=Stop(), **options)
    data.unlink()  # the run keeps its series
    elman.resume(tmp_path / "parts")
    assert comparable(tmp_path / "whole") == comparable(tmp_path / "parts")


@pytest.mark.parametrize("name", MODELS)
def test_a_reloaded_model_forecasts_the_same_and_goes_on_training(tmp_path, sales, name):
    run = tmp_path / "run"
    model = elman.fit(
        "forecast", sales, run, **SMALL, model=name, steps=10, quantiles="0.05,0.5,0.95"
    )
    again = elman.load(run, backend="reference")
    assert np.array_equal(model.forecast(horizon=9).quantiles, again.forecast(horizon=9).quantiles)
    assert model.evaluate().to_json() == again.evaluate().to_json()
    state = again.model.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in model.model.state_dict().items())
    elman.resume(run, steps=20)
    assert open_run(run).read_metrics()[-1]["step"] == 20


def test_learning_beats_naive_and_everything_is_written(trained, sales):
    torch.set_num_threads(1)  # as in training, so that the numbers are the same to the bit
    model = elman.load(trained, backend="reference")
    scores = model.evaluate().overall
    assert scores["model"]["mae"] < scores["naive"]["mae"]
    assert scores["model"]["coverage"] > 0.6
    results = json.loads((trained / "results.json").read_text())
    assert results == model.evaluate().to_json()
    assert results["windows"] == 24 - 4 + 1
    assert (results["first"], results["last"]) == ("2024-04-06", days(120)[-1])
    for name in ("forecast.png", "errors.png", "curves.png"):
        assert (trained / name).read_bytes().startswith(b"\x89PNG")
    record = open_run(trained).read_metrics()[0]
    assert {"seen_values", "valid_loss", "scaled_mse", "scaled_mae"} <= record.keys()


def test_the_future_changes_no_earlier_forecast(tmp_path, sales):
    """What comes after the training part changes neither weights nor scale; and what comes after
    the origin of a forecast does not change it."""
    lines = sales.read_text().splitlines()
    changed = tmp_path / "changed.csv"
    changed.write_text(
        "\n".join([*lines[:-10], *(f"{line.split(',')[0]},99" for line in lines[-10:])])
    )
    models = [
        elman.fit("forecast", path, tmp_path / name, **SMALL, steps=12)
        for path, name in ((sales, "a"), (changed, "b"))
    ]
    first, second = (model.model.state_dict() for model in models)
    assert all(torch.equal(first[key], second[key]) for key in first)
    cut = tmp_path / "cut.csv"
    cut.write_text("\n".join(lines[:-10]))
    predictors = [model._on(model.panel) for model in models]
    origin = len(models[0].panel.values) - 10
    window, only = Windows(np.array([0]), np.array([origin])), np.array([0])
    a, b = (predictor.forecasts(window, only, 4).quantiles for predictor in predictors)
    assert np.array_equal(a, b)
    assert np.array_equal(a, models[0].forecast(cut).quantiles)


def test_same_seed_same_weights_another_seed_others(tmp_path, sales):
    runs = {}
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        elman.fit("forecast", sales, tmp_path / name, **SMALL, steps=6, seed=seed)
        runs[name] = (tmp_path / name / "model.safetensors").read_bytes()
    assert runs["a"] == runs["b"] != runs["c"]


def test_a_forecast_goes_on_with_real_dates(trained, tmp_path):
    found = elman.load(trained).forecast(horizon=6)
    assert found.times == (tuple(days(6, "2024-04-30")),)
    assert found.point.shape == found.lower.shape == (1, 6, 1)
    assert found.header == ["day", "sales", "sales low", "sales high"]
    frame = pl.read_csv(found.to_csv().encode())
    assert frame.shape == (6, 4)
    assert (
        found.to_json()["series"][0]["columns"]["sales"]["forecast"]
        == found.point[0, :, 0].tolist()
    )
    newer = daily(tmp_path / "newer.csv", 200)
    assert elman.load(trained).forecast(newer).times[0][0] == days(201)[-1]
    assert found.coverage == 0.9


def test_covariates_that_end_too_early(tmp_path):
    model = elman.fit(
        "forecast", shops(tmp_path / "t.csv"), tmp_path / "r", **SMALL, **SHOPS, steps=5
    )
    assert model.forecast(horizon=10).point.shape == (2, 10, 1)
    words = r"price of series 'a' must be known up to 2024-04-10.*11 rows.*ends at 2024-04-09"
    with pytest.raises(DataError, match=words):
        model.forecast(horizon=11)
    text = (tmp_path / "t.csv").read_text().replace("b,2024-04-03,,,1", "b,2024-04-03,,,")
    (tmp_path / "u.csv").write_text(text)
    with pytest.raises(DataError, match=r"price of series 'b'.*ends at 2024-04-02"):
        model.forecast(tmp_path / "u.csv", horizon=10)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
        ({"look_back": 200}, r"has 84 rows in the training part.*needs 204"),
        ({"horizon": 20, "look_back": 5}, r"the validation part has 12 rows.*needs 20"),
        ({"validation_part": 0.3, "horizon": 30, "look_back": 3}, "the test part has 24 rows"),
        ({"test_part": 500.0}, "test_part must leave rows for training, got 500 of 120"),
        ({"test_part": 2.5}, "share below 1 or a whole number, got 2.5"),
        ({"segment": 40}, "segment must be at most the look-back of 12"),
        ({"quantiles": "0.1,0.9"}, "with 0.5 and one on each side"),
        ({"quantiles": "0.5,0.9,0.95"}, "one below and one above 0.5"),
        ({"quantiles": "a,b,c"}, "quantiles must be numbers"),
        ({"cell": "mlp"}, "needs a recurrent cell"),
        ({"preset": "ett", "look_back": None}, "needs 14400 hourly rows, got 120"),
        ({"model": "transformer"}, "one of segment, autoregressive, last-step"),
        ({"targets": "profit"}, "no column 'profit'"),
    ],
)
def test_what_training_refuses_leaves_nothing_behind(tmp_path, sales, change, words):
    with pytest.raises((ArgumentError, DataError), match=words) as caught:
        elman.fit("forecast", sales, tmp_path / "run", **{**SMALL, "steps": 3, **change})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (lambda n: "", "column 'x' has no value in the training part"),
        (lambda n: 7, r"column 'x' is constant in the training part \(7 in every row\)"),
        (lambda n: "" if n < 100 else n, "column 'x' has no value in the training part"),
    ],
)
def test_columns_with_nothing_to_learn(tmp_path, cells, words):
    values = wave(120)
    rows = [(day, values[n], cells(n)) for n, day in enumerate(days(120))]
    path = write(tmp_path / "t.csv", "day,sales,x", rows)
    with pytest.raises(DataError, match=words):
        elman.fit("forecast", path, tmp_path / "run", **SMALL, steps=3, targets="sales,x")


def test_a_validation_part_of_missing_values(tmp_path):
    path = daily(tmp_path / "t.csv", blank=tuple(range(80, 100)))
    with pytest.raises(DataError, match="validation part has no value of any target"):
        elman.fit("forecast", path, tmp_path / "run", **SMALL, steps=3)


def test_missing_values_never_make_a_loss_of_nan(tmp_path):
    values = wave(150)
    holes = np.random.default_rng(0).random(150) < 0.4
    rows = [(day, "" if holes[n] else values[n]) for n, day in enumerate(days(150))]
    path = write(tmp_path / "t.csv", "day,sales", rows)
    notes = []

    class Notes(Listener):
        def started(self, task, schedule, progress):
            notes.extend(task.notes)

    model = elman.fit("forecast", path, tmp_path / "run", listener=Notes(), **SMALL, steps=10)
    assert f"{holes.sum()} of 150 values are missing, the first at" in notes[0]
    assert all(
        np.isfinite(record["valid_loss"]) for record in open_run(tmp_path / "run").read_metrics()
    )
    assert np.isfinite(model.forecast().quantiles).all()
    assert np.isfinite(model.evaluate().overall["model"]["mse"])


def test_using_a_run_on_data_that_does_not_fit(trained, tmp_path):
    model = elman.load(trained)
    short = daily(tmp_path / "short.csv", 8)
    with pytest.raises(DataError, match="has 8 rows, but the model looks back 12"):
        model.forecast(short)
    with pytest.raises(DataError, match="8 rows to evaluate on, but one forecast needs 16"):
        model.evaluate(short)
    stamps = np.datetime64("2024-01-01T00", "h") + np.arange(30)
    hourly = write(tmp_path / "h.csv", "day,sales", [(f"{stamp}:00", 1.0) for stamp in stamps])
    with pytest.raises(DataError, match=r"h.csv is hourly, but the run was trained on.*daily"):
        model.forecast(hourly)
    other = write(tmp_path / "o.csv", "day,profit", [(day, 1) for day in days(30)])
    with pytest.raises(ArgumentError, match="no column 'sales'"):
        model.evaluate(other)
    for use in (model.forecast, model.evaluate):
        with pytest.raises(ArgumentError, match="horizon must be at least 1, got 0"):
            use(horizon=0)
    for steps in (3_000_000, 10**18):
        with pytest.raises(
            ArgumentError, match=rf"year 9999, but {steps:,} rows \(daily\) after 2024"
        ):
            model.forecast(horizon=steps)
    with pytest.raises(ArgumentError, match="stride must be at least 1"):
        model.evaluate(stride=0)


def test_data_that_stand_elsewhere_than_the_run(tmp_path):
    def table(name, stamps):
        rows = list(zip(stamps, wave(len(stamps)).tolist(), strict=True))
        return write(tmp_path / name, "t,v", rows)

    def mondays(start):
        return [day for place, day in enumerate(days(7 * 60, start)) if place % 7 == 0]

    weekly = elman.fit(
        "forecast", table("w.csv", mondays("2024-01-07")), tmp_path / "w", **SMALL, steps=3
    )
    with pytest.raises(DataError, match=r"rows stand on Mondays, the run's on Sundays; give data"):
        weekly.forecast(table("m.csv", mondays("2024-01-01")))
    local = [f"{day}T00:00:00+0{1 + (day > '2024-03-31')}:00" for day in days(120)]
    changing = elman.fit("forecast", table("l.csv", local), tmp_path / "l", **SMALL, steps=3)
    summer = [f"{day}T00:00:00+02:00" for day in days(20, "2024-05-01")]
    assert elman.load(tmp_path / "l").forecast(table("s.csv", summer)).times[0][0] == (
        "2024-05-21T00:00:00"
    )
    assert changing.layout.grid.style.local == (3_600_000_000, 7_200_000_000)
    winter = elman.fit("forecast", table("n.csv", local[:80]), tmp_path / "n", **SMALL, steps=3)
    words = (
        r"stand at 23:00, the run's at 00:00 \(it has stamps at \+02:00 .*, the run at \+01:00\)"
    )
    with pytest.raises(DataError, match=words):
        winter.forecast(table("s.csv", summer))


def test_units_that_differ_from_the_run(tmp_path):
    def table(name, dress):
        rows = [(day, dress.format(v)) for day, v in zip(days(80), wave(80).tolist(), strict=True)]
        return write(tmp_path / f"{name}.csv", "day,x", rows)

    def told(model, data):
        return [note for note in model.forecast(data).notes if "data of the run" in note]

    tables = {unit: table(name, f"{{}}{unit}") for name, unit in
              (("percent", "%"), ("plain", ""), ("euro", "€"), ("dollar", "$"))}  # fmt: skip
    for unit, other, words in (
        ("%", "", ["x is in plain numbers in plain.csv, but in % in the data of the run; its "]),
        ("", "%", ["x is in % in percent.csv, but in plain numbers in"]),
        ("€", "$", ["x is in $ in dollar.csv, but in € in"]),
        ("€", "", []),
        ("%", "%", []),
    ):
        run = tmp_path / (unit or "plain")
        if not run.exists():
            elman.fit("forecast", tables[unit], run, **SMALL, steps=3)
        found = told(elman.load(run), tables[other])
        assert len(found) == len(words)
        assert all(map(str.startswith, found, words))


def test_a_series_that_was_not_trained_on(tmp_path):
    model = elman.fit(
        "forecast", shops(tmp_path / "t.csv"), tmp_path / "r", **SMALL, **SHOPS, steps=3
    )
    text = (tmp_path / "t.csv").read_text().replace("\nb,", "\nc,")
    (tmp_path / "u.csv").write_text(text)
    with pytest.raises(DataError, match=r"holds series 'c'.*it knows a, b"):
        model.forecast(tmp_path / "u.csv")
    only_b = "\n".join(
        line for line in (tmp_path / "t.csv").read_text().splitlines() if line[0] != "a"
    )
    (tmp_path / "b.csv").write_text(only_b)
    alone, both = model.forecast(tmp_path / "b.csv"), model.forecast()
    assert alone.ids == ("b",)
    assert np.allclose(alone.point[0], both.point[1])


def test_a_run_without_a_test_part_or_without_its_data(tmp_path, sales):
    model = elman.fit("forecast", sales, tmp_path / "run", **SMALL, steps=3, test_part=0.0)
    assert not (tmp_path / "run" / "results.json").exists()
    with pytest.raises(ArgumentError, match="keeps no test part"):
        model.evaluate()
    assert model.evaluate(sales).windows == 120 - 12 - 4 + 1
    (tmp_path / "run" / "data" / "series.safetensors").unlink()
    bare = elman.load(tmp_path / "run", backend="reference")
    assert np.array_equal(bare.forecast(sales).point, model.forecast().point)
    with pytest.raises(ArgumentError, match="keeps no data of its own"):
        bare.forecast()
    with pytest.raises(RunError, match=r"series.safetensors is missing"):
        elman.resume(tmp_path / "run", steps=9)


def test_two_files_are_one_too_many(tmp_path, sales):
    with pytest.raises(ArgumentError, match=r"one table, got 2.*--id-column"):
        elman.fit("forecast", [sales, sales], tmp_path / "run")


def test_the_default_data_or_how_to_get_it(monkeypatch):
    monkeypatch.setattr(table.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install 'elman\[demo\]'"):
        table.default_data()


def test_the_default_data_are_weekly_with_gaps():
    pytest.importorskip("statsmodels", exc_type=ImportError)
    co2 = table.read_table(table.default_data())
    source = build_panel(co2, choose_columns(co2, ForecastSettings()))
    assert source.grid.name == "weekly"
    assert (len(source.panel.values), int((~source.panel.observed).sum())) == (2284, 59)
