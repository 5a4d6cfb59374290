"""Reading examples: every kind of source, and every way in which one can be bad."""

import io
import unicodedata

import numpy as np
import pytest

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.builtin import country_and_language_names
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.sources import prepared, read, read_source

TS = "@problemName x\n@classLabel true a b\n@data\n1,2,3:4,5,6:a\n1,2:3,4:b\n"


def of(source, labelled=True, **settings):
    return read_source(str(source), ClassifySettings(**settings), labelled)


def pairs(examples):
    return list(zip(examples.items, examples.labels, strict=True))


@pytest.fixture
def file(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_a_folder_of_labels(names_folder):
    (names_folder / "Ab.txt").write_bytes("\ufeff  Zoë \r\nBo\u2028b\n\n x y".encode())
    (names_folder / ".hidden.txt").write_text("no")
    found = of(names_folder)
    assert pairs(found)[:3] == [("Zoë", "Ab"), ("Bo\u2028b", "Ab"), ("x y", "Ab")]
    assert set(found.labels) == {"Ab", "Cd", "Éf"}


@pytest.mark.parametrize(
    ("name", "content", "settings"),
    [
        ("a.csv", 'text,label\n"a, ""b""",x\n c ,y\n', {}),
        ("a.csv", 'Class,id,Name\nx,1,"a, ""b"""\ny,2,c\n', {}),
        ("a.tsv", 'x\ta, "b"\ny\tc\n', {"header": False, "label_column": "1", "text_column": "2"}),
        ("a.jsonl", '{"text": "a, \\"b\\"", "label": "x"}\n\n{"label": "y", "text": "c"}\n', {}),
        ("noname", 'l;x\nx\t"\n', None),
    ],
)
def test_tables(file, name, content, settings):
    if settings is None:
        with pytest.raises(DataError, match=r"can't tell the format.*--data-format csv"):
            of(file(name, content))
        return
    assert pairs(of(file(name, content), **settings)) == [('a, "b"', "x"), ("c", "y")]


def test_numbers_in_a_table_stay_as_they_are_written(file):
    found = of(file("a.csv", "text,label\n007,1\n1e3,2.50\n"))
    assert pairs(found) == [("007", "1"), ("1e3", "2.50")]
    found = of(file("a.jsonl", '{"text": 7, "label": true}\n{"text": "\\ud800", "label": null}\n'),
               labelled=False)  # fmt: skip
    assert pairs(found) == [("7", "true"), ("?", "")]


def test_a_column_that_says_the_part(file):
    path = file("a.csv", "text,label,fold\na,x,train\nb,y,DEV\nc,x,test\n")
    assert of(path, split_column="fold").parts == ["train", "valid", "test"]
    path = file("a.csv", "text,label,fold\na,x,3\n")
    with pytest.raises(
        DataError, match=r"row 1: column 'fold' must say train, valid, test, got '3"
    ):
        of(path, split_column="fold")
    with pytest.raises(ArgumentError, match=r"no column 'part' \(--split-column\)"):
        of(path, split_column="part")


def test_signals(file):
    found = of(file("a.ts", "# x\n\n" + TS))
    assert found.channels == 2
    assert found.labels == ["a", "b"]
    np.testing.assert_array_equal(found.items[0], [[1, 4], [2, 5], [3, 6]])
    assert found.items[1].shape == (2, 2)
    assert found.items[0].dtype == np.float32
    bare = TS.replace("true a b", "false").replace(":a", "").replace(":b", "")
    assert of(file("b.ts", bare), labelled=False).labels == ["", ""]
    with pytest.raises(DataError, match="@classLabel false"):
        of(file("b.ts", bare))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "text,label\na,x\nb\n", "line 3: expected 2 fields as in the first line, got 1"),
        ("a.csv", "text,label\na,x\nb,y,z\n", "line 3: expected 2 fields.*got 3"),
        ("a.csv", 'text,label\n"a\nb",x\nb,y,z\n', "line 4: expected 2 fields"),
        ("a.csv", "text,label\na,\n", "row 1: the label .column 'label'. is empty"),
        ("a.csv", "", "is empty"),
        ("a.csv", "text,label\n", "a header but no rows"),
        ("a.csv", b"text,label\n\xe9,x\n", "utf-8 text, but byte 11 is not.*--encoding latin-1"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\0", "byte 0 is not"),
        ("a.csv", b"text,label\na\0b,x\n", "zero byte, as binary files do"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": \n', "line 2: expected JSON"),
        ("a.jsonl", '["a", "x"]\n', r"line 1: expected a JSON object such as .*got list"),
        ("a.jsonl", "[" * 100_000, "line 1: expected JSON"),
        ("a.ts", TS.replace("2,3:4", "two,3:4"), "line 4, channel 1: .*numbers.*got 'two'"),
        ("a.ts", TS.replace("2,3:4", "?,3:4"), "line 4, channel 1: .*got a missing value"),
        ("a.ts", TS.replace("2,3:4", "NaN,3:4"), "line 4, channel 1: .*finite.*NaN as value 2"),
        ("a.ts", TS.replace("2,3:4", "2:4"), "line 4: .*equally long, got lengths 2, 3"),
        ("a.ts", TS.replace(":3,4", ""), "line 5: expected 2 channels .*, got 1"),
        ("a.ts", TS.replace(":b", ":"), "line 5: expected a label after the last colon"),
        ("a.ts", "1,2:a\n", "line 1: expected a line that begins with @ or #.*is it a .ts file"),
        ("a.ts", "@problemName x\n", "no @data line"),
        ("a.ts", "@data\n", "no example after its @data line"),
        ("a.ts", "@timeStamps true\n@data\n", "line 1: signals with time stamps"),
        ("a.ts", "@targetLabel true\n@data\n", "line 1: @targetLabel marks a regression"),
        ("a.ts", "", "no @data line"),
    ],
)  # fmt: skip
def test_bad_content_is_named_with_its_place(file, name, content, words):
    with pytest.raises(DataError, match=words) as caught:
        of(file(name, content))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"text_column": "txt"}, r"no column 'txt' \(--text-column\); it has a, b, label"),
        ({"label_column": "lab"}, r"no column 'lab' \(--label-column\); it has a, b, label"),
        ({}, "has columns a, b, label: say with --text-column which one holds the text"),
        ({"text_column": "a", "encoding": "utf8000"}, "one that Python knows.*got 'utf8000'"),
        ({"text_column": "a", "encoding": "hex"}, "one that Python knows.*got 'hex'"),
    ],
)
def test_wrong_columns_and_encodings(file, settings, words):
    with pytest.raises(ArgumentError, match=words):
        of(file("a.csv", "a,b,label\nx,y,z\n"), **settings)


def test_another_encoding(file):
    path = file("a.csv", "text,label\né,x\n".encode("latin-1"))
    assert of(path, encoding="latin-1").items == ["é"]
    with pytest.raises(DataError, match="must be utf-16 text"):
        of(path, encoding="utf-16")


def test_bad_folders(tmp_path, file):
    with pytest.raises(DataError, match=r"holds no file LABEL\.txt"):
        of(tmp_path)
    file("One.txt", "a\n")
    with pytest.raises(DataError, match="one label only, 'One'"):
        of(tmp_path)
    file("Two.txt", " \n")
    with pytest.raises(DataError, match=r"Two.txt is empty"):
        of(tmp_path)
    with pytest.raises(DataError, match="no file or folder"):
        of(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is no folder"):
        of(tmp_path / "One.txt", data_format="folder")


def test_several_sources_and_two_ways_to_divide_are_refused(file):
    path = str(file("a.csv", "text,label,part\na,x,train\nb,y,test\n"))
    with pytest.raises(ArgumentError, match=r"one file or folder, got 2.*--test-data"):
        read([path, path], ClassifySettings())
    with pytest.raises(ArgumentError, match="--split-column, or --test-data and --valid-data"):
        read([path], ClassifySettings(split_column="part", test_data=path))


def test_standard_input(monkeypatch):
    class Input:
        buffer = io.BytesIO("grün\n Zoë \n\n".encode())

    monkeypatch.setattr("sys.stdin", Input())
    assert of("-", labelled=False).items == ["grün", "Zoë", ""]


def test_plain_ascii_and_composed_form():
    assert prepared(" Ślusàrski 1\u00a0", ascii_only=True) == "Slusarski 1"
    assert prepared("日本", ascii_only=True) == ""
    decomposed = unicodedata.normalize("NFD", "é")
    assert prepared(decomposed, ascii_only=False) == "é"


def test_the_built_in_names_are_many_and_always_the_same():
    found = country_and_language_names()
    assert len(set(found.labels)) == 35
    assert len(found) == len(set(found.items)) > 10_000
    assert pairs(found) == pairs(country_and_language_names())
    assert ("Frankreich", "German") in pairs(found)
