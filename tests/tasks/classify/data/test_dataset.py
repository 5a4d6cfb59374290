"""Examples as numbers on disk, which nobody vouches for when they are read again."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from elman.errors import ArgumentError, DataError, RunError
from elman.tasks.classify.data import dataset
from elman.tasks.classify.data.dataset import Catalogue
from elman.tasks.classify.data.examples import Examples
from elman.tasks.classify.data.tokens import Characters
from elman.tasks.classify.targets.one_label import OneLabel
from elman.tasks.shared.arrays import sha256_of
from elman.tasks.shared.characters import code_points

LABELS = OneLabel(("x", "y"), (2, 1))
TEXT = Catalogue(LABELS, Characters(9, (97, 98, 233)))
SIGNAL = Catalogue(LABELS, channels=2)
PART = np.array([0, 0, 1, 2, 0], np.uint8)
READ = Characters(9, (97, 98, 110, 233, 0xD800))
STRINGS = Examples(["abba", "né", "b", "añ", "\ud800"], ["x", "y", "x", "y", "x"])


def test_characters_that_training_never_showed_are_the_unknown_one():
    assert TEXT.encode("abéz\U0010ffff\udcff").tolist() == [1, 2, 3, 0, 0, 0]
    assert Characters(9, ()).numbers(code_points("ab")).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("catalogue", "item", "words"),
    [
        (TEXT, "", "got an empty string"),
        (TEXT, 3.0, "classifies strings, got float"),
        (SIGNAL, "abc", r"signals \(T, 2\), got text 'abc'"),
        (SIGNAL, [[1.0]], r"\(T, 2\), got shape \(1, 1\)"),
        (SIGNAL, np.zeros((0, 2)), r"got shape \(0, 2\)"),
        (SIGNAL, [["a", "b"]], "numbers .T, 2. were expected"),
        (SIGNAL, [[1.0, np.inf]], "got infinity"),
        (SIGNAL, [[np.nan, np.nan]], "all values are missing"),
    ],
)
def test_what_can_not_be_encoded_is_refused(catalogue, item, words):
    with pytest.raises(ArgumentError, match=words):
        catalogue.encode(item)


def test_what_is_written_is_read_again(tmp_path):
    catalogue, sha256 = dataset.write(STRINGS, PART, LABELS, tmp_path, READ)
    assert catalogue.target == LABELS
    assert Catalogue.from_json(catalogue.to_json()) == catalogue
    parts = dataset.read(tmp_path, catalogue, sha256)
    assert [len(parts[name]) for name in ("train", "valid", "test")] == [3, 1, 1]
    assert parts["train"].example(0).tolist() == [1, 2, 2, 1]
    assert parts["test"].example(0).tolist() == [1, 0]
    assert parts["test"].labels.tolist() == [1]


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x, max_size=3)
                    | st.dictionaries(st.sampled_from(["target", "kind", "tokens",
                                                       "channels"]), x, max_size=4)))  # fmt: skip
def test_no_vocabulary_is_believed(value):
    with suppress(RunError):
        assert Catalogue.from_json(value).to_json() == value


@pytest.mark.parametrize(
    "change",
    [
        {"target": None},
        {"target": {"kind": "labl"}},
        {"target": {"kind": ["label"]}},
        {"target": {"kind": "label"}},
        {"tokens": {"level": "char", "longest": 9, "characters": [98, 97]}},
        {"tokens": {"level": "word", "longest": 9, "words": ["a", "a"]}},
        {"channels": -1},
        {"channels": None},
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(change):
    with pytest.raises(RunError, match=r"vocabulary\.json must hold"):
        Catalogue.from_json({**TEXT.to_json(), **change})


@pytest.mark.parametrize(
    "change",
    [
        {"offsets": np.array([0, 2, 1, 5, 6, 9])},
        {"offsets": np.array([0, 2**63 - 1, -(2**63), 5, 6, 10])},
        {"offsets": np.array([0, 1, 2])},
        {"labels": np.array([0, 1, 0, 1, 2])},
        {"labels": np.array([0, 1, 0, 1, -1])},
        {"labels": np.array([0, 1, 0, 1, 0], np.int32)},
        {"part": np.array([0, 0, 0, 2, 0], np.uint8)},
        {"part": np.array([0, 1, 2, 3, 0], np.uint8)},
        {"values": np.zeros((10, 2), np.int32)},
        {"values": np.zeros(10, np.float32)},
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(tmp_path, change):
    catalogue, _ = dataset.write(STRINGS, PART, LABELS, tmp_path, READ)
    path = tmp_path / dataset.FILE
    save_file({**load_file(path), **change}, path)
    with pytest.raises(RunError, match=r"does not fit vocabulary.json"):
        dataset.read(tmp_path, catalogue, sha256_of(path))


def test_missing_changed_and_damaged_files_are_named(tmp_path):
    catalogue, sha256 = dataset.write(STRINGS, PART, LABELS, tmp_path, READ)
    path = tmp_path / dataset.FILE
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(RunError, match="SHA-256 differs"):
        dataset.read(tmp_path, catalogue, sha256)
    path.write_bytes(b"nonsense")
    with pytest.raises(RunError, match="is damaged"):
        dataset.read(tmp_path, catalogue, sha256_of(path))
    path.unlink()
    with pytest.raises(RunError, match="is missing"):
        dataset.read(tmp_path, catalogue, sha256)


def test_signals_that_are_not_finite_are_refused(tmp_path):
    items = [np.full((2, 2), value, np.float32) for value in range(4)]
    catalogue, _ = dataset.write(
        Examples(items, ["x", "y"] * 2, channels=2), PART[:4], LABELS, tmp_path, None
    )
    tensors = load_file(tmp_path / dataset.FILE)
    tensors["values"][0] = np.nan
    save_file(tensors, tmp_path / dataset.FILE)
    with pytest.raises(RunError, match="does not fit"):
        dataset.read(tmp_path, catalogue, sha256_of(tmp_path / dataset.FILE))


def test_the_scale_of_signals_comes_from_the_training_part_and_is_kept(tmp_path):
    items = [np.full((2, 2), 1.7e9 + value) for value in range(4)]
    examples = Examples(items, ["x", "y"] * 2, channels=2)
    catalogue, sha256 = dataset.write(examples, PART[:4], LABELS, tmp_path, None)
    assert catalogue.scale.centers == (1.7e9 + 0.5, 1.7e9 + 0.5)  # of the first two
    again = Catalogue.from_json(json.loads(json.dumps(catalogue.to_json())))
    assert again == catalogue
    test = dataset.read(tmp_path, again, sha256)["test"]
    np.testing.assert_array_equal(again.encode(items[3]), test.example(0))


def test_a_vocabulary_without_a_scale_takes_signals_as_they_are():
    values = [[1.7e9, 0.1], [2.0, 3.0]]
    np.testing.assert_array_equal(SIGNAL.encode(values), np.array(values, np.float32))
    with pytest.raises(ArgumentError, match="too far away for float32"):
        SIGNAL.encode([[1e39, 0.0]])


def test_signals_that_do_not_fit_the_scale_of_training_are_refused(tmp_path):
    items = [np.full((2, 2), value) for value in (1e-50, 2e-50, 3e-50, 1.0)]
    with pytest.raises(DataError, match=r"channel 1 .* too far away for float32"):
        dataset.write(Examples(items, ["x", "y"] * 2, channels=2), PART[:4], LABELS, tmp_path, None)
