"""Text as the network reads it."""

import torch

from elman.tasks.classify.data.tokens import Characters, Words
from elman.tasks.classify.data.words import COLUMNS
from elman.tasks.classify.model.text import TextReader

TEN = Characters(99, tuple(range(97, 107)))
LENGTHS = torch.tensor([200] * 3)


def test_characters_are_hidden_while_training_only():
    reader = TextReader(TEN, 0, 0.5, 0.0)
    numbers = torch.full((200, 3), 4)
    vectors, after = reader(numbers, LENGTHS)
    assert 0.3 < (vectors[..., 0] > 0).double().mean() < 0.7
    assert reader.eval()(numbers, LENGTHS)[0][..., 0].sum() == 0
    assert torch.equal(after, LENGTHS)


def test_a_one_hot_character_is_as_long_as_features_of_unit_variance():
    vectors, _ = TextReader(TEN, 0, 0.0, 0.0).eval()(torch.full((200, 3), 4), LENGTHS)
    torch.testing.assert_close(vectors.square().mean(-1), torch.ones(200, 3))


def test_a_word_that_is_hidden_hides_its_parts():
    reader = TextReader(Words(99, ("a", "b")), 4, 0.5, 0.0)
    torch.nn.init.normal_(reader.parts.weight)
    words = torch.full((200, 3, COLUMNS), 2, dtype=torch.int32)
    vectors, _ = reader(words, LENGTHS)
    hidden = (vectors == reader.embedding.weight[0]).all(-1)
    assert 0.3 < hidden.double().mean() < 0.7
    whole = reader.embedding.weight[2] + reader.parts.weight[2]
    torch.testing.assert_close(vectors[~hidden], whole.expand(int((~hidden).sum()), -1))


def test_a_word_is_its_vector_and_the_mean_of_its_parts():
    reader = TextReader(Words(99, ("a", "b")), 4, 0.5, 0.0).eval()
    torch.nn.init.normal_(reader.parts.weight)
    word = torch.zeros(1, 1, COLUMNS, dtype=torch.int32)
    word[0, 0, :4] = torch.tensor([2, 7, 8, 9])
    vectors, _ = reader(word, torch.tensor([1]))
    expected = reader.embedding.weight[2] + reader.parts.weight[7:10].mean(0)
    torch.testing.assert_close(vectors[0, 0], expected)
