"""Reading text: every kind of source, and every way in which one can be bad."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import DataError
from elman.tasks.language import sources
from elman.tasks.language.sources import decode_chunks, read_chunks


def read(*data: str) -> str:
    return "".join(decode_chunks(read_chunks(list(data))))


def test_files_are_joined_by_a_newline_and_folders_sorted(tmp_path):
    (tmp_path / "b.txt").write_text("two")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "z.txt").write_text("one")
    (tmp_path / ".hidden").write_text("no")
    (tmp_path / "c.txt").write_text("three")
    assert read(str(tmp_path)) == "one\ntwo\nthree"
    assert read(str(tmp_path / "c.txt"), str(tmp_path / "b.txt")) == "three\ntwo"


def test_a_byte_order_mark_is_not_text(tmp_path):
    path = tmp_path / "bom.txt"
    path.write_bytes(b"\xef\xbb\xbfabc")
    assert read(str(path)) == "abc"


def test_standard_input(monkeypatch):
    class Input:
        buffer = io.BytesIO("grün".encode())

    monkeypatch.setattr("sys.stdin", Input())
    assert read("-") == "grün"


def test_the_built_in_text_is_long_and_always_the_same():
    text = read()
    assert len(text) > 100_000
    assert text == read()


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_text_survives_any_chunk_size(text):
    data = text.encode("utf-8")
    for size in (1, 3, 1000):
        chunks = (("x", data[i : i + size]) for i in range(0, len(data), size))
        assert "".join(decode_chunks(chunks)) == text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"ab\xffcd", "byte 2 is not"),
        ("é".encode() * 2 + b"\xe9 ", "byte 4 is not"),
        ("abcé".encode()[:-1], "byte 3 is not.*ends inside a character"),
        ("é".encode() + b"a\0b", "byte 3 is not.*zero byte"),
    ],
)
def test_bad_content_is_named_with_its_place(tmp_path, content, words):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read(str(path))
    assert "bad.txt" in str(caught.value)


def test_the_byte_offset_counts_from_the_start_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "CHUNK", 4)
    path = tmp_path / "bad.txt"
    path.write_bytes("ééé".encode() + b"abcde\xff")
    with pytest.raises(DataError, match="byte 11 is not"):
        read(str(path))


def test_missing_files_and_empty_folders(tmp_path):
    with pytest.raises(DataError, match=r"no file or folder .*nowhere"):
        read(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="holds no text"):
        read(str(tmp_path))
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DataError, match="holds no text"):
        read(str(tmp_path))
