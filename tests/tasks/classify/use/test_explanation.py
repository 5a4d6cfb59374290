"""What each piece did to the label, where cues were planted: against deletion itself."""

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import elman
from elman.app.main import run as run_elman
from elman.errors import ArgumentError
from elman.tasks.classify.data.tokens import text_of
from elman.tasks.classify.use.explanation import (
    MOST,
    Place,
    around,
    groups,
    log_odds,
    places,
    without,
)

CUES = {"one": "q", "two": "w"}


def planted(count, seed):
    """Random letters among which one, at any place, tells the label."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        label = ("one", "two")[number % 2]
        letters = list(rng.choice(list("abcdefgh"), rng.integers(6, 14)))
        letters.insert(rng.integers(len(letters) + 1), CUES[label])
        found.append(("".join(letters), label))
    return found


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    with open(folder / "table.csv", "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *planted(600, 0)])
    return folder / "run", elman.fit(
        "classify", folder / "table.csv", folder / "run", steps=150, hidden_size=24, layers=1,
        embedding_size=8, batch_size=32, dropout=0.1, learning_rate=0.01,
    )  # fmt: skip


@pytest.fixture(scope="module")
def signals(tmp_path_factory):
    """Two channels of noise; a bump up or down at any place of the second tells the label."""
    folder = tmp_path_factory.mktemp("signals")
    pairs = [bump(number, np.random.default_rng(number)) for number in range(200)]
    lines = ["@problemName bumps", "@classLabel true up down", "@data"]
    lines += [
        ":".join([*(",".join(f"{v:.4f}" for v in channel) for channel in signal.T), label])
        for signal, label, _ in pairs
    ]
    (folder / "bumps.ts").write_text("\n".join(lines) + "\n")
    return folder / "run", elman.fit(
        "classify", folder / "bumps.ts", folder / "run", steps=150, hidden_size=16, layers=1,
        dropout=0.1, learning_rate=0.01,
    )  # fmt: skip


def bump(number, rng):
    """Signal `(60, 2)`, label, and where the bump begins: it is 6 steps wide."""
    signal = 0.3 * rng.normal(size=(60, 2))
    place = int(rng.integers(2, 52))
    signal[place : place + 6, 1] += 3.0 if number % 2 else -3.0
    return signal, ("down", "up")[number % 2], place


@given(st.integers(1, 700), st.integers(0, 5))
def test_pieces_cover_an_example_once(steps, channels):
    encoded = np.zeros((steps, channels), np.float32) if channels else np.zeros(steps, np.int64)
    covered = np.zeros((steps, max(channels, 1)), dtype=int)
    found = places(encoded)
    for place in found:
        assert place.start < place.stop
        covered[place.start : place.stop, place.channel] += 1
    assert (covered == 1).all()
    assert len(found) <= max(MOST, 400)
    if not channels and steps <= MOST:
        assert len(found) == steps


def test_long_examples_have_fewer_pieces():
    assert len(places(np.zeros(2000, np.int64))) == 200
    assert len(places(np.zeros(8000, np.int64))) == 50
    assert len(places(np.zeros(10**6, np.int64))) == 20
    assert len(places(np.zeros((10**5, 3), np.float32))) == 3 * 8


def test_without_some_pieces():
    text = np.arange(10)
    assert without(text, [Place(0, 1, 0), Place(4, 6, 0)]).tolist() == [1, 2, 3, 6, 7, 8, 9]
    assert without(text[:1], [Place(0, 1, 0)]).tolist() == [0]  # the unknown one
    signal = np.array([[0.0, 5.0], [9.0, 5.0], [9.0, 5.0], [3.0, 5.0]])
    assert without(signal, [Place(1, 3, 0)])[:, 0].tolist() == [0, 1, 2, 3]
    assert without(signal, [Place(0, 2, 0)])[:, 0].tolist() == [9, 9, 9, 3]
    assert without(signal, [Place(0, 4, 0)])[:, 0].tolist() == [5.25] * 4
    assert without(signal, [Place(1, 3, 0)])[:, 1].tolist() == [5] * 4
    assert signal[1, 0] == 9.0


def test_log_odds_of_what_rounds_to_one():
    probabilities = np.array([[1.0, 1e-30, 1e-40], [0.2, 0.3, 0.5], [0.0, 1.0, 0.0]])
    found = log_odds(probabilities, np.array([0, 2, 0]))
    assert found[:2] == pytest.approx([30 * np.log(10), 0.0], abs=1e-6)
    assert np.isfinite(found).all()
    assert probabilities[0, 0] == 1.0  # as it was


@given(st.lists(st.integers(1, 60), max_size=30), st.integers(1, 5000))
def test_groups_are_bounded(lengths, most):
    items = [np.zeros(length, np.int64) for length in lengths]
    found = list(groups(items, most))
    assert [number for group in found for number in group] == list(range(len(items)))
    for group in found:
        assert len(group) == 1 or sum(lengths[i] ** 2 for i in group) <= most


def test_the_planted_letter_is_what_matters(texts):
    _, model = texts
    new = planted(100, 1)
    found = model.explain([text for text, _ in new])
    best = [(why, why.strongest(1)[0]) for why in found]
    assert np.mean([why.letters(piece) == CUES[why.label] for why, piece in best]) > 0.95
    assert all(len(why.pieces) == len(text) for why, (text, _) in zip(found, new, strict=True))


def drop(model, examples, found, rng, count):
    """How far the probability of the label falls on average when the `count` most important pieces
    go together, and when as many random ones do."""
    fallen = {"strongest": [], "random": []}
    for item, why in zip(examples, found, strict=True):
        label = model.labels.index(why.label)
        supporting = sorted(why.pieces, key=lambda piece: -piece.effect)
        taken = {
            "strongest": supporting[:count],
            "random": [why.pieces[i] for i in rng.choice(len(why.pieces), count, replace=False)],
        }
        encoded = model._erasable(item, 1)
        for name, pieces in taken.items():
            gone = [around(Place(p.start, p.stop, p.channel), encoded) for p in pieces]
            left = without(encoded, gone)
            if isinstance(item, str):
                left = text_of(left)
            p = model.probabilities([left])[0, label]
            fallen[name].append(why.probability - p)
    return np.mean(fallen["strongest"]), np.mean(fallen["random"])


def test_deleting_what_matters_lowers_the_probability(texts):
    _, model = texts
    examples = [text for text, _ in planted(60, 2)]
    strongest, random = drop(model, examples, model.explain(examples), np.random.default_rng(0), 2)
    assert strongest > 0.3
    assert strongest > 2 * random


def test_flattening_what_matters_lowers_the_probability(signals):
    _, model = signals
    new = [bump(number, np.random.default_rng(1000 + number)) for number in range(40)]
    found = model.explain([signal for signal, _, _ in new])
    rng = np.random.default_rng(0)
    strongest, random = drop(model, [signal for signal, _, _ in new], found, rng, 2)
    assert strongest > 0.2
    assert strongest > 2 * random
    hits = []
    for why, (_, _, place) in zip(found, new, strict=True):
        piece = why.strongest(1)[0]
        hits.append(piece.channel == 1 and place - 3 < piece.stop and piece.start < place + 9)
    assert np.mean(hits) > 0.8


def test_one_example_or_many_is_the_same(texts):
    _, model = texts
    examples = ["abq", "gqhe", "w", "a" * 250 + "q"]
    together = model.explain(examples)
    for example, why in zip(examples, together, strict=True):
        (alone,) = model.explain([example])
        assert alone.label == why.label
        ours, theirs = ([piece.effect for piece in found.pieces] for found in (alone, why))
        assert np.allclose(ours, theirs, atol=1e-4)
    assert len(together[3].pieces) == MOST
    assert together[0].probability == pytest.approx(model.predict(["abq"])[0][0].probability)


def test_another_label_may_be_explained(texts):
    _, model = texts
    (own,) = model.explain(["abqcd"])
    (other,) = model.explain(["abqcd"], ["two"])
    assert (own.label, other.label) == ("one", "two")
    assert [piece.effect for piece in own.pieces] == pytest.approx(
        [-piece.effect for piece in other.pieces], abs=1e-4
    )
    assert own.probability + other.probability == pytest.approx(1.0)
    with pytest.raises(ArgumentError, match="no label 'three'"):
        model.explain(["ab"], ["three"])
    with pytest.raises(ArgumentError, match="2 labels were expected"):
        model.explain(["ab", "cd"], ["one"])
    with pytest.raises(ArgumentError, match="example 2"):
        model.explain(["ab", ""])
    assert model.explain([]) == []


def say(capsys, *arguments, code=0):
    capsys.readouterr()
    assert run_elman(list(map(str, arguments))) == code
    return capsys.readouterr()


def test_the_command_explains(texts, capsys, tmp_path):
    run, _ = texts
    out, _ = say(capsys, "predict", run, "abqcd", "w\x1b[2J", "--explain")
    assert "for it: 'q' (3) +" in out
    assert out.count("\n") == 4
    path = tmp_path / "new.csv"
    path.write_text("id,text\nn1,abqc\nn2,\nn3,w\n")
    out, _ = say(capsys, "predict", run, "--file", path, "--explain", "--format=csv",
                 "--id-column=id")  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["id"], row["row"], row["start"], row["stop"], row["piece"]) for row in rows] == [
        ("n1", "1", "0", "1", "a"), ("n1", "1", "1", "2", "b"), ("n1", "1", "2", "3", "q"),
        ("n1", "1", "3", "4", "c"), ("n3", "3", "0", "1", "w"),
    ]  # fmt: skip
    assert max(rows[:4], key=lambda row: float(row["effect"]))["piece"] == "q"
    out, _ = say(capsys, "predict", run, "--file", path, "--explain", "--format=jsonl")
    found = [json.loads(line) for line in out.splitlines()]
    assert [len(row.get("explanation", {"pieces": ""})["pieces"]) for row in found] == [4, 0, 1]
    assert found[0]["explanation"]["pieces"][2]["text"] == "q"
    _, err = say(capsys, "predict", run, "ab", "--explain", "--picture=x.png", code=2)
    assert "of signals" in err


def test_pieces_are_those_of_the_text_as_it_is_read(texts):
    _, model = texts
    (why,) = model.explain(["e\u0301q"])  # one character in composed form
    assert [why.letters(piece) for piece in why.pieces] == ["é", "q"]


def test_colours_take_out_other_controls(texts, capsys, monkeypatch):
    run, _ = texts
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    out, _ = say(capsys, "predict", run, "aq\x1b[2Jb", "--explain")
    assert "\x1b[2J" not in out
    assert "\x1b[48;5;" in out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in say(capsys, "predict", run, "aqb", "--explain")[0]


def test_signals_get_a_picture(signals, capsys, tmp_path):
    run, _ = signals
    lines = ["@classLabel true up down", "@data"]
    for number in range(3):
        signal, _, _ = bump(number, np.random.default_rng(number))
        lines.append(":".join([*(",".join(f"{v:.3f}" for v in c) for c in signal.T), "?"]))
    path = tmp_path / "new.ts"
    path.write_text("\n".join(lines) + "\n")
    out, err = say(capsys, "predict", run, "--file", path, "--explain", "--picture",
                   tmp_path / "why.png")  # fmt: skip
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")
    assert "picture: " in err
    assert "of channel 2" in out
