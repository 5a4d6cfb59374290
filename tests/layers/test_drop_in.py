"""`RNN`, `GRU`, `LSTM` against torch.nn: results, gradients, weights, errors."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import rnn as packing

import elman
from elman.layers.drop_in_cells import GRUCell, LSTMCell, RNNCell

PAIRS = {"RNN": (elman.RNN, nn.RNN), "GRU": (elman.GRU, nn.GRU), "LSTM": (elman.LSTM, nn.LSTM)}


def leaves(value):
    """All tensors of a result, packed sequences by their data."""
    if isinstance(value, packing.PackedSequence):
        return [value.data]
    if isinstance(value, torch.Tensor):
        return [value]
    return [leaf for item in value for leaf in leaves(item)]


def run(layer, input, hx):
    """Results and the gradients of everything that has one."""
    torch.manual_seed(3)  # dropout
    result = layer(input, hx)
    tensors = leaves(result)
    torch.manual_seed(4)
    loss = sum((t * torch.randn_like(t)).sum() for t in tensors)
    data = input.data if isinstance(input, packing.PackedSequence) else input
    wanted = [data, *([] if hx is None else leaves(hx)), *layer.parameters()]
    return result, [*tensors, *torch.autograd.grad(loss, wanted, allow_unused=True)]


@st.composite
def cases(draw):
    name = draw(st.sampled_from(sorted(PAIRS)))
    options = {
        "num_layers": draw(st.integers(1, 3)),
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
    }
    if options["num_layers"] > 1:
        options["dropout"] = draw(st.sampled_from([0.0, 0.4]))
    hidden = draw(st.integers(1, 6))
    if name == "RNN":
        options["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    if name == "LSTM" and hidden > 1:
        options["proj_size"] = draw(st.integers(0, hidden - 1))
    return {
        "name": name, "options": options, "hidden": hidden, "inputs": draw(st.integers(1, 5)),
        "kind": draw(st.sampled_from(["batched", "unbatched", "sorted", "unsorted"])),
        "steps": draw(st.integers(1, 6)), "rows": draw(st.integers(1, 9)),
        "given": draw(st.booleans()), "training": draw(st.booleans()),
    }  # fmt: skip


def make_input(case):
    """The input, and the number of rows of the state (None without a batch)."""
    steps, rows, inputs = case["steps"], case["rows"], case["inputs"]
    torch.manual_seed(1)
    if case["kind"] == "unbatched":
        return torch.randn(steps, inputs, dtype=torch.double, requires_grad=True), None
    if case["kind"] == "batched":
        shape = (rows, steps) if case["options"]["batch_first"] else (steps, rows)
        return torch.randn(*shape, inputs, dtype=torch.double, requires_grad=True), rows
    lengths = torch.randint(1, steps + 1, (rows,))
    if case["kind"] == "sorted":
        lengths = lengths.sort(descending=True).values
    padded = torch.randn(int(lengths.max()), rows, inputs, dtype=torch.double)
    packed = packing.pack_padded_sequence(padded, lengths, enforce_sorted=case["kind"] == "sorted")
    return packed._replace(data=packed.data.requires_grad_()), rows


def make_state(layer, case, rows):
    if not case["given"]:
        return None
    depth = layer.num_layers * (2 if layer.bidirectional else 1)
    middle = () if rows is None else (rows,)
    torch.manual_seed(2)

    def state(width):
        return torch.randn(depth, *middle, width, dtype=torch.double, requires_grad=True)

    hidden = state(layer.proj_size or layer.hidden_size)
    return (hidden, state(layer.hidden_size)) if case["name"] == "LSTM" else hidden


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(case=cases())
def test_equals_torch_in_all_combinations(always_compiled, case):
    ours_class, theirs_class = PAIRS[case["name"]]
    sizes = (case["inputs"], case["hidden"])
    torch.manual_seed(0)
    theirs = theirs_class(*sizes, **case["options"]).double().train(case["training"])
    torch.manual_seed(0)
    ours = ours_class(*sizes, **case["options"]).double().train(case["training"])
    assert repr(ours) == repr(theirs)
    input, rows = make_input(case)
    state = make_state(theirs, case, rows)
    before = len(always_compiled)
    result, found = run(ours, input, state)
    assert len(always_compiled) > before, "nothing was compiled"
    expected_result, expected = run(theirs, input, state)
    assert type(result) is type(expected_result)
    assert type(result[1]) is type(expected_result[1])
    for a, b in zip(found, expected, strict=True):
        if a is None or b is None:
            assert a is b
        else:
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    if isinstance(result[0], packing.PackedSequence):
        for a, b in zip(result[0][1:], expected_result[0][1:], strict=True):
            assert a is b or torch.equal(a, b)


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_state_dicts_load_both_ways(name):
    ours_class, theirs_class = PAIRS[name]
    ours, theirs = (
        ours_class(3, 5, 2, bidirectional=True),
        theirs_class(3, 5, 2, bidirectional=True),
    )
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    ours.flatten_parameters()
    assert ours.all_weights[0][0].shape == (theirs.all_weights[0][0].shape)


@pytest.mark.parametrize(
    ("name", "input", "hx"),
    [
        ("RNN", torch.zeros(4), None),
        ("GRU", torch.zeros(4, 2, 7), None),
        ("GRU", torch.zeros(4, 2, 3, dtype=torch.double), None),
        ("GRU", torch.zeros(4, 2, 3), torch.zeros(1, 3, 5)),
        ("GRU", torch.zeros(4, 3), torch.zeros(1, 1, 5)),
        ("LSTM", torch.zeros(4, 2, 3), torch.zeros(1, 2, 5)),
        ("LSTM", torch.zeros(4, 2, 3), (torch.zeros(1, 2, 5), torch.zeros(1, 2, 4))),
        ("RNN", torch.zeros(0, 2, 3), None),
    ],
)
def test_errors_are_torchs(always_compiled, name, input, hx):
    ours_class, theirs_class = PAIRS[name]
    with pytest.raises(Exception) as theirs:  # noqa: PT011 - whatever torch.nn raises
        theirs_class(3, 5)(input, hx)
    with pytest.raises(type(theirs.value)) as ours:
        ours_class(3, 5)(input, hx)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.filterwarnings("ignore")  # torch.jit.trace is deprecated, and used all the same
def test_what_is_not_compiled_still_runs(always_compiled):
    layer = elman.GRU(3, 5)
    x = torch.randn(4, 2, 3)
    expected = layer(x)[0]
    always_compiled.clear()
    assert layer.to(torch.bfloat16)(x.bfloat16())[0].dtype == torch.bfloat16
    layer = layer.float()
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)
    assert not always_compiled
    traced = torch.jit.trace(layer, x)
    assert "aten::gru" in str(traced.graph)
    assert traced(x)[0].shape == expected.shape
    weights = dict(layer.named_parameters())
    torch.testing.assert_close(torch.func.functional_call(layer, weights, (x,))[0], layer(x)[0])


def test_vmap_and_forward_mode_which_torch_lacks():
    layer = elman.LSTM(3, 5).double()
    x = torch.randn(2, 4, 2, 3, dtype=torch.double)
    found = torch.func.vmap(lambda x: layer(x)[0])(x)
    torch.testing.assert_close(found, torch.stack([layer(one)[0] for one in x]))
    _, tangent = torch.func.jvp(lambda x: layer(x)[0], (x[0],), (torch.ones_like(x[0]),))
    near = (layer(x[0] + 1e-6)[0] - layer(x[0] - 1e-6)[0]) / 2e-6
    torch.testing.assert_close(tangent, near, rtol=1e-6, atol=1e-8)


def test_copies_and_pickles(always_compiled):
    layer, x = elman.LSTM(3, 5), torch.randn(4, 2, 3)
    expected = layer(x)[0]
    for same in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):  # noqa: S301
        torch.testing.assert_close(same(x)[0], expected)
    assert type(copy.deepcopy(layer)) is elman.LSTM


def test_a_changed_weight_is_seen(always_compiled):
    layer, x = elman.GRU(3, 5), torch.randn(4, 2, 3)
    layer(x)
    layer.weight_hh_l0.data.zero_()
    layer.bias_ih_l0 = nn.Parameter(torch.zeros(15))
    theirs = nn.GRU(3, 5)
    theirs.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(x)[0], theirs(x)[0])


def test_second_derivatives(always_compiled):
    layer = elman.LSTM(2, 3).double()
    x = torch.randn(3, 2, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,))


def test_short_calls_go_to_torch_and_long_ones_do_not(monkeypatch):
    from elman.layers import drop_in

    calls, run_auto = [], drop_in.run_auto
    monkeypatch.setattr(drop_in, "run_auto", lambda *a: calls.append(1) or run_auto(*a))
    layer = elman.GRU(64, 64)
    with torch.no_grad():
        layer(torch.zeros(2, 1, 64))
        assert not calls
        layer(torch.zeros(200, 8, 64))
        assert calls


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("ours_class", "theirs_class"),
    [(RNNCell, nn.RNNCell), (GRUCell, nn.GRUCell), (LSTMCell, nn.LSTMCell)],
)
def test_cells_equal_torchs(always_compiled, ours_class, theirs_class, bias):
    ours, theirs = ours_class(3, 5, bias=bias).double(), theirs_class(3, 5, bias=bias).double()
    ours.load_state_dict(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    x = torch.randn(4, 3, dtype=torch.double, requires_grad=True)
    h = torch.randn(4, 5, dtype=torch.double, requires_grad=True)
    for hx in (None, (h, 2 * h) if theirs_class is nn.LSTMCell else h):
        found, expected = leaves(ours(x, hx)), leaves(theirs(x, hx))
        wanted = [x, *ours.parameters()]
        d_found = torch.autograd.grad(sum(t.sum() for t in found), wanted)
        d_expected = torch.autograd.grad(sum(t.sum() for t in expected), [x, *theirs.parameters()])
        for a, b in zip([*found, *d_found], [*expected, *d_expected], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    assert always_compiled
    torch.testing.assert_close(leaves(ours(x[0])), leaves(theirs(x[0])))
    with pytest.raises(RuntimeError, match=r"mismatch|hidden|size"):
        ours(torch.zeros(4, 7, dtype=torch.double))


def test_a_dropped_layer_and_its_weights_are_not_kept_alive():
    layer = elman.GRU(3, 4)
    layer.weight_hh_l0.register_hook(lambda gradient, layer=layer: gradient)
    other = elman.GRU(3, 4)
    x = torch.randn(40, 8, 3)
    for one in (layer, other):
        one(x)[0].sum().backward()
        one(x)
    gone = [weakref.ref(one.weight_hh_l0) for one in (layer, other)]
    del layer, other, one
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_weights_that_were_replaced_are_used():
    layer, reference = elman.GRU(3, 4), nn.GRU(3, 4)
    x = torch.randn(40, 8, 3)
    for _ in range(2):
        layer.weight_hh_l0 = nn.Parameter(torch.randn(12, 4))
        reference.load_state_dict(layer.state_dict())
        torch.testing.assert_close(layer(x)[0], reference(x)[0], rtol=1e-4, atol=1e-5)
        layer.weight_hh_l0.data.mul_(0.5)
        reference.load_state_dict(layer.state_dict())
        torch.testing.assert_close(layer(x)[0], reference(x)[0], rtol=1e-4, atol=1e-5)
