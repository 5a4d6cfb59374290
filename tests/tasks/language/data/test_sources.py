"""Reading text: every kind of source, and every way in which one can be bad."""

import io

import pytest

from elman.app.main import run as run_elman
from elman.errors import ArgumentError, DataError
from elman.tasks.language.data.corpus import encode, open_corpus
from elman.tasks.language.data.sources import read_bytes, read_text
from elman.tasks.language.data.vocabulary import Vocabulary


def read(*data: str) -> str:
    text = "".join(read_text(list(data)))
    assert text.encode() == b"".join(read_bytes(list(data)))
    return text


def test_files_are_joined_by_a_newline_and_folders_sorted(tmp_path):
    (tmp_path / "b.txt").write_text("two")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "z.txt").write_text("one")
    (tmp_path / ".hidden").write_text("no")
    (tmp_path / "c.txt").write_text("three")
    (tmp_path / "bare-mark.txt").write_bytes(b"\xef\xbb\xbf")
    (tmp_path / "empty.txt").touch()
    assert read(str(tmp_path)) == "one\ntwo\nthree"
    assert read(str(tmp_path / "c.txt"), str(tmp_path / "b.txt")) == "three\ntwo"


def test_a_byte_order_mark_is_not_text(tmp_path):
    path = tmp_path / "bom.txt"
    path.write_bytes(b"\xef\xbb\xbfabc")
    assert read(str(path)) == "abc"
    path.write_bytes("abc\n日本".encode("utf-16"))
    assert "".join(read_text([str(path)])) == "abc\n日本"
    assert b"".join(read_bytes([str(path)])) == path.read_bytes()


def test_standard_input(monkeypatch):
    class Input:
        buffer = io.BytesIO("grün".encode())

    monkeypatch.setattr("sys.stdin", Input())
    assert "".join(read_text(["-"])) == "grün"


def test_the_built_in_text_is_long_and_always_the_same():
    text = read()
    assert len(text) > 100_000
    assert text == read()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"ab\xffcd", r"byte 2 \(line 1\) is not.*or train on its bytes with --level byte"),
        (b"a\0b", r"byte 1 \(line 1\) is zero.*--level byte"),
    ],
)
def test_bad_content_is_named_with_its_place(tmp_path, content, words):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read(str(path))
    assert "bad.txt" in str(caught.value)


def test_bytes_are_counted_in_the_file_where_they_stand(tmp_path):
    good, bad = tmp_path / "a.txt", tmp_path / "b.txt"
    good.write_text("first\nfile")
    bad.write_bytes(b"\xef\xbb\xbfab\ncd\xe9")
    with pytest.raises(DataError, match=r"b\.txt must be UTF-8 text, but byte 8 \(line 2\)"):
        read(str(good), str(bad))


def test_the_advice_of_bytes_leads_to_a_model_that_reads_the_file(tmp_path, capsys):
    """Training and evaluation of a model of bytes take a file that is no UTF-8."""
    path, run = tmp_path / "latin.txt", tmp_path / "run"
    content = "Käse und Brötchen zum Frühstück, sagte Bär.\n".encode("latin-1") * 40
    path.write_bytes(content)
    small = ["--steps=2", "--hidden-size=4", "--batch-size=2", "--sequence-length=8",
             "--backend=reference", "--run", str(run)]  # fmt: skip
    assert run_elman(["train", "language", str(path), *small]) == 1
    assert "--level byte" in capsys.readouterr().err
    assert run_elman(["train", "language", str(path), "--level", "byte", *small]) == 0
    assert run_elman(["evaluate", str(run), str(path)]) == 0
    assert f"{len(content) - 1:,}" in capsys.readouterr().out


def test_bytes_that_are_no_utf8_survive_on_the_way_to_tokens():
    vocabulary = Vocabulary("byte")
    text = bytes(range(256)).decode("utf-8", errors="surrogateescape")
    assert vocabulary.encode(text).tolist() == list(range(256))
    with pytest.raises(ArgumentError, match=r"half of one \(U\+D800\) as character 1"):
        vocabulary.encode("a\ud800")
    with pytest.raises(ArgumentError, match="text must be a str, got list"):
        vocabulary.encode(["a"])


@pytest.mark.parametrize("level", ["char", "byte"])
def test_a_fingerprint_is_that_of_the_text(tmp_path, level):
    """A mark at the start of a file, and pieces it is read in, are no part of it."""
    plain, marked = tmp_path / "plain.txt", tmp_path / "marked.txt"
    plain.write_text("grün\n")
    marked.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())
    vocabulary, print_of_plain = encode([str(plain)], level, tmp_path)
    assert encode([str(marked)], level, tmp_path)[1] == print_of_plain
    tokens = open_corpus(tmp_path, vocabulary, print_of_plain).tokens
    assert vocabulary.decode(tokens) == "grün\n"


def test_missing_files_and_empty_folders(tmp_path):
    with pytest.raises(DataError, match=r"no file or folder .*nowhere"):
        read(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="no file or folder Call me Ishmael"):
        read("Call me Ishmael.\n" * 1000)
    with pytest.raises(DataError, match="holds no text"):
        read(str(tmp_path))
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DataError, match="holds no text"):
        read(str(tmp_path))
