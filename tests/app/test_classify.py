"""The commands of classification as a user types them."""

import csv
import io
import json
import subprocess
import sys

import polars as pl
import pytest

from elman.app.main import run as run_elman

SMALL = (
    "--cell=rnn", "--hidden-size=8", "--layers=1", "--embedding-size=4", "--batch-size=8",
    "--epochs=1", "--backend=reference",
)  # fmt: skip


@pytest.fixture
def program(capsys):
    def run(*arguments, code=0):
        capsys.readouterr()
        got = run_elman([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert got == code, err
        return out, err

    return run


@pytest.fixture
def fails(program):
    """The one line that a mistake gets."""

    def run(code, *arguments):
        out, err = program(*arguments, code=code)
        assert out == ""
        assert err.count("\n") == 1, err
        assert err.startswith("error: ")
        return err

    return run


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    rows = [f"{letters * n},{label}" for n in range(1, 31) for letters, label in
            (("ab", "x"), ("cd", "y"))]  # fmt: skip
    path.write_text("\n".join(["name,kind", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def trained(tmp_path, table, program):
    run = tmp_path / "run"
    program("train", "classify", table, "--label-column", "kind", "--run", run, *SMALL)
    return run


def test_training_prints_results_to_stdout_and_the_rest_to_stderr(program, tmp_path, table):
    run = tmp_path / "run"
    out, err = program(
        "train", "classify", table, "--label-column", "kind", "--run", run, *SMALL
    )  # fmt: skip
    assert out.startswith("test: accuracy ")
    assert "log loss" in out
    assert "\nalways x: accuracy 0.4444" in out
    assert "note: 2 labels; examples: 46 train, 5 valid, 9 test" in err
    assert "examples/s" in err
    assert "macro_f1" in err
    assert f"next: elman evaluate {run}" in err


def test_help_names_the_choices(program):
    out, _ = program("train", "classify", "--help")
    for word in ("--pool", "mean-max", "--test-data", "--class-weights", "--patience", "Examples"):
        assert word in out
    assert "--format" in program("predict", "--help")[0]
    out, _ = program("train", "classify", "--print-config")
    assert "epochs = 20.0" in out


def test_predictions_in_three_formats(program, trained):
    out, err = program("predict", trained, "abab", "cdß日", "--top", 2)
    assert err == ""
    assert [line.split()[0] for line in out.splitlines()] == ["abab", "cdß日"]
    assert out.count("%") == 4
    out, _ = program("predict", trained, "abab", 'a"b', "--format", "csv", "--top", 1)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["example"] for row in rows] == ["abab", 'a"b']
    assert rows[0]["label_1"] in ("x", "y")
    out, _ = program("predict", trained, "abab", "--format", "jsonl", "--top", 9)
    row = json.loads(out)
    assert row["example"] == "abab"
    assert sum(guess["probability"] for guess in row["labels"]) == pytest.approx(1.0)


def test_predictions_of_files(program, trained, tmp_path, table):
    path = tmp_path / "names.txt"
    path.write_text("abab\n\ncd\n", encoding="utf-8")
    out, err = program("predict", trained, "--file", path, "--top", 1)
    assert [line.split()[:1] for line in out.splitlines()] == [["abab"], [], ["cd"]]
    assert "note: empty examples, without a prediction: 1" in err
    out, _ = program("predict", trained, "--file", path, "--format", "jsonl")
    assert json.loads(out.splitlines()[1]) == {"example": "", "labels": []}
    out, _ = program("predict", trained, "--file", table, "--format", "jsonl")
    assert out.count("\n") == 60
    out, _ = program("predict", trained, "--file", table, "--text-column", "kind", "--top", 1)
    assert out.splitlines()[0].split()[0] == "x"


def test_rows_of_predictions_are_those_of_the_file(program, fails, trained, tmp_path):
    path = tmp_path / "new.csv"
    texts = ["ab", "", 'a "b",\r\nc', "a\rb", "d\nd"]
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("No", "name", "truth", "day", "example"),
             *((f"n{i}", text, "x", "Mo,Tu", i) for i, text in enumerate(texts))]
        )  # fmt: skip
    wanted = ("predict", trained, "--file", path, "--top", 1, "--format")
    columns = ("--id-column", "No", "--label-column", "truth", "--keep-columns", "day,example")
    out, err = program(*wanted, "csv", *columns)
    rows = list(csv.reader(io.StringIO(out, newline="")))
    assert rows[0] == [
        "No", "example", "label_1", "probability_1", "truth", "day", "example.1"
    ]  # fmt: skip
    assert [row[0] for row in rows[1:]] == [f"n{i}" for i in range(5)]
    assert [row[1] for row in rows[1:]] == texts
    assert rows[2] == ["n1", "", "", "", "x", "Mo,Tu", "1"]
    assert all(row[2] in ("x", "y") for row in rows[1:] if row[1])
    assert "without a prediction: 1" in err
    frame = pl.read_csv(io.BytesIO(out.encode()))
    assert frame["No"].to_list() == [f"n{i}" for i in range(5)]
    out, _ = program(*wanted, "jsonl", *columns)
    first = json.loads(out.splitlines()[0])
    assert first["id"] == "n0"
    assert (first["label"], first["columns"]) == ("x", {"day": "Mo,Tu", "example": "0"})
    out, _ = program(*wanted, "csv", "--keep-columns", "all")
    assert out.startswith("example,label_1,probability_1,No,truth,day,example.1\n")
    assert "with --format csv, json or jsonl" in fails(2, *wanted, "table", "--id-column", "No")
    assert "no column 'nr'" in fails(2, *wanted, "csv", "--id-column", "nr")


def test_standard_input(trained):
    done = subprocess.run(
        [sys.executable, "-m", "elman", "predict", str(trained), "--file", "-"],
        input="abab\ncdcd", text=True, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("abab")
    done = subprocess.run(
        [sys.executable, "-m", "elman", "predict", str(trained), "--file", "-"],
        input="name,kind\nabab,x\n", text=True, capture_output=True,
    )  # fmt: skip
    assert done.stdout.startswith("abab ")
    assert done.stdout.count("\n") == 1
    done = subprocess.run(
        [sys.executable, "-m", "elman", "predict", str(trained), b"a\xffb"], capture_output=True
    )
    assert done.returncode == 0, done.stderr


def test_predictions_of_files_whose_name_tells_no_format(program, tmp_path, table, trained):
    def predicted(run, path, *options):
        out, err = program("predict", run, "--file", path, "--top", 1, *options)
        return [line.split()[0] for line in out.splitlines()], err

    texts, _ = predicted(trained, table)
    path = tmp_path / "table.txt"
    path.write_text(table.read_text(encoding="utf-8"), encoding="utf-8")
    found, err = predicted(trained, path)
    assert found == texts
    assert "note: read as a table, by the first lines" in err
    path.write_text("abab\ncd\n", encoding="utf-8")
    found, err = predicted(trained, path)
    assert found == ["abab", "cd"]
    assert err == (
        "note: each line is taken as one text, though the run learned from CSV; give --data-format "
        "csv to read rows\n"
    )
    assert predicted(trained, path, "--data-format", "csv")[0] == ["cd"]
    bare = tmp_path / "bare"
    rows = [line.split(",") for line in table.read_text(encoding="utf-8").splitlines()[1:]]
    bare.write_text("".join(f"{label}\t{text}\n" for text, label in rows), encoding="utf-8")
    program(
        "train", "classify", bare, "--data-format", "tsv", "--no-header", "--label-column", 1,
        "--text-column", 2, "--run", tmp_path / "other", *SMALL,
    )  # fmt: skip
    assert predicted(tmp_path / "other", bare)[0] == texts


def test_signals(program, fails, tmp_path, signals_file):
    run = tmp_path / "run"
    program("train", "classify", signals_file, "--run", run, *SMALL)
    out, _ = program("predict", run, "--file", signals_file, "--top", 1)
    assert [line.split()[0] for line in out.splitlines()] == [str(n) for n in range(1, 61)]
    unnamed = signals_file.rename(tmp_path / "unnamed")
    assert program("predict", run, "--file", unnamed, "--top", 1)[0] == out
    assert "classifies signals (T, 2), got text 'abc'" in fails(2, "predict", run, "abc")


def test_evaluate(program, trained, table):
    out, _ = program("evaluate", trained)
    assert "precision" in out
    assert "always x: accuracy 0.4444" in out
    assert "commonest mistakes" in out
    result = json.loads(program("evaluate", trained, table, "--json")[0])
    assert result["examples"] == 60
    assert result["seen_in_training"]["same_label"] == 46
    assert "seen in training: 46 of 60 examples; accuracy on the other 14: " in program(
        "evaluate", trained, table
    )[0]  # fmt: skip
    assert result["confusion"]["labels"] == ["x", "y"]
    out, _ = program("evaluate", trained, table, "--text-column", "name", "--label-column", "kind")
    assert "(60 examples)" in out


def test_resume_says_when_a_run_is_finished(program, trained):
    out, err = program("resume", trained)
    assert "the run is finished" in err
    assert out.startswith("test: accuracy")


def test_the_configuration_of_a_run_serves_but_no_path_is_taken_from_it(program, trained):
    path = trained / "config.toml"
    path.write_text('test_data = "/etc/passwd"\n' + path.read_text(encoding="utf-8"))
    out, _ = program("train", "classify", "--config", path, "--print-config")
    assert "hidden_size = 8" in out
    assert 'test_data = ""' in out


def test_options_of_another_task_are_refused(fails, trained, table):
    assert "--window is not for a classify run" in fails(2, "evaluate", trained, "--window", 3)
    assert "no classification run" not in fails(2, "predict", trained)
    assert "with --file, one of the two" in fails(2, "predict", trained, "a", "--file", table)
    assert "no language run" in fails(2, "generate", trained, "--seed", 1)
    assert "no DATA was given" in fails(2, "evaluate", trained, "--text-column", "a")


def test_bad_input_gets_one_line(fails, trained, table, tmp_path):
    def train(*arguments):
        return "train", "classify", *SMALL, "--run", tmp_path / "new", *arguments

    message = fails(2, *train(table))
    assert "has columns name, kind: say with --label-column" in message
    assert "it has name, kind" in fails(2, *train(table, "--label-column", "nothing"))
    assert "mlp is for language models only" in fails(
        2, *train(table, "--label-column", "kind", "--cell", "mlp")
    )
    for name, content, words in (
        ("ragged.csv", b"text,label\na,x\nb,y,z\n", "line 3: expected 2 fields"),
        ("latin.csv", "text,label\né,x\n".encode("latin-1"), "--encoding windows-1252"),
        ("empty.csv", b"", "is empty"),
        ("binary.csv", b"\x89PNG\0", "byte 4 (line 1) is zero"),
        ("one.csv", b"text,label\na,x\nb,x\n", "at least two labels, got 'x'"),
        ("inf.ts", b"@data\n1,inf:a\n2,3:b\n", "line 2, channel 1: expected finite numbers"),
        ("words.ts", b"@data\n1,2:a\none,two:b\n", "line 3, channel 1: expected numbers"),
    ):
        (tmp_path / name).write_bytes(content)
        assert words in fails(1, *train(tmp_path / name))
        assert not (tmp_path / "new").exists()
    other = tmp_path / "other.csv"
    other.write_text("name,kind\nab,x\ncd,y\nef,z\n")
    assert "labels that the training part never shows: z" in fails(
        1, *train(table, "--label-column", "kind", "--test-data", other)
    )
    assert "labels that training never showed: z" in fails(1, "evaluate", trained, other)
    assert "example 2: at least one character" in fails(2, "predict", trained, "ab", " ")
    assert "no file or folder" in fails(1, "predict", trained, "--file", tmp_path / "no.txt")


def test_a_model_that_says_one_label_is_named(program, tmp_path):
    path = tmp_path / "same.csv"
    rows = "".join(f"{'ab' * (n % 9 + 1)}{n},{'xxxxy'[n % 5]}\n" for n in range(200))
    path.write_text("text,label\n" + rows)
    run = tmp_path / "run"
    out, err = program(
        "train", "classify", path, "--run", run, *SMALL, "--learning-rate", "0.01", "--epochs", 2
    )  # fmt: skip
    assert out.startswith("test: accuracy 0.8")
    steps = max(
        json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()
    )
    for text in (err, program("evaluate", run)[1], program("evaluate", run, path)[1]):
        assert "note: the model says 'x' for " in text
        assert f"`elman resume {run} --steps {2 * steps}`" in text
        assert "--class-weights balanced, as 'x' is so common" in text
    assert "the model says 'x'" in program("evaluate", run, "--json")[0]


def test_a_folder_of_parts(program, tmp_path):
    for part, count in (("train", 40), ("test", 10)):
        for n in range(count):
            label, letters = (("x", "ab"), ("y", "cd"))[n % 2]
            path = tmp_path / "data" / part / label / f"{n}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{letters * (n % 7 + 1)}\n{n}\n")
    run = tmp_path / "run"
    out, err = program("train", "classify", tmp_path / "data", "--run", run, *SMALL)
    assert "(10 examples)" in out
    assert "note: parts are taken from the names in" in err
    split = pl.read_csv(run / "split.csv")
    assert split.filter(pl.col("part") == "test")["file"].str.contains("/test/").all()
    out, _ = program("predict", run, "--file", tmp_path / "data/test/x", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert [row["file"][-5:] for row in rows] == ["0.txt", "2.txt", "4.txt", "6.txt", "8.txt"]
    assert rows[0]["example"] == "ab\n0"
    out, _ = program("predict", run, "--file", tmp_path / "data/test/x", "--format", "jsonl")
    assert json.loads(out.splitlines()[1])["file"].endswith("2.txt")


@pytest.fixture
def columns(tmp_path):
    path = tmp_path / "columns.csv"
    rows = [
        f"{'ab' * (n % 5 + 1)},{'c' * (n % 3)},{n},{'xy'[n % 2]},s{n % 12},"
        f"2024-01-{n // 4 + 1:02d},{'uv'[n % 2]}"
        for n in range(96)
    ]
    head = "title,body,price,city,speaker,day,label"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def test_several_columns_from_training_to_prediction(tmp_path, columns, program, fails):
    run = tmp_path / "run"
    out, err = program(
        "train", "classify", columns, "--text-column=title,body", "--number-columns=price",
        "--category-columns=city", "--time-column=day", "--run", run, *SMALL,
    )  # fmt: skip
    assert "divided by time: training 2024-01-01 to" in err
    out, _ = program("predict", run, "--file", columns, "--format=csv", "--id-column=speaker")
    found = list(csv.DictReader(io.StringIO(out)))
    assert len(found) == 96
    assert found[1]["example"] == "abab␟c"
    assert found[0]["label_1"] in ("u", "v")
    out, _ = program("evaluate", run, columns, "--json")
    assert json.loads(out)["examples"] == 96
    assert "reads the columns title, body, price, city" in fails(2, "predict", run, "ab")


def test_folds_from_training_to_resuming(tmp_path, columns, program, fails):
    run = tmp_path / "run"
    train = (
        "train", "classify", columns, "--text-column=title", "--group-column=speaker",
        "--folds=2", "--run", run, *SMALL,
    )  # fmt: skip
    out, err = program(*train)
    words = [line.split()[0] for line in out.splitlines()]
    assert words == ["fold", "1", "2", "mean", "deviation"]
    assert "fold 2 of 2" in err
    assert program("resume", run)[0] == out
    assert "2 models of a cross-validation" in fails(1, "predict", run, "ab")
    program("predict", run / "fold-2", "ab")
    assert "exists already" in fails(2, *train)
    assert "--fold one of them" in fails(2, *train, "--fold=3", "--force")
    program(*train, "--fold=2", "--force")
    assert (run / "results.json").is_file()
    assert not (run / "fold-1").exists()
