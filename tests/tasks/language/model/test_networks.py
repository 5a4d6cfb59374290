"""The models: token numbers in, scores for the next token out."""

import pytest
import torch
from torch.nn import functional as F

from elman.cells import CELLS
from elman.errors import ArgumentError
from elman.tasks.cell import PERCEPTRON
from elman.tasks.language import LanguageSettings
from elman.tasks.language.model import build_model
from elman.tasks.setup import Setup
from tests.tasks.language.models import model_of


@pytest.mark.parametrize("changes", [{}, {"layers": 2}, {"embedding_size": 3}])
@pytest.mark.parametrize("cell", [*CELLS, PERCEPTRON])
def test_reading_in_parts_equals_reading_at_once(cell, changes):
    model = model_of(cell, window=4, **changes)
    tokens = torch.randint(6, (12, 3))
    whole, _ = model(tokens, model.initial_state(3))
    first, state = model(tokens[:5], model.initial_state(3))
    second, _ = model(tokens[5:], state)
    assert whole.shape == (12, 3, 6)
    torch.testing.assert_close(torch.cat([first, second]), whole)


def test_the_perceptron_sees_its_window_and_no_more():
    model = model_of("mlp", window=3)
    tokens = torch.randint(6, (8, 1))
    other = tokens.clone()
    other[2] = (other[2] + 1) % 6
    a, _ = model(tokens, model.initial_state(1))
    b, _ = model(other, model.initial_state(1))
    changed = [t for t in range(8) if not torch.equal(a[t], b[t])]
    assert changed == [2, 3, 4]


def large(cell="gru", **changes):
    chosen = LanguageSettings(cell=cell, hidden_size=8, **changes)
    return build_model(600, chosen, Setup(CELLS.get(cell))).eval()


@pytest.mark.parametrize("changes", [{}, {"embedding_size": 3}, {"tied": True}])
@pytest.mark.parametrize("cell", ["lstm", PERCEPTRON])
def test_losses_are_those_of_the_logits(cell, changes):
    if cell == PERCEPTRON and "tied" in changes:
        return
    model = model_of(cell, window=4, **changes).double()
    tokens, labels = torch.randint(6, (2, 12, 3))
    begin = model_of_state(model, 3)
    logits, _ = model(tokens, begin)
    plain = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    mean, state = model.mean_nats(tokens, labels, begin)
    torch.testing.assert_close(mean, plain.mean())
    each, after = model.nats(tokens, labels, begin)
    torch.testing.assert_close(each, plain.view(12, 3).detach())
    torch.testing.assert_close(after, state)
    weights = list(model.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(mean, weights), torch.autograd.grad(plain.mean(), weights)
    )


def model_of_state(model, rows):
    state = model.initial_state(rows)
    if isinstance(state, torch.Tensor):
        return state
    return tuple(tuple(leaf.double() for leaf in layer) for layer in state)


def test_the_vocabulary_decides_how_tokens_are_read():
    few, many = LanguageSettings().tokens(512), LanguageSettings().tokens(513)
    assert (few.embedding_size, few.tied, few.input_size) == (0, False, 512)
    assert (many.embedding_size, many.tied, many.input_size) == (128, True, 128)
    assert LanguageSettings().for_vocabulary(512).dropout == 0.0
    assert LanguageSettings().for_vocabulary(513).dropout == 0.15
    assert LanguageSettings(dropout=0.1).for_vocabulary(513).dropout == 0.1
    assert LanguageSettings(embedding_size=0).tokens(5000).input_size == 5000
    assert not LanguageSettings(embedding_size=3).tokens(9).tied
    assert LanguageSettings(tied=True).tokens(9).embedding_size == 128
    assert not LanguageSettings(tied=False).tokens(5000).tied


@pytest.mark.parametrize(("size", "projected"), [(8, False), (5, True)])
def test_one_table_reads_and_scores(size, projected):
    """Written out: scaled rows of the table in, the same rows as directions of scores out."""
    model = large(embedding_size=size).double()
    names = dict(model.named_parameters())
    assert ("head.project.weight" in names) == projected
    assert [name for name, value in names.items() if 600 in value.shape] == [
        "embedding.weight",
        "head.bias",
    ]
    tokens = torch.randint(600, (7, 2))
    logits, _ = model(tokens, (torch.zeros(2, 8, dtype=torch.float64),))
    table = names["embedding.weight"]
    state, expected = torch.zeros(2, 8, dtype=torch.float64), []
    for now in tokens:
        output, state = model.recurrent.cells[0](size**0.5 * table[now], state)
        if projected:
            output = output @ names["head.project.weight"].t()
        expected.append(output @ table.t() + names["head.bias"])
    torch.testing.assert_close(logits, torch.stack(expected))


@pytest.mark.parametrize("cell", ["lstm", PERCEPTRON])
def test_a_model_can_begin_at_the_frequencies(cell):
    model = model_of(cell)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    model.begin_with(torch.tensor([0, 1, 2, 3, 4, 4]))
    logits, _ = model(torch.zeros(1, 1, dtype=torch.long), model.initial_state(1))
    expected = torch.tensor([1, 2, 3, 4, 5, 5]) / 20
    torch.testing.assert_close(torch.softmax(logits[0, 0], 0), expected)


@pytest.mark.parametrize(
    ("cell", "changes", "words"),
    [
        ("lstm", {"tied": True, "embedding_size": 0}, "--tied scores .* --embedding-size 0"),
        (PERCEPTRON, {"tied": True}, "--tied is for recurrent layers"),
    ],
)
def test_ties_that_cannot_be_are_refused(cell, changes, words):
    with pytest.raises(ArgumentError, match=words):
        large(cell, **changes)
