"""torch's tools on elman's layers: each does what it does with torch.nn's, or a line says why not.

Everything is compared with torch.nn's layer under the same tool.
"""

import copy
import io
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.utils.flop_counter import FlopCounterMode

import elman
from elman.cells import GRUCell
from elman.errors import ArgumentError

NAMES = ["RNN", "GRU", "LSTM"]
ONE = "weight_hh_l0"


def pair(name, *more, **options):
    theirs = getattr(nn, name)(3, 5, *more, **options).double()
    ours = getattr(elman, name)(3, 5, *more, **options).double()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def outcome(layer, x, calls=2):
    """Outputs and gradients of some calls: what a tool keeps between them counts, too."""
    found = []
    for _ in range(calls):
        layer.zero_grad()
        output = layer(x)[0]
        output.square().sum().backward()
        found += [output.detach(), *(p.grad for p in layer.parameters())]
    return found


def pruned_for_good(layer):
    prune.l1_unstructured(layer, ONE, 0.5)
    return prune.remove(layer, ONE)


def halved(layer):
    for name, parameter in list(layer.named_parameters()):
        setattr(layer, name, nn.Parameter(parameter.detach() * 0.5))
    return layer


def swapped_beneath(layer):
    for name, parameter in list(layer.named_parameters()):
        layer._parameters[name] = nn.Parameter(parameter.detach() * 0.5)
    return layer


def halved_data(layer):
    for parameter in layer.parameters():
        parameter.data = parameter.data * 0.5
    return layer


def saved_and_loaded(layer):
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


TOOLS = {
    "weight_norm": lambda layer: parametrizations.weight_norm(layer, ONE),
    "spectral_norm": lambda layer: parametrizations.spectral_norm(layer, ONE),
    "spectral_norm of the first": lambda layer: parametrizations.spectral_norm(
        layer, "weight_ih_l0"
    ),
    "orthogonal": lambda layer: parametrizations.orthogonal(layer, ONE),
    "weight_norm by hooks": lambda layer: nn.utils.weight_norm(layer, ONE),
    "spectral_norm by hooks": lambda layer: nn.utils.spectral_norm(layer, ONE),
    "prune": lambda layer: prune.l1_unstructured(layer, ONE, 0.5),
    "prune for good": pruned_for_good,
    "parameters set": halved,
    "parameters swapped beneath": swapped_beneath,
    "data set": halved_data,
    "deepcopy": copy.deepcopy,
    "torch.save": saved_and_loaded,
    "share_memory": lambda layer: layer.share_memory(),
    "DataParallel": nn.DataParallel,
    "to and back": lambda layer: layer.to(torch.half).to(torch.double),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")  # the norms by hooks are deprecated
@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("name", NAMES)
def test_a_changed_layer_computes_what_torchs_does(always_compiled, name, tool):
    x = torch.randn(6, 4, 3, dtype=torch.double)
    results = []
    for layer in pair(name, num_layers=2):
        layer(x)  # a step has been read before
        torch.manual_seed(1)  # first vectors of spectral norms
        layer = TOOLS[tool](layer)
        results.append(outcome(layer, x))
    assert always_compiled
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_weights_that_another_network_made_pass_their_gradient_on(always_compiled, name):
    x = torch.randn(6, 4, 3, dtype=torch.double)
    ours, theirs = pair(name)
    results = []
    for layer in (ours, theirs):
        scale = torch.ones((), dtype=torch.double, requires_grad=True)
        for key, parameter in list(layer.named_parameters()):
            delattr(layer, key)
            setattr(layer, key, parameter.detach() * scale)
        results.append(torch.autograd.grad(layer(x)[0].square().sum(), scale))
    assert always_compiled
    torch.testing.assert_close(*results)


class Model(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.read_out = nn.Linear(5, 2).to(next(layer.parameters()).dtype)

    def forward(self, x):
        output, _ = self.layer(x)
        return self.read_out(output)


@pytest.mark.parametrize("name", [*NAMES, "Recurrent"])
def test_symbolic_tracing_keeps_a_layer_whole(name):
    layer = elman.Recurrent(GRUCell(3, 5)) if name == "Recurrent" else getattr(elman, name)(3, 5)
    model = Model(layer)
    graph = torch.fx.symbolic_trace(model)
    assert [n.target for n in graph.graph.nodes if n.op == "call_module"] == ["layer", "read_out"]
    assert graph.layer is layer
    for steps in (4, 60):
        x = torch.randn(steps, 4, 3)
        assert torch.equal(graph(x), model(x))


def test_symbolic_tracing_of_a_layer_itself_says_what_to_do():
    with pytest.raises(ArgumentError, match=r"got the layer itself, .* wrap it"):
        torch.fx.symbolic_trace(elman.Recurrent(GRUCell(3, 5)))


def test_symbolic_tracing_keeps_a_cell_whole():
    model = elman.convert(nn.Sequential(nn.GRUCell(3, 5)))
    graph = torch.fx.symbolic_trace(model)
    assert torch.equal(graph(torch.ones(2, 3)), model(torch.ones(2, 3)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Model(elman.GRU(3, 5)), lambda: Model(elman.LSTM(3, 5)),
        lambda: elman.convert(nn.Sequential(nn.LSTMCell(3, 5))),
    ],
)  # fmt: skip
def test_script_says_to_revert_and_then_works(make):
    model = make()
    with pytest.raises(ArgumentError, match=r"torch\.jit\.script expected .* elman\.revert\(mod"):
        torch.jit.script(model)
    scripted = torch.jit.script(elman.revert(model))
    x = torch.randn(4, 3)
    torch.testing.assert_close(scripted(x), model(x))


def test_script_of_any_cell_says_what_to_do():
    with pytest.raises(ArgumentError, match=r"got elman\.Recurrent; trace it"):
        torch.jit.script(elman.Recurrent(GRUCell(3, 5)))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")  # of the trace's own check
@pytest.mark.parametrize("name", [*NAMES, "Recurrent"])
def test_a_trace_serves_other_rows(always_compiled, name):
    layer = elman.Recurrent(GRUCell(3, 5)) if name == "Recurrent" else getattr(elman, name)(3, 5)
    traced = torch.jit.trace(layer, torch.randn(6, 4, 3))
    x = torch.randn(6, 7, 3)
    torch.testing.assert_close(traced(x), layer(x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # all of torch's
@pytest.mark.parametrize("layers", [{nn.LSTM}, {nn.GRU, nn.LSTMCell, nn.Linear}, None])
def test_quantization_says_to_revert_and_then_works(layers):
    model = nn.ModuleDict({
        "lstm": elman.LSTM(3, 5), "gru": elman.GRU(3, 5),
        "cell": elman.convert(nn.LSTMCell(3, 5)), "read_out": nn.Linear(5, 2),
    })  # fmt: skip
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.ao.quantization.quantize_dynamic(model, layers)
    said = {str(w.message): w.filename for w in caught if "elman" in str(w.message)}
    assert len(said) == 3, "one line for each kind of layer"
    assert set(said.values()) == {__file__}
    assert all("elman.revert(model)" in text for text in said)
    quantized = torch.ao.quantization.quantize_dynamic(elman.revert(model), layers)
    expected = layers or {nn.LSTM, nn.GRU, nn.LSTMCell, nn.Linear}
    for module, before in zip(quantized.values(), model.values(), strict=True):
        assert ("quantized" in type(module).__module__) == (type(before) in expected)


def test_tensors_and_modes_that_dispatch_on_their_own_go_to_torch(always_compiled):
    class Marked(torch.Tensor):
        pass

    layer = elman.GRU(3, 5)
    x = torch.randn(6, 4, 3)
    assert isinstance(layer(x.as_subclass(Marked))[0], Marked)
    with FlopCounterMode(display=False) as ours:
        layer(x)
    with FlopCounterMode(display=False) as theirs:
        elman.revert(layer)(x)
    assert ours.get_total_flops() == theirs.get_total_flops() > 0
    for unusual in (torch._neg_view(x), torch._efficientzerotensor(x.shape)):
        torch.testing.assert_close(layer(unusual)[0], elman.revert(layer)(unusual)[0])
    assert layer.to("meta")(x.to("meta"))[0].is_meta
    assert not always_compiled


def test_a_state_in_another_place_is_torchs_error(always_compiled):
    results = []
    for layer in (elman.GRU(3, 5), nn.GRU(3, 5)):
        with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever torch.nn raises
            layer(torch.randn(6, 4, 3), torch.zeros(1, 4, 5, device="meta"))
        results.append((type(raised.value), str(raised.value)))
    assert results[0] == results[1]
    assert not always_compiled


def test_they_are_torchs_layers():
    assert isinstance(elman.GRU(3, 5), nn.GRU)
    assert isinstance(elman.convert(nn.LSTMCell(3, 5)), nn.LSTMCell)
