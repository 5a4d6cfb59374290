"""Forecasting as a user types it: results, files, and one line for every mistake."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import elman
from elman.artifacts import open_run
from tests.app.test_command_line import Program
from tests.tasks.forecast.tables import daily, days, shops, wave, write

SMALL = (
    "--hidden-size=8", "--batch-size=8", "--look-back=12", "--horizon=4", "--evaluate-every=5",
    "--steps=20", "--backend=reference", "--threads=1",
)  # fmt: skip
COLUMNS = ("--id-column=shop", "--targets=sales", "--past=visitors", "--future=price")


@pytest.fixture
def program(capsys):
    return Program(capsys)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A table, and a run that was trained on it."""
    folder = tmp_path_factory.mktemp("forecast")
    elman.fit(
        "forecast", daily(folder / "sales.csv", gaps=(40,)), folder / "run", hidden_size=8,
        look_back=12, horizon=4, steps=20, evaluate_every=5, backend="reference", threads=1,
    )  # fmt: skip
    return folder


def test_training_shows_the_test_beside_naive(program, tmp_path):
    data = daily(tmp_path / "sales.csv", gaps=(40,))
    out, err = program("train", "forecast", data, "--run", tmp_path / "run", *SMALL)
    assert out.startswith("best validation loss")
    for word in ("MASE", "coverage", "model", "naive", "seasonal naive (7)"):
        assert word in out
    assert "daily, but leaves out 1 row, first 2024-02-10, after sales.csv, line 41" in err
    assert "scaled_mse" in err
    assert f"next: elman forecast {tmp_path / 'run'}" in err
    for name in ("forecast.png", "errors.png", "curves.png", "results.json"):
        assert (tmp_path / "run" / name).exists()


def test_how_other_data_was_read_is_told(program, folder, tmp_path):
    header, *rows = (folder / "sales.csv").read_text().splitlines()
    rows = [row.replace(",", ",$") if row[-1] != "," else row for row in rows]
    cell = rows[0].split(",")[1]
    (tmp_path / "new.csv").write_text("\n".join([header, *rows, ","]))
    price = f"sales: {cell!r} (new.csv, line 2) is read as {cell[1:]}"
    notes = ["rows without content left out: 1", price]
    for command in ("forecast", "evaluate"):
        out, err = program(command, folder / "run", tmp_path / "new.csv", "--json")
        assert json.loads(out)["notes"] == notes
        assert err.splitlines() == [f"note: {note}" for note in notes]
    data = tmp_path / "new.csv"
    _, err = program("train", "forecast", data, "--run", tmp_path / "run", *SMALL)
    assert all(note in err for note in notes)


def test_forecast_as_table_csv_json_and_picture(program, folder, tmp_path):
    run = folder / "run"
    out, err = program("forecast", run, "--horizon", 3)
    assert err == ""
    assert out.splitlines()[0].split() == ["day", "sales", "sales", "low", "sales", "high"]
    assert out.splitlines()[1].startswith("2024-04-30")
    frame = pl.read_csv(program("forecast", run, "--horizon", 3, "--csv")[0].encode())
    assert frame["day"].to_list() == days(3, "2024-04-30")
    found = json.loads(program("forecast", run, "--horizon", 3, "--json")[0])
    assert found["coverage"] == 0.9
    assert found["series"][0]["columns"]["sales"]["forecast"] == pytest.approx(
        frame["sales"].to_list()
    )
    assert set(found["series"][0]["columns"]["sales"]["quantiles"]) == {"0.05", "0.5", "0.95"}
    _, err = program("forecast", run, "--horizon", 9, "--picture", tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert "the model learned 4 rows ahead" in err


def test_a_forecast_goes_on_from_new_data(program, folder, tmp_path):
    newer = daily(tmp_path / "newer.csv", 140)
    out, _ = program("forecast", folder / "run", newer, "--csv")
    assert out.splitlines()[1].startswith(days(141)[-1])


def test_evaluate(program, folder):
    run = folder / "run"
    out, _ = program("evaluate", run, "--horizon", 2, "--stride", 5)
    assert out.startswith("5 forecasts of 2 rows, every 5, from 2024-04-06 to 2024-04-27")
    assert "MAE by step" in out
    result = json.loads(program("evaluate", run, folder / "sales.csv", "--json")[0])
    assert result == elman.load(run).evaluate(folder / "sales.csv").to_json()
    assert result["windows"] == 120 - 12 - 4 + 1
    assert [len(entries) for entries in result["by_horizon"].values()] == [4, 4, 4]


def test_evaluate_with_retraining(program, folder):
    out, err = program("evaluate", folder / "run", "--stride", 12, "--retrain")
    assert out.startswith("2 forecasts of 4 rows, every 12")
    assert "trained anew for each" in out
    assert "training on the rows before 2024-04-06" in err
    assert "training on the rows before 2024-04-18" in err


def test_many_series_and_columns(program, tmp_path):
    run = tmp_path / "run"
    program("train", "forecast", shops(tmp_path / "t.csv"), "--run", run, *SMALL, *COLUMNS)
    out, _ = program("forecast", run, "--horizon", 2)
    assert [line.split()[:2] for line in out.splitlines()[1:5]] == [
        ["a", "2024-03-31"], ["a", "2024-04-01"], ["b", "2024-03-31"], ["b", "2024-04-01"]
    ]  # fmt: skip
    values = wave(120)
    rows = [(day, values[n], -2 * values[n]) for n, day in enumerate(days(120))]
    two = write(tmp_path / "two.csv", "day,x,y", rows)
    out, _ = program(
        "train",
        "forecast",
        two,
        "--run",
        tmp_path / "two",
        *SMALL,
        "--quantiles",
        "0.1,0.25,0.5,0.9",
    )
    assert "scaled MAE by column" in out
    out, _ = program("forecast", tmp_path / "two", "--csv")
    assert out.splitlines()[0] == "day,x,x low,x high,x 0.25,y,y low,y high,y 0.25"


def test_the_autoregressive_and_the_last_step_model(program, tmp_path):
    data = daily(tmp_path / "sales.csv")
    for name in ("autoregressive", "last-step"):
        run = tmp_path / name
        program("train", "forecast", data, "--run", run, *SMALL, "--model", name, "--calendar")
        assert len(program("forecast", run, "--horizon", 7, "--csv")[0].splitlines()) == 8
        assert open_run(run).read_config().settings["model"] == name


def test_trading_days_as_a_spreadsheet_writes_them(program, tmp_path):
    """Row numbers, a text column, decimal commas, and no forecast for a Saturday."""
    rows = [
        f"{number};{day};{f'{value:.2f}'.replace('.', ',')};GER"
        for number, (day, value) in enumerate(zip(days(170), wave(170), strict=True))
        if number % 7 < 5  # 2024 began on a Monday
    ]
    data, run = write(tmp_path / "t.csv", ";Datum;Kurs;Land", rows), tmp_path / "run"
    _, err = program("train", "forecast", data, "--run", run, *SMALL)
    assert "not used: 'Unnamed: 0' (row numbers), 'Land' (text, such as 'GER')" in err
    assert f"Kurs: {rows[0].split(';')[2]!r} (t.csv, line 2) is read as" in err
    assert "leaves out" not in err
    out, _ = program("forecast", run, "--csv")
    assert [line[:10] for line in out.splitlines()[1:]] == [
        "2024-06-19", "2024-06-20", "2024-06-21", "2024-06-24"
    ]  # fmt: skip
    newer = write(tmp_path / "newer.csv", ";Datum;Kurs;Land", rows[-14:])
    assert program("forecast", run, newer, "--csv")[0].splitlines()[4].startswith("2024-06-24")
    out, _ = program("evaluate", run, "--stride", 12, "--retrain")
    assert "trained anew for each" in out


def test_resume(program, folder):
    out, err = program("resume", folder / "run", "--steps", 30)
    assert "going on from step 20" in err
    assert "seasonal naive" in out


def test_what_a_user_gets_wrong(program, folder, tmp_path):
    fails, run, data = program.fails, folder / "run", folder / "sales.csv"
    new = ("--run", tmp_path / "new", *SMALL)
    train = ("train", "forecast")
    assert "no file" in fails(1, *train, tmp_path / "no.csv", *new)
    assert "no column 'profit'" in fails(2, *train, data, *new, "--targets", "profit")
    assert "horizon must be at least 1" in fails(2, *train, data, *new[:-1], "--horizon", 0)
    assert "one of segment" in fails(2, *train, data, *new, "--model", "linear")
    assert "needs 14400" in fails(1, *train, data, "--run", tmp_path / "new", "--preset", "ett")
    text = data.read_text().replace("2024-01-09,", "2024-01-09,oops")
    (tmp_path / "bad.csv").write_text(text)
    assert "bad.csv, line 10: sales" in fails(1, *train, tmp_path / "bad.csv", *new)
    assert "horizon must be at least 1, got 0" in fails(2, "forecast", run, "--horizon", 0)
    assert "horizon must be at least 1, got 0" in fails(2, "evaluate", run, "--horizon", 0)
    assert "choose one" in fails(2, "forecast", run, "--csv", "--json")
    assert "no folder for the file" in fails(
        1, "forecast", run, "--picture", tmp_path / "no" / "p.png"
    )
    assert "--window is not for a forecast run" in fails(2, "evaluate", run, "--window", 3)
    assert "no run folder" in fails(1, "forecast", tmp_path / "nowhere")
    zone = "\n".join(
        line.replace(",", "T00:00:00Z,") if place else line
        for place, line in enumerate(data.read_text().splitlines())
    )
    (tmp_path / "zone.csv").write_text(zone)
    assert "stamps of zone Z, but the run was trained on stamps without a time zone" in fails(
        1, "forecast", run, tmp_path / "zone.csv"
    )
    assert not (tmp_path / "new").exists()


def test_other_runs_are_told_apart(program, tmp_path, text_file):
    run = tmp_path / "language"
    elman.fit("language", text_file, run, hidden_size=4, steps=2, sequence_length=8, batch_size=2)
    assert "is no forecasting run" in program.fails(2, "forecast", run)
    assert "--retrain is not for a language run" in program.fails(2, "evaluate", run, "--retrain")
    assert "--horizon is not for a language run" in program.fails(
        2, "evaluate", run, "--horizon", 3
    )


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("grid", "kind"), "lunar", "the kind in the description"),
        (("grid", "step"), 0, "whole number"),
        (("grid", "origin"), 2**61, "years 1 to 9999"),
        (("grid", "style", "format"), "%j %Z", "the format in the description"),
        (("grid", "weekmask"), "0000000", "seven digits"),
        (("grid", "weekmask"), "12345", "seven digits"),
        (("notes",), [1], "must hold a text"),
        (("units",), ["%", "%"], "sizes or parts that do not fit"),
        (("grid", "style", "local"), ["x"], "whole number"),
        (("columns", "targets"), [], "sizes or parts that do not fit"),
        (("columns", "targets"), ["a", "a"], "distinct names"),
        (("windowing", "look_back"), -3, "whole number"),
        (("windowing", "look_back"), 13, "does not fit"),
        (("windowing", "train_end"), 10**6, "sizes or parts"),
        (("ids",), "x", "distinct names"),
        (("ids",), ["x", "y"], "does not fit"),
        (("gaps",), None, "must hold columns, grid, ids"),
    ],
)
def test_a_run_that_was_tampered_with(folder, tmp_path, path, value, words):
    run = tmp_path / "run"
    shutil.copytree(folder / "run", run)
    told = json.loads((run / "vocabulary.json").read_text())
    inner = told
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    (run / "vocabulary.json").write_text(json.dumps(told))
    if path == ("windowing", "look_back") and value == 13:
        inner["horizon"] = 5  # the margins in the weights are for 4
        (run / "vocabulary.json").write_text(json.dumps(told))
    with pytest.raises(elman.errors.RunError, match=words):
        elman.load(run)


def test_series_that_were_tampered_with(folder, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(folder / "run", run)
    path = run / "data" / "series.safetensors"
    path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(elman.errors.RunError, match="SHA-256 differs"):
        elman.resume(run, steps=40)
    assert np.isfinite(elman.load(run).forecast(folder / "sales.csv").point).all()
