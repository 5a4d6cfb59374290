"""Folders as people's data comes in: by label, by part, by both, in files or in folders."""

from collections import Counter

import polars as pl
import pytest

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.data.learned import Learned
from elman.tasks.classify.data.shapes import part_in
from elman.tasks.classify.data.sources import read, read_source
from elman.tasks.classify.settings import ClassifySettings


@pytest.fixture
def folder(tmp_path):
    """Files by name; for a number, so many lines."""

    def write(**files):
        for name, content in files.items():
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, int):
                content = "".join(f"{name} {n}\n" for n in range(content))
            path.write_text(content)
        return tmp_path / "data"

    return write


def of(path, labelled=True, learned=None, **settings):
    kept = {} if learned is None else {"learned": learned}
    return read_source(str(path), ClassifySettings(**settings), labelled, **kept)


def counts(examples):
    parts = examples.parts or [""] * len(examples)
    return dict(Counter(zip(parts, examples.labels, strict=True)))


ACL = {
    **{f"{part}/{label}/{n}.txt": f"{label}\n{n}\n" for part in ("train", "test")
       for label in ("pos", "neg") for n in range(3)},
    "train/unsup/0.txt": "x", "train/urls_pos.txt": "u\n", "train/urls_neg.txt": "u\n",
    "train/labeledBow.feat": "9 0:9\n", "imdb.vocab": "a\n", "README": "about",
}  # fmt: skip


def test_a_folder_for_each_label_in_a_folder_for_each_part(folder):
    path = folder(**ACL)
    found = of(path)
    assert counts(found) == {(part, label): 3 for part in ("train", "test")
                             for label in ("neg", "pos")}  # fmt: skip
    assert (found.items[0], found.files[0]) == ("neg\n0", str(path / "train/neg/0.txt"))
    assert found.notes == [
        f"parts are taken from the names in {path}: train (train), test (test)",
        f"not used in {path}: README, imdb.vocab",
        "each file is one example, with its folder as label: neg 3, pos 3",
        f"not taken for labels in {path / 'train'}: labeledBow.feat, unsup/, urls_neg.txt, "
        "urls_pos.txt (train)",
    ]
    assert counts(of(path / "train")) == {("", "neg"): 3, ("", "pos"): 3}
    assert of(path / "train").format == "documents"


def test_an_empty_file_is_an_empty_example(folder):
    found = of(folder(**{"pos/1": "a", "pos/2": "", "neg/1": "b"}))
    assert found.items == ["b", "a", ""]


def test_files_without_labels_are_read_as_the_run_learned(folder):
    path = folder(**{"b.txt": "x\ny\n", "a.txt": "z\n"})
    found = of(path, labelled=False, learned=Learned("documents"))
    assert (found.items, found.labels) == (["z", "x\ny"], ["", ""])
    assert of(path, labelled=False).labels == ["a", "b", "b"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"rt.pos": 3, "rt.neg": 2, "rt.README.1.0.txt": 1}, {("", "pos"): 3, ("", "neg"): 2}),
        ({"pos.txt": 3, "neg.txt": 2}, {("", "pos"): 3, ("", "neg"): 2}),
        (
            {"x.train.0": 3, "x.train.1": 2, "x.test.0": 1, "x.test.1": 4},
            {("train", "0"): 3, ("train", "1"): 2, ("test", "0"): 1, ("test", "1"): 4},
        ),
        (
            {"train_pos.txt": 3, "train_neg.txt": 2, "dev_pos.txt": 1, "dev_neg.txt": 4},
            {("train", "pos"): 3, ("train", "neg"): 2, ("valid", "pos"): 1, ("valid", "neg"): 4},
        ),
        ({"bus.txt": 2, "train.txt": 3}, {("", "bus"): 2, ("", "train"): 3}),
    ],
)
def test_a_file_for_each_label(folder, files, expected):
    assert counts(of(folder(**files))) == expected


TABLE = "text,label\na,x\nb,y\n"
FAST = "__label__x a\n__label__y b\n"


@pytest.mark.parametrize(
    "files",
    [
        {"train.txt": FAST, "test.txt": FAST},
        {"train.ft.txt": FAST, "test.ft.txt": FAST},
        {"train.csv": TABLE, "test.csv": TABLE},
        {"my_train.csv": TABLE, "my_test.csv": TABLE, "sample_submission.csv": "id\n1\n"},
        {"TRAIN.tsv": TABLE.replace(",", "\t"), "TEST.tsv": TABLE.replace(",", "\t")},
        {"X_TRAIN.ts": "@data\n1:x\n2:y\n", "X_TEST.ts": "@data\n1:x\n2:y\n",
         "X_TRAIN.txt": " 1 2\n", "X_TEST.txt": " 1 2\n", "X_TRAIN.arff": "", "X_TEST.arff": ""},
        {"a-train/x": "1", "a-train/p.x": "1", "a-test/x": "1"},
    ],
)  # fmt: skip
def test_files_that_name_parts(folder, files):
    if "a-train/x" in files:
        files = {f"a-{part}/{label}/{n}": "t" for part in ("train", "test") for label in "xy"
                 for n in range(1)}  # fmt: skip
    found = of(folder(**files))
    assert counts(found) == {(part, label): 1 for part in ("train", "test") for label in "xy"}
    assert found.notes[0].startswith("parts are taken from the names in ")
    assert len(set(found.files)) > 1


def test_three_parts_keep_their_places(folder):
    found = of(folder(**{"dev.csv": TABLE, "test.csv": TABLE, "train.csv": TABLE}))
    assert found.parts == ["train"] * 2 + ["valid"] * 2 + ["test"] * 2
    assert found.rows == [1, 2] * 3


def test_a_small_test_file_is_read_as_the_training_file(folder):
    train = "".join(f"{'xy'[n % 2]} {n * 7919 % 97} q\n" for n in range(40))
    path = folder(**{"train.lines": train, "test.lines": "x a\ny b\nx c\n"})
    settings = ClassifySettings(test_data=str(path / "test.lines"))
    assert counts(read([str(path / "train.lines")], settings))["test", "x"] == 2


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"pos.txt": 2, "neg.txt": 2, "a/1": 1, "b/1": 1}, "holds files LABEL.txt .*and folders"),
        ({"test.txt": 2, "dev.txt": 2}, "name parts of the data and not labels"),
        ({"train.txt": FAST, "training.txt": FAST, "test.txt": FAST}, "more than one of a part"),
        ({"a_train.csv": TABLE, "a_test.csv": TABLE, "b_train.csv": TABLE, "b_test.csv": TABLE},
         "more than one of a part: a_train.csv, b_train.csv"),
        ({"only/1": 1}, "no file LABEL.txt; expected one .*or a folder for each label.*only/"),
        ({"data.csv": TABLE}, "holds one table, data.csv, .*give the table itself, .*/data.csv"),
        ({"train/train/x.txt": 1, "train/test/x.txt": 1, "test/x.txt": 1}, "one label only"),
        ({"train/train.csv": TABLE, "train/test.csv": TABLE, "test/x.txt": 1, "test/y.txt": 1},
         "train holds parts of its own, inside of the train part"),
        ({"x.txt": 2, "y.txt": ""}, "y.txt is empty; put one example on each line"),
    ],
)  # fmt: skip
def test_folders_that_are_not_clear(folder, files, words):
    with pytest.raises(DataError, match=words) as caught:
        of(folder(**files))
    assert "\n" not in str(caught.value)


def test_a_test_without_labels_is_no_test_part(folder):
    path = folder(**{"train.csv": "id,text,target\n1,a,x\n2,b,y\n", "test.csv": "id,text\n3,a\n"})
    with pytest.raises(ArgumentError, match=r"test.csv has columns id, text: .*train.csv alone as"):
        of(path)


def test_parts_can_not_be_said_twice(folder):
    path = folder(**{"train.csv": TABLE, "test.csv": TABLE, "more.csv": TABLE})
    with pytest.raises(ArgumentError, match="neither with a folder of parts"):
        read([str(path)], ClassifySettings(test_data=str(path / "more.csv")))
    with pytest.raises(ArgumentError, match="--test-data must be one part, but names a folder"):
        read([str(path / "more.csv")], ClassifySettings(test_data=str(path)))


def test_parquet_parts(tmp_path):
    frame = pl.DataFrame({"text": ["a", "b"], "label": ["x", "y"]})
    for part in ("train", "test"):
        frame.write_parquet(tmp_path / f"{part}-00000.parquet")
    assert of(tmp_path).parts == ["train", "train", "test", "test"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("train", ("train", "")),
        ("My_TRAIN", ("train", "My")),
        ("dev.ft", ("valid", "ft")),
        ("20news-bydate-test", ("test", "20news_bydate")),
        ("trainer", ("", "trainer")),
        ("a_test_b", ("", "a_test_b")),
        ("train_test", ("", "train_test")),
        ("", ("", "")),
    ],
)
def test_parts_in_names(name, found):
    assert part_in(name) == found
