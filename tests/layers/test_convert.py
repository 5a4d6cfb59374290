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
