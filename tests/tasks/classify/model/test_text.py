"""Text as the network reads it."""

import torch

from elman.tasks.classify.model.text import TextReader


def test_characters_are_hidden_while_training_only():
    reader = TextReader(11, 0, 0.5, 0.0)
    numbers, lengths = torch.full((200, 3), 4), torch.tensor([200] * 3)
    vectors, after = reader(numbers, lengths)
    assert 0.3 < vectors[..., 0].mean() < 0.7
    assert reader.eval()(numbers, lengths)[0][..., 0].sum() == 0
    assert torch.equal(after, lengths)
