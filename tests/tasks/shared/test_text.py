"""Reading text: encodings, positions, and advice that leads somewhere."""

import gzip
import io
import lzma
import pickle
import re
import shutil
import subprocess
import zipfile

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import ArgumentError, DataError
from elman.tasks.shared import text
from elman.tasks.shared.text import label_of, line_ends, lines_of, read_bytes, read_text

WORDS = "Straße, naïve\r\nzweite Zeile – 日本\n"


def read(path, encoding=None, **options):
    return "".join(read_text(str(path), encoding, **options))


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "file.txt"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("asked", [None, "utf-8", "latin-1"])
def test_a_byte_order_mark_decides(file, encoding, asked):
    assert read(file(WORDS.encode(encoding)), asked) == WORDS


def test_both_orders_of_bytes_and_a_mark_that_stands_twice(file):
    assert read(file(b"\xfe\xff" + WORDS.encode("utf-16-be"))) == WORDS
    assert read(file(b"\0\0\xfe\xff" + WORDS.encode("utf-32-be"))) == WORDS
    assert read(file(b"\xef\xbb\xbf" * 2 + WORDS.encode())) == WORDS
    assert read(file(b"\xff\xfe")) == ""


@given(
    content=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    size=st.integers(4, 9),
)
def test_any_text_survives_any_size_of_pieces(tmp_path_factory, content, encoding, size):
    path = tmp_path_factory.mktemp("text") / "file.txt"
    path.write_bytes(content.encode(encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "CHUNK", size)
        assert read(path) == content


@given(
    before=st.lists(st.sampled_from(["a", "é", "日", "\n", "\r", "\r\n"]), max_size=30).map(
        "".join
    ),
    marked=st.booleans(),
    size=st.integers(3, 8),
)
def test_a_wrong_byte_is_found_where_it_stands(tmp_path_factory, before, marked, size):
    """The position is the index in the file, and the line what an editor shows."""
    content = (b"\xef\xbb\xbf" if marked else b"") + before.encode()
    path = tmp_path_factory.mktemp("text") / "file.txt"
    path.write_bytes(content + b"\xff tail")
    line = len(re.split("\r\n|\r|\n", before))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "CHUNK", size)
        with pytest.raises(DataError, match=rf"but byte {len(content)} \(line {line}\) is not"):
            read(path)


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        (WORDS.replace("日本", "").encode("cp1252"), None),
        ("\u0081 é".encode("latin-1"), None),
        (WORDS.encode("utf-16-le"), None),
        (WORDS.encode("utf-16-be"), None),
        (WORDS.encode(), "utf-16"),
        (WORDS.encode(), "ascii"),
        ("\u0081 é".encode("latin-1"), "windows-1252"),
        (WORDS.encode("utf-16-le")[:-1], "utf-8"),
    ],
)
def test_the_advice_leads_to_text(file, content, asked):
    """Whoever names the encoding as told, or converts the file as told, can read it."""
    path = file(content)
    with pytest.raises(DataError) as caught:
        read(path, asked or "utf-8")
    told = re.search(r"--encoding (\S+)", str(caught.value))[1]
    if len(content) % 2 == 0 or "16" not in told:
        assert read(path, told) == content.decode(told)
    if asked is None:
        with pytest.raises(DataError) as caught:
            read(path)
        command = re.search(r"iconv -f (\S+) -t (\S+) OLD > NEW", str(caught.value))
        assert command[1] == told
        if shutil.which("iconv"):
            done = subprocess.run(
                ["iconv", "-f", command[1], "-t", command[2], str(path)],
                capture_output=True, check=True,
            )  # fmt: skip
            assert read(file(done.stdout)) == content.decode(told)


@pytest.mark.parametrize(
    ("content", "encoding"),
    [("你好，世界", "gbk"), ("日本語の文章", "shift_jis"), ("Добрый день", "windows-1251")],
)
def test_no_western_encoding_is_guessed_for_other_scripts(file, content, encoding):
    path = file(content.encode(encoding))
    with pytest.raises(DataError, match=rf"--encoding ENCODING \(often .*{encoding}"):
        read(path, "utf-8")
    with pytest.raises(DataError, match=rf"iconv -f ENCODING -t utf-8.*{encoding}"):
        read(path)
    assert read(path, encoding) == content


def test_one_wrong_byte_among_good_ones_is_no_other_encoding(file):
    for content in ("é\n".encode() + b"caf\xe9\n", b"\xef\xbb\xbfcaf\xe9\n"):
        with pytest.raises(DataError, match="text before it is UTF-8, so correct or leave out"):
            read(file(content), "utf-8")


def test_two_bytes_are_not_read_as_one_character_in_silence(file):
    with pytest.raises(DataError, match=r"UTF-16 text, but has no zero byte.*--encoding utf-8"):
        read(file(b"text,label\nab,x\n"), "utf-16")


@pytest.mark.parametrize("encoding", ["utf8000", "hex", "rot13", "a\0b", ""])
def test_what_is_no_encoding_is_refused(file, encoding):
    path = file(b"a")
    if encoding == "":  # as None, the default
        assert read(path, encoding) == "a"
        return
    with pytest.raises(ArgumentError, match="one that Python knows"):
        read(path, encoding)


def zipped(*names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, "application/vnd.oasis.opendocument.spreadsheet")
    return content.getvalue()


def saved(write):
    content = io.BytesIO()
    write(content)
    return content.getvalue()


FRAME = pl.DataFrame({"a": [1]})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(b"a", mtime=0), "a gzip archive; unpack it with gunzip"),
        (lzma.compress(b"a"), "an xz archive; unpack it with unxz"),
        (zipped("data.csv"), "OpenDocument sheet"),
        (zipped("[Content_Types].xml", "xl/workbook.xml").replace(b"vnd.oasis", b"vnd.other"),
         "Excel workbook .*save it as CSV"),
        (zipped("a").replace(b"vnd.oasis", b"vnd.other"), "a Zip archive; unpack it with unzip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "old Excel"),
        (saved(FRAME.write_parquet), "a Parquet file; .*read_parquet"),
        (saved(FRAME.write_ipc), "an Arrow file; .*read_ipc"),
        (saved(lambda file: np.save(file, np.zeros(3))), "a NumPy array"),
        (saved(lambda file: np.savez(file, np.zeros(3))), "a NumPy archive"),
        (pickle.dumps(["a"]), "a Python pickle"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer.*git lfs pull"),
    ],
    # Archives hold the time of day: as names of tests they would differ between two processes.
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_a_file_is_by_its_first_bytes(file, content, words):
    for encoding in (None, "latin-1", "utf-16"):
        with pytest.raises(DataError, match=words):
            read(file(content), encoding)


@pytest.mark.parametrize("content", ["ORC and BZh", "PK", "GIFs", "Objective", "PAR", "%PD", "€"])
def test_text_is_not_taken_for_another_format(file, content):
    assert read(file(content.encode())) == content


def test_zero_bytes_are_named_with_their_place(file):
    with pytest.raises(DataError, match=r"byte 8 \(line 3\) is zero, as in binary files"):
        read(file(b"one\r\ntw\n\0" + b"tail" * 20))
    with pytest.raises(DataError, match="zero character in line 2"):
        read(file("one\na\0b".encode("utf-16")))


def test_what_is_no_file(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="is a folder; a file was expected"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"no file .*nowhere; give a path"):
        read(tmp_path / "nowhere")

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "secret"
    path.touch()
    monkeypatch.setattr("builtins.open", refused)
    with pytest.raises(DataError, match=r"can't read .*secret: Permission denied; make it"):
        list(read_bytes(str(path)))


def test_a_source_is_called_by_one_short_line():
    assert label_of("-") == "standard input"
    assert label_of("a\nb") == r"a\nb"
    assert len(label_of("long " * 1000)) == 300


@given(st.lists(st.sampled_from(["a", "\n", "\r", "\u2028", "\x0b", "\x85"])).map("".join))
def test_lines_end_where_files_end_them(content):
    assert "".join(lines_of(content)) == content
    assert line_ends(content) == len(re.findall("\r\n|\r|\n", content))
    assert len(list(lines_of(content))) == len(io.StringIO(content, newline="").readlines())
