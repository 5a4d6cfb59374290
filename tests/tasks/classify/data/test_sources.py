"""Reading examples: every kind of source, and every way in which one can be bad."""

import gzip
import io
import json
import os
import unicodedata

import numpy as np
import polars as pl
import pytest

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.data.builtin import country_and_language_names
from elman.tasks.classify.data.examples import cleaned
from elman.tasks.classify.data.sources import prepared, read, read_source
from elman.tasks.classify.settings import ClassifySettings

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
    assert pairs(found)[:4] == [("Zoë", "Ab"), ("Bo\u2028b", "Ab"), ("", "Ab"), ("x y", "Ab")]
    assert found.files[:4] == [str(names_folder / "Ab.txt")] * 4
    assert (found.rows[:5], found.files[4]) == ([1, 2, 3, 4, 1], str(names_folder / "Cd.txt"))
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
    assert pairs(found) == [("7", "true"), ("\ufffd", "")]
    assert "halves of characters" in found.notes[0]


def test_rows_without_content_keep_their_places(file):
    path = file("a.csv", "id,text,label\n1,a,x\n\n,,\n2,b,y\n,,,,\n")
    found = of(path)
    assert (found.items, found.rows) == (["a", "", "b"], [1, 2, 3])
    assert found.notes[0] == "rows without content left out: 1"  # of another width: no row
    assert cleaned(found).reasons == ["", "empty", ""]
    assert pl.read_csv(path, truncate_ragged_lines=True)["text"].to_list()[:2] != ["a", "b"]
    path = file("b.csv", 'text\na\n""\n\nb\n')
    assert of(path, labelled=False).items == ["a", "", "b"]


def test_other_columns_are_handed_on_as_they_are_written(file):
    path = file(
        "a.jsonl", '{"text": "a", "id": 7, "tags": ["u", 1]}\n{"text": "b", "day": " x "}\n'
    )
    found = read_source(str(path), ClassifySettings(), False, keep=["id", "day"])
    assert found.columns == {"id": ["7", ""], "day": ["", " x "]}
    found = read_source(str(path), ClassifySettings(), False, keep=["day", "all"])
    assert list(found.columns) == ["day", "id", "tags"]
    assert found.columns["tags"] == ['["u", 1]', ""]
    with pytest.raises(ArgumentError, match=r"no column 'dai' \(a column to keep\); did you mean"):
        read_source(str(path), ClassifySettings(), False, keep=["dai"])
    with pytest.raises(ArgumentError, match="is no table, so it has no column 'id'; give a table"):
        read_source(str(file("a.txt", "a\nb\n")), ClassifySettings(), False, keep=["id"])


def test_a_column_that_says_the_part(file):
    path = file("a.csv", "text,label,fold\na,x,train\nb,y,DEV\nc,x,test\n")
    assert of(path, split_column="fold").parts == ["train", "valid", "test"]
    path = file("a.csv", "text,label,fold\na,x,3\n")
    with pytest.raises(
        DataError, match=r"line 2: column 'fold' must say train, valid, test, got '3"
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
    assert found.items[0].dtype == np.float64
    assert found.notes == []
    bare = TS.replace("true a b", "false").replace(":a", "").replace(":b", "")
    assert of(file("b.ts", bare), labelled=False).labels == ["", ""]
    with pytest.raises(DataError, match="@classLabel false"):
        of(file("b.ts", bare))


def test_labels_that_a_signal_file_does_not_list_are_noted(file):
    found = of(file("a.ts", TS.replace(":b", ":c") + "5:6:d\n7:8:c\n"))
    assert found.notes == ["labels that @classLabel does not list: 'c', 'd', of 3 examples"]
    for header in ("true", "true a b d", "\ttrue\ta b"):
        assert of(file("a.ts", TS.replace("true a b", header))).notes == []


def test_signals_on_a_large_offset_are_no_repeats(file):
    lines = "".join(f"1700000000.{n},1700000001.{n}:{'ab'[n % 2]}\n" for n in range(10, 60))
    path = str(file("a.ts", "@data\n" + lines))
    found = read([path], ClassifySettings())
    assert (len(cleaned(found).examples), found.notes) == (50, [])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "text,label\na,x\nb\n", "line 3: expected 2 fields.*got 1; add"),
        ("a.csv", "text,label\na,x\nb,y,z\n", "line 3: expected 2 fields.*got 3"),
        ("a.csv", 'text,label\n"a\nb",x\nb,y,z\n', "line 4: expected 2 fields"),
        ("a.csv", "text,label\na,\n", "line 2: the label .column 'label'. is empty"),
        ("a.csv", "", "is empty"),
        ("a.csv", "text,label\n", "a header but no rows"),
        ("a.csv", b"text,label\n\xe9,x\n", r"but byte 11 \(line 2\).*--encoding windows-1252"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\0", "is a PNG picture"),
        ("a.csv", b"text,label\na\0b,x\n", r"byte 12 \(line 2\) is zero, as in binary files"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": \n', "line 2: expected JSON"),
        ("a.jsonl", '["a", "x"]\n', r"line 1: expected a JSON object such as .*got list"),
        ("a.jsonl", "[" * 100_000, "line 1: expected JSON"),
        ("a.ts", TS.replace("2,3:4", "two,3:4"), "line 4, channel 1: .*numbers.*got 'two'"),
        ("a.ts", TS.replace("2,3:4", "inf,3:4"), "line 4, channel 1: .*finite.*inf as value 2"),
        ("a.ts", TS.replace("2,3:4", "-1e999,3:4"), "of at most 1.8e308, got -1e999 as value 2"),
        ("a.ts", TS + TS, "line 6: expected an example after @data, got '@prob.*files were joined"),
        ("a.ts", "@timeStamps\ttrue\n@data\n", "line 1: signals with time stamps"),
        ("a.ts", TS.replace("2,3:4", "2:4"), "line 4: .*equally long, got lengths 2, 3"),
        ("a.ts", TS.replace(":3,4", ""), "line 5: expected 2 channels .*, got 1"),
        ("a.ts", TS.replace(":b", ":"), "line 5: expected a label after the last colon"),
        ("a.ts", "1,2:a\n", "line 1: expected a line that begins with @ or #.*is it a .ts file"),
        ("a.ts", "@problemName x\n", "no @data line"),
        ("a.ts", "@data\n", "no example after its @data line"),
        ("a.ts", "@timeStamps true\n@data\n", "line 1: signals with time stamps"),
        ("a.ts", "@targetLabel false\n@data\n1:2\n", "says @targetLabel false"),
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
        (
            {"label_column": "lab"},
            r"no column 'lab' \(--label-column\); did you mean 'label'. it has a, b, label",
        ),
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
    with pytest.raises(DataError, match=r"must be UTF-16 text.*--encoding windows-1252"):
        of(path, encoding="utf-16")


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        (",text,label\n0,a,x\n1,b,y\n", {}),
        (",Unnamed: 0,text,label\n7,0,a,x\n3,1,b,y\n", {}),
        ('"","text","label"\n"1","a","x"\n"2","b","y"\n', {}),
        ('"text"\t"label"\n"1"\t"a"\t"x"\n"2"\t"b"\t"y"\n', {}),
        ("text;label;;;\r\na;x;;;\r\nb;y;;;\r\n", {}),
        ("label,text\n x ,a\ny ,b\n", {}),
        ("v1,v2,,\nx,a,,\ny,b,,\n", {"label_column": "v1", "text_column": "v2"}),
        ("text,text,label\na,c,x\nb,d,y\n", {"text_column": "text"}),
        ("text,text,label\nc,a,x\nd,b,y\n", {"text_column": "text.1"}),
    ],
)
def test_columns_without_a_name_are_no_text_and_no_label(file, content, settings):
    found = of(file("a.csv", content), **settings)
    assert pairs(found) == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize("name", ["X", "id", "...1", "Unnamed: 0"])
def test_numbers_of_rows_are_no_text(file, name):
    found = of(file("a.csv", f"{name},words,label\n1,a,x\n2,b,y\n3,c,y\n"))
    assert pairs(found) == [("a", "x"), ("b", "y"), ("c", "y")]
    assert f"not used: '{name}'" in found.notes[0]
    with pytest.raises(ArgumentError, match="say with --text-column"):
        of(file("b.csv", f"{name},label\n1,x\n2,y\n3,y\n"))
    found = of(file("b.csv", f"{name},label\n1,x\n2,y\n3,y\n"), text_column=name)
    assert found.items == ["1", "2", "3"]


def test_what_was_left_out_or_may_be_missing_is_noted(file):
    found = of(file("a.csv", "id,text,label,day\n1,a,x,\n2,b,NaN,\n,,,\n"))
    assert found.notes == [
        "texts are taken from column 'text' and labels from 'label'; not used: 'id', 'day'",
        "'NaN' is a label like all others (rows: 1); leave them out if it stands for a missing one",
    ]
    found = read([str(file("a.csv", "text,label\na,x\nb,y\nc,Y\n"))], ClassifySettings())
    assert found.notes == [
        "labels that differ only in capital letters, spaces, unseen characters, or in how a letter "
        "or number is written, are different labels: 'Y', 'y'"
    ]
    assert of(file("a.csv", "text,label\na,x\nb,y\n")).notes == []


def test_one_label_in_two_forms_of_unicode_is_one(file):
    decomposed = unicodedata.normalize("NFD", "é")
    assert set(of(file("a.csv", f"text,label\na,é\nb,{decomposed}\n")).labels) == {"é"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("text,text,label\na,b,x\n", "several columns named 'text': say with --text-column"),
        ("text,label,label\na,x,y\n", "several columns named 'label': say with --label-column"),
        ("text\na\nb\n", "has one column, text: expected one of texts and one of labels"),
        ("# mine, 2024\ntext,label\na,x\n", "or remove the first line if it is a comment"),
        ("so good,pos\nso bad,neg\n", "with --no-header if the first line names no columns"),
    ],
)
def test_unclear_columns(file, content, words):
    with pytest.raises(ArgumentError, match=words):
        of(file("a.csv", content))


def test_a_first_line_that_is_an_example_is_no_header(file):
    path = file("a.csv", "so good,y\nso bad,n\nfine,y\n")
    with pytest.raises(
        DataError, match="--no-header --label-column 2 --text-column 1, or --label-"
    ):
        of(path)
    found = of(path, header=False, label_column="2", text_column="1")
    assert pairs(found) == [("so good", "y"), ("so bad", "n"), ("fine", "y")]
    assert len(of(path, label_column="y")) == 2
    assert len(of(file("b.csv", "text,y\na,y\nb,n\n"))) == 2


def test_files_that_were_put_behind_each_other_are_named(file):
    path = file("a.csv", "text,label\na,x\ntext,label\nb,y\n")
    with pytest.raises(DataError, match="line 3: expected an example, got the names of the colum"):
        of(path)


@pytest.mark.parametrize("separator", ";|\t,")
def test_separators_are_known_whatever_the_name_says(file, separator):
    rows = [("text", "label"), ("a b", "x"), ("c", "y"), ("d", "x")]
    path = file("a.csv", "".join(f"{text}{separator}{label}\n" for text, label in rows))
    assert pairs(of(path)) == rows[1:]
    if separator != ",":
        rows = [("so, so, la", "x"), ("c", "y"), ("d, e", "x")]
        path = file("b.csv", "".join(f"{text}{separator}{label}\n" for text, label in rows))
        assert pairs(of(path, header=False, label_column="2")) == rows


def test_the_advice_on_a_table_without_a_header_leads_to_examples(file):
    path = file("a.csv", "so good,pos\nso bad,neg\n")
    with pytest.raises(ArgumentError, match="1, 2: say with --label-column"):
        of(path, header=False)
    found = of(path, header=False, label_column="2")
    assert pairs(found) == [("so good", "pos"), ("so bad", "neg")]
    with pytest.raises(ArgumentError, match="'2' can't be both the text and the label"):
        of(path, header=False, label_column="2", text_column="2")


JSON = '{"text": "a", "label": "x"}\n'


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("\ufeff" + JSON, [("a", "x")]),
        (JSON + '\n{"text": 1.50, "label": 2}', [("a", "x"), ("1.50", "2")]),
        (JSON + '{"text": 1e400, "label": 9007199254740993}\r\n',
         [("a", "x"), ("1e400", "9007199254740993")]),
        (JSON + '{"text": NaN, "label": "x"}', [("a", "x"), ("", "x")]),
        ('{"text": "a", "label": "x", "meta": {"b": [1]}}', [("a", "x")]),
    ],
)  # fmt: skip
def test_json_lines(file, content, expected):
    assert pairs(of(file("a.jsonl", content))) == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (JSON + '{"text": "a", "label": NaN}', r"line 2: the label \(column 'label'\) is empty"),
        (JSON + '\n{"text": "a"}', r"line 3: the label \(column 'label'\) is empty"),
        (JSON + '{"text": "a", "label": {"x": 1}}', "line 2: 'label' must be one label or a list"),
        (JSON + '{"text": {"b": 1}, "label": "x"}', "line 2: 'text' must be text or a number"),
        (
            JSON + '{"text": "a", "text": "b", "label": "x"}',
            "line 2: key 'text' stands there twice",
        ),
        ('[{"text": "a", "label": "x"}]', r"line 1: .*one JSON document; .*jq -c '\.\[\]'"),
        ('[\n {"text": "a",\n "label": "x"}]', r"line 1: .*one JSON document; .*jq -c '\.\[\]'"),
        ('{\n "text": "a"\n}', r"line 1: .*one JSON document; .*jq -c '\.'"),
        (JSON + "{'text': 'a'}", "line 2: expected JSON, got .*one object a line"),
        ("\n \n", "is empty"),
    ],
)
def test_bad_json_lines(file, content, words):
    with pytest.raises(DataError, match=words) as caught:
        of(file("a.jsonl", content))
    assert "\n" not in str(caught.value)


def test_the_advice_on_a_json_document_leads_to_examples(file):
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
    with pytest.raises(DataError, match="write one object a line"):
        of(file("a.jsonl", json.dumps(rows, indent=2)))
    path = file("a.jsonl", "\n".join(map(json.dumps, rows)))
    assert pairs(of(path)) == [("a", "x"), ("b", "y")]


def test_parquet_is_read_whatever_its_name(file, tmp_path):
    frame = pl.DataFrame({"text": ["a", "b"], "label": [True, False], "tags": [["u"], ["v"]]})
    for name in ("a.parquet", "a.csv"):
        frame.write_parquet(tmp_path / name)
        assert pairs(of(tmp_path / name)) == [("a", "true"), ("b", "false")]
    found = of(tmp_path / "a.parquet", label_column="tags")
    assert (found.labels, found.target) == (['["u"]', '["v"]'], "labels")
    with pytest.raises(DataError, match="row 1: 'tags' must be text or a number"):
        of(tmp_path / "a.parquet", text_column="tags", label_column="label")
    with pytest.raises(DataError, match=r"must be a Parquet file.*can't be read"):
        of(file("b.parquet", b"PAR1 nothing"))
    frame.clear().write_parquet(tmp_path / "c.parquet")
    with pytest.raises(DataError, match="holds no rows"):
        of(tmp_path / "c.parquet")


def test_parquet_columns_that_nobody_reads_may_be_of_any_type(tmp_path):
    days = pl.Series([10**9, 0], dtype=pl.Int32)
    odd = {
        "bytes": pl.Series([b"\xff", b"b"]),
        "length": pl.Series([1, 2]).cast(pl.Duration("us")),
        "day": days.cast(pl.Date),
        **{unit: pl.Series([2**62, None]).cast(pl.Datetime(unit)) for unit in ("ms", "us")},
        "nothing": pl.Series([None, None]),
    }
    frame = pl.DataFrame({"text": ["a", "b"], "label": ["x", "y"], **odd})
    frame.write_parquet(tmp_path / "a.parquet")
    found = of(tmp_path / "a.parquet")
    assert pairs(found) == [("a", "x"), ("b", "y")]
    assert found.notes[0].endswith(f"not used: {', '.join(map(repr, odd))}")
    for column, words in (
        ("bytes", "column 'bytes' must hold text or numbers, got values of type Binary"),
        ("length", "column 'length' must hold text or numbers, got values of type Duration"),
        ("day", "row 1: 'day' must hold dates of the years 1 to 9999"),
        ("ms", "row 1: 'ms' must hold dates of the years 1 to 9999"),
        ("us", "row 1: 'us' must hold dates of the years 1 to 9999"),
    ):
        with pytest.raises(DataError, match=words):
            of(tmp_path / "a.parquet", text_column=column)
    frame = pl.DataFrame({"text": pl.Series([-1, 2**61]).cast(pl.Datetime("ns")), "label": [1, 2]})
    frame.write_parquet(tmp_path / "b.parquet")
    assert of(tmp_path / "b.parquet").items[0] == "1969-12-31 23:59:59.999999999"


def test_other_formats_are_named_whatever_the_name(file):
    for name in ("a.csv", "a.xlsx", "a.jsonl", "a.ts"):
        with pytest.raises(DataError, match="is a gzip archive; unpack it with gunzip"):
            of(file(name, gzip.compress(b"text,label\na,x\n")))


def test_a_pipe_is_read_once(file):
    """What a shell's <(...) gives: the first bytes must not get lost in a look at them."""
    reading, writing = os.pipe()
    os.write(writing, b"text,label\na,x\nb,y\n")
    os.close(writing)
    try:
        found = of(f"/dev/fd/{reading}", data_format="csv")
    finally:
        os.close(reading)
    assert pairs(found) == [("a", "x"), ("b", "y")]


def test_folders_as_people_have_them(tmp_path):
    for name, content in {
        "Pos.TXT": "a\n", "U.S.A .txt": "b\n", "utf16.txt": "c\n".encode("utf-16"),
        "README.txt": "about\n", "notes.md": "x", ".DS_Store": b"\0", "._Pos.TXT": b"\0",
    }.items():  # fmt: skip
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
    (tmp_path / "more").mkdir()
    found = of(tmp_path)
    assert pairs(found) == [("a", "Pos"), ("b", "U.S.A"), ("c", "utf16")]
    assert found.notes == [f"not taken for labels in {tmp_path}: README.txt, more/, notes.md"]
    (tmp_path / "utf16.txt").write_bytes(b"\xef\xbb\xbfc\n\xe9\n")
    with pytest.raises(DataError, match=r"utf16\.txt must be UTF-8 text, but byte 5 \(line 2\)"):
        of(tmp_path)


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    for name in ("Ab.txt", "Cd.txt"):
        (tmp_path / name).write_text("a\n")
    (tmp_path / "more").symlink_to(tmp_path / "gone")
    assert of(tmp_path).notes == [f"not taken for labels in {tmp_path}: more"]
    (tmp_path / "Ef.txt").symlink_to(tmp_path / "gone.txt")
    with pytest.raises(DataError, match=r"links that lead nowhere: Ef\.txt; restore"):
        of(tmp_path)


def test_folders_that_hold_no_labels(tmp_path):
    (tmp_path / "pos").mkdir()
    (tmp_path / "data.csv").touch()
    with pytest.raises(DataError, match=r"holds one table, data\.csv, .*give the table itself"):
        of(tmp_path)
    for name in ("dev.txt", "test.txt"):
        (tmp_path / name).write_text("a\n")
    with pytest.raises(DataError, match=r"dev\.txt, test\.txt, which name parts of the data"):
        of(tmp_path)


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
