"""`convert` on whole models, and what `explain` says about them."""

import io
import runpy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import rnn as packing

import elman
from elman.errors import ArgumentError

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


class Attending(nn.Module):
    """An encoder and a decoder that attends to it, one GRUCell step at a time."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.encoder = nn.GRU(6, 8, bidirectional=True, batch_first=True)
        self.decoder = nn.GRUCell(6 + 16, 16)
        self.read_out = nn.Linear(16, 11)

    def forward(self, source, target):
        memory, last = self.encoder(self.embedding(source))
        hidden = torch.cat([last[0], last[1]], -1)
        outputs = []
        for token in target.unbind(1):
            weights = torch.softmax(torch.einsum("bth,bh->bt", memory, hidden), -1)
            context = torch.einsum("bt,bth->bh", weights, memory)
            hidden = self.decoder(torch.cat([self.embedding(token), context], -1), hidden)
            outputs.append(self.read_out(hidden))
        return torch.stack(outputs, 1)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.lstm = nn.LSTM(6, 7, num_layers=2, bidirectional=True, dropout=0.3)
        self.read_out = nn.Linear(14, 4)

    def forward(self, tokens, lengths):
        packed = packing.pack_padded_sequence(self.embedding(tokens), lengths, enforce_sorted=False)
        output, _ = packing.pad_packed_sequence(self.lstm(packed)[0])
        return self.read_out(output)


class Convolving(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv1d(3, 5, 3, padding=1)
        self.lstm = nn.LSTM(5, 6, batch_first=True, proj_size=4)
        self.read_out = nn.Linear(4, 2)

    def forward(self, signal):
        features = torch.relu(self.convolution(signal)).transpose(1, 2)
        _, (hidden, _) = self.lstm(features)
        return self.read_out(hidden[-1])


MODELS = {
    "attention": (Attending, (torch.randint(11, (3, 9)), torch.randint(11, (3, 5)))),
    "tagger": (Tagger, (torch.randint(11, (8, 3)), torch.tensor([4, 8, 2]))),
    "cnn-lstm": (Convolving, (torch.randn(3, 3, 12, dtype=torch.double),)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_converted_model_trains_as_before(always_compiled, name):
    make, inputs = MODELS[name]
    torch.manual_seed(0)
    before = make().double()
    torch.manual_seed(0)
    after = make().double()
    optimizers = [torch.optim.Adam(m.parameters(), 0.01) for m in (before, after)]
    assert elman.convert(after) is after
    for _ in range(3):
        results = []
        for model, optimizer in zip((before, after), optimizers, strict=True):
            torch.manual_seed(1)
            output = model(*inputs)
            optimizer.zero_grad()
            output.square().mean().backward()
            optimizer.step()
            results.append(output)
        torch.testing.assert_close(*results, rtol=1e-9, atol=1e-10)
    assert always_compiled
    torch.testing.assert_close(dict(before.state_dict()), dict(after.state_dict()))


def test_everything_is_kept():
    model = nn.Sequential(nn.GRU(3, 5).double().eval(), nn.Linear(5, 2))
    seen = []
    layer = model[0]
    layer.register_forward_hook(lambda *_: seen.append("after"))
    handle = layer.register_forward_pre_hook(lambda *_: seen.append("before"))
    layer.note = "mine"
    parameters = list(model.parameters())
    elman.convert(model)
    assert type(model[0]) is elman.GRU
    assert not model[0].training
    assert model[1].training
    assert model[0].note == "mine"
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    model[0](torch.zeros(2, 1, 3, dtype=torch.double))
    handle.remove()
    model[0](torch.zeros(2, 1, 3, dtype=torch.double))
    assert seen == ["before", "after", "after"]
    model.float()
    assert model[0](torch.zeros(2, 1, 3))[0].dtype == torch.float32


def test_a_layer_itself_gives_a_new_one_with_the_same_parameters():
    layer = nn.LSTM(3, 5)
    new = elman.convert(layer)
    assert type(new) is elman.LSTM
    assert type(layer) is nn.LSTM
    assert all(a is b for a, b in zip(new.parameters(), layer.parameters(), strict=True))


def test_a_layer_in_two_places_stays_one():
    shared = nn.GRU(3, 3)
    model = elman.convert(nn.ModuleList([shared, nn.Sequential(shared)]))
    assert model[0] is model[1][0]
    assert len(list(model.parameters())) == 4


def test_converting_twice_changes_nothing():
    model = elman.convert(nn.Sequential(nn.GRU(3, 3)))
    first = model[0]
    assert elman.convert(model)[0] is first
    assert elman.convert(first) is first


class Everything(nn.Module):
    """All kinds of layers that `convert` knows, one of them in two places."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([
            nn.RNN(3, 4, nonlinearity="relu"), nn.GRU(4, 4, 2, dropout=0.1, bidirectional=True),
            nn.LSTM(8, 4, proj_size=2, batch_first=True), nn.RNNCell(2, 3), nn.GRUCell(3, 3),
        ])  # fmt: skip
        self.cell = nn.LSTMCell(3, 3, bias=False)
        self.again = self.layers[1]
        self.read_out = nn.Linear(3, 2)


def facts(model):
    """All that must be the same before and after: objects by their identity."""
    return [
        (
            name, type(module).__name__, type(module).__mro__[1:], module.training, repr(module),
            [(n, id(p), p.requires_grad) for n, p in module.named_parameters()],
            [list(hooks.values()) for hooks in (module._forward_hooks, module._backward_hooks)],
            getattr(module, "note", None),
        )
        for name, module in model.named_modules(remove_duplicate=False)
    ]  # fmt: skip


def test_revert_is_the_inverse_of_convert():
    model = Everything().double()
    model.layers[1].eval().requires_grad_(False)
    model.layers[0].register_forward_hook(lambda *_: None)
    model.layers[2].register_full_backward_hook(lambda *_: None)
    model.cell.note = "mine"
    nn.utils.parametrizations.weight_norm(model.layers[4], "weight_hh")
    before, weights = facts(model), model.state_dict()
    assert elman.revert(elman.convert(model)) is model
    assert facts(model) == before
    assert model.again is model.layers[1]
    torch.testing.assert_close(model.state_dict(), weights)
    elman.convert(model)
    converted = facts(model)
    assert converted != before
    elman.convert(elman.revert(model))
    assert facts(model) == converted
    kinds = [type(model.layers[i]) for i in range(3)]
    assert kinds == [elman.RNN, elman.GRU, elman.LSTM]


def test_a_reverted_model_runs_as_torchs_and_trains_the_same_parameters():
    model = nn.ModuleList([elman.GRU(3, 4), elman.LSTM(3, 4)])
    parameters = list(model.parameters())
    x = torch.randn(5, 2, 3)
    expected = [layer(x)[0] for layer in model]
    elman.revert(model)
    assert [type(layer) for layer in model] == [nn.GRU, nn.LSTM]
    torch.testing.assert_close([layer(x)[0] for layer in model], expected)
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))


def test_revert_of_a_layer_itself_and_of_what_it_leaves_alone():
    class Own(elman.GRU):
        pass

    layer = elman.LSTM(3, 4)
    assert type(elman.revert(layer)) is nn.LSTM
    assert type(layer) is elman.LSTM
    recurrent = elman.Recurrent(elman.cells.GRUCell(3, 4))
    for model in (Own(3, 4), recurrent, nn.GRU(3, 4), nn.Linear(2, 2)):
        assert elman.revert(model) is model
    with pytest.raises(ArgumentError, match=r"revert takes a model, an nn\.Module, but got int"):
        elman.revert(3)


@pytest.mark.parametrize("name", ["GRU", "GRUCell"])
def test_parametrized_layers_are_converted_too(always_compiled, name):
    layer = getattr(nn, name)(3, 4).double()
    weight = next(n for n, _ in layer.named_parameters() if n.startswith("weight_hh"))
    nn.utils.parametrizations.weight_norm(layer, weight)
    x = torch.randn(6, 3, dtype=torch.double)
    expected = torch.autograd.grad(layer(x)[0].sum(), list(layer.parameters()))
    converted = elman.convert(layer)
    assert "left alone" not in explained(converted)
    always_compiled.clear()
    found = torch.autograd.grad(converted(x)[0].sum(), list(layer.parameters()))
    assert always_compiled
    torch.testing.assert_close(found, expected)
    nn.utils.parametrize.remove_parametrizations(converted, weight)
    assert type(converted).__module__.startswith("elman")


def explained(model):
    stream = io.StringIO()
    elman.explain(model, file=stream)
    return stream.getvalue()


def test_explain_lists_every_layer_with_a_reason():
    class Own(nn.LSTM):
        pass

    model = nn.ModuleDict({
        "own": Own(3, 4), "gru": nn.GRU(32, 64), "lstm": nn.LSTM(32, 64),
        "cell": nn.LSTMCell(64, 64), "small": nn.GRU(3, 4).half(),
        "any": elman.Recurrent(elman.cells.GRUCell(3, 4)),
    })  # fmt: skip
    assert "6 recurrent layers, 1 compiled" in explained(model)
    assert "elman.convert(model) compiles it" in explained(model)
    text = explained(elman.convert(model))
    assert "6 recurrent layers, 4 compiled" in text
    lines = {line.split()[0]: line for line in text.splitlines()[1:]}
    assert "left alone: a subclass of torch.nn.LSTM" in lines["own"]
    assert "time steps in inference" in lines["gru"]
    assert "packed input" in lines["lstm"]
    assert "rows in training" in lines["cell"]
    assert "float16" in lines["small"]
    assert "backend 'auto'" in lines["any"]


def test_a_model_without_recurrent_layers():
    assert explained(nn.Linear(2, 2)) == "Linear: 0 recurrent layers, 0 compiled\n"


def test_wrong_arguments():
    with pytest.raises(ArgumentError, match=r"an nn\.Module, but got str"):
        elman.convert("model")
    with pytest.raises(ArgumentError, match="a model alone; got function alone"):
        elman.explain(lambda x, h: (x, h))


def test_the_simple_rnn_of_the_examples():
    SimpleRNN = runpy.run_path(str(EXAMPLES / "simple_rnn.py"))["SimpleRNN"]  # noqa: N806
    torch.manual_seed(0)
    model = SimpleRNN(10, 20, 1)
    x = torch.randn(5, 40, 10)
    expected = model(x)
    torch.testing.assert_close(elman.convert(model)(x), expected)
    assert type(model.rnn) is elman.RNN
