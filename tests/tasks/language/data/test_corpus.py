"""Vocabulary and encoded text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import ArgumentError, DataError, RunError
from elman.tasks.language.data.corpus import TOKENS, encode, open_corpus
from elman.tasks.language.data.vocabulary import Vocabulary

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def vocabulary_of(text: str) -> Vocabulary:
    return Vocabulary("char", tuple(sorted({ord(c) for c in text})))


@given(TEXTS)
def test_decoding_undoes_encoding(text):
    for vocabulary in (vocabulary_of(text), Vocabulary("byte")):
        tokens = vocabulary.encode(text)
        assert tokens.min() >= 0
        assert tokens.max() < vocabulary.size
        assert vocabulary.decode(tokens) == text


@given(TEXTS)
def test_a_vocabulary_survives_json(text):
    vocabulary = vocabulary_of(text)
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


def test_unknown_characters_are_named_or_skipped():
    vocabulary = vocabulary_of("abc")
    with pytest.raises(ArgumentError, match=r"'z' \(U\+007A\) 'é' \(U\+00E9\).*--unknown skip"):
        vocabulary.encode("azébz")
    assert vocabulary.decode(vocabulary.encode("azéb\ud800z", unknown="skip")) == "ab"


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"level": "word"},
        {"level": "char"},
        {"level": "char", "characters": []},
        {"level": "char", "characters": ["b", "a"]},
        {"level": "char", "characters": ["ab"]},
        {"level": "char", "characters": [1]},
        {"level": "char", "characters": "ab"},
    ],
)
def test_a_damaged_vocabulary_is_refused(value):
    with pytest.raises(DataError):
        Vocabulary.from_json(value)


@pytest.mark.parametrize("text", ["hello", "Grüße\n", "".join(map(chr, range(300, 900)))])
def test_encoding_to_disk_and_back(tmp_path, text):
    source = tmp_path / "text.txt"
    source.write_text(text, encoding="utf-8", newline="")
    folder = tmp_path / "data"
    folder.mkdir()
    vocabulary, digest = encode([str(source)], "char", folder)
    corpus = open_corpus(folder, vocabulary, digest)
    assert [p.name for p in folder.iterdir()] == [TOKENS]
    assert digest.tokens == len(text)
    assert vocabulary.decode(np.asarray(corpus.tokens)) == text


def test_bytes_are_kept_as_they_are(tmp_path):
    source, folder = tmp_path / "any.bin", tmp_path
    source.write_bytes(bytes(range(256)))
    vocabulary, digest = encode([str(source)], "byte", folder)
    assert open_corpus(folder, vocabulary, digest).tokens.tolist() == list(range(256))


def test_another_text_than_at_the_start_is_refused(tmp_path, text_file):
    vocabulary, digest = encode([str(text_file)], "char", tmp_path)
    with open(tmp_path / TOKENS, "r+b") as file:
        file.write(b"\1")
    with pytest.raises(RunError, match="SHA-256 differs"):
        open_corpus(tmp_path, vocabulary, digest)
    (tmp_path / TOKENS).unlink()
    with pytest.raises(RunError, match="missing"):
        open_corpus(tmp_path, vocabulary, digest)


def test_the_split_is_contiguous(tmp_path, text_file):
    corpus = open_corpus(tmp_path, *encode([str(text_file)], "char", tmp_path))
    training, validation = corpus.split(0.25)
    assert np.array_equal(np.concatenate([training, validation]), corpus.tokens)
    assert len(validation) == round(0.25 * len(corpus.tokens))
