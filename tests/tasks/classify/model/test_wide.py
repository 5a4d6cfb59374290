"""What n-grams say of the labels."""

import torch

from elman.tasks.classify.data.words import COLUMNS
from elman.tasks.classify.model.wide import _PACE, NGrams


def weighed(numbers, lengths, order=3):
    """The outputs of a table of random rows."""
    wide = NGrams(order, 2, 0.5).eval()
    torch.manual_seed(1)
    torch.nn.init.normal_(wide.weights.weight)
    return wide(numbers, lengths)


def test_an_untrained_table_says_nothing():
    assert NGrams(5, 3, 0.0)(torch.randint(0, 9, (7, 4)), torch.tensor([7, 1, 3, 2])).sum() == 0


def test_each_n_gram_is_there_once_with_the_ends_marked():
    wide = NGrams(3, 2, 0.0)
    torch.nn.init.ones_(wide.weights.weight)
    lengths = torch.tensor([4, 1])
    found = wide(torch.randint(0, 9, (4, 2)), lengths)
    counts = sum(lengths + 2 - order + 1 for order in (1, 2, 3)).float()
    torch.testing.assert_close(found, (_PACE * counts.sqrt())[:, None].expand(-1, 2))


def test_the_sum_is_of_n_grams_in_any_place():
    numbers = torch.tensor([[1, 2, 3, 9], [2, 3, 1, 9]]).T  # 1 2 3 and 2 3 1: the same single ones
    lengths = torch.tensor([3, 3])
    alone, both = weighed(numbers, lengths, 1), weighed(numbers, lengths, 2)
    torch.testing.assert_close(alone[0], alone[1])
    assert not torch.allclose(both[0], both[1])


def test_parts_of_words_count_and_their_absence_does_not():
    wide = NGrams(1, 2, 0.0)
    torch.nn.init.ones_(wide.weights.weight)
    words = torch.zeros(2, 1, COLUMNS, dtype=torch.int32)
    words[0, 0, 1:5] = 3
    words[1, 0, 1:6] = 4  # beyond the end
    found = wide(words, torch.tensor([1]))
    torch.testing.assert_close(found, torch.full((1, 2), _PACE * (3**0.5 + 4**0.5)))
