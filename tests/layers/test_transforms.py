"""torch.func over the layers: ensembles and all kinds of derivatives, from a skeleton on meta."""

import copy

import pytest
import torch
from torch import nn
from torch.func import (
    functional_call,
    grad,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    stack_module_state,
    vmap,
)
from torch.nn.utils.rnn import pack_padded_sequence

import elman

DEEP = {"num_layers": 2, "bidirectional": True}
LAYERS = {
    "rnn": lambda: elman.RNN(3, 4),
    "gru": lambda: elman.GRU(3, 4, **DEEP),
    "lstm": lambda: elman.LSTM(3, 4, **DEEP),
    "projected": lambda: elman.LSTM(3, 4, batch_first=True, proj_size=2),
    "recurrent": lambda: elman.Recurrent(
        lambda n: elman.cells.LSTMCell(n, 4), input_size=3, layer_norm=True, **DEEP
    ),
    "gru cell": lambda: elman.convert(nn.GRUCell(3, 4)),
    "lstm cell": lambda: elman.convert(nn.LSTMCell(3, 4)),
}


def first(result):
    return result[0] if isinstance(result, tuple) else result


def ensemble(name):
    """Three models, their skeleton as a function of its weights, and an input."""
    models = [LAYERS[name]().double() for _ in range(3)]
    skeleton = copy.deepcopy(models[0]).to("meta")

    def call(weights, x):
        return first(functional_call(skeleton, weights, (x,)))

    shape = (5, 3) if "cell" in name else (5, 2, 3)
    return models, call, torch.randn(*shape, dtype=torch.double)


@pytest.mark.parametrize("name", LAYERS)
def test_an_ensemble_is_its_members(name):
    models, call, x = ensemble(name)
    weights, _ = stack_module_state(models)
    expected = torch.stack([first(model(x)) for model in models])
    torch.testing.assert_close(vmap(call, (0, None))(weights, x), expected)
    torch.testing.assert_close(vmap(call)(weights, x.expand(3, *x.shape)), expected)
    gradients = vmap(grad(lambda w, x: call(w, x).square().sum()), (0, None))(weights, x)
    for number, model in enumerate(models):
        loss = first(model(x)).square().sum()
        own = dict(model.named_parameters())
        found = torch.autograd.grad(
            loss, list(own.values()), allow_unused=True, materialize_grads=True
        )
        for key, expected in zip(own, found, strict=True):
            torch.testing.assert_close(gradients[key][number], expected)
    weights = dict(models[0].named_parameters())
    torch.testing.assert_close(call(weights, x), first(models[0](x)))
    torch.testing.assert_close(first(copy.deepcopy(models[0])(x)), first(models[0](x)))


@pytest.mark.parametrize("name", LAYERS)
def test_derivatives_agree_with_each_other(name):
    models, call, x = ensemble(name)
    weights = {key: value.detach() for key, value in models[0].named_parameters()}
    backward = jacrev(call)(weights, x)
    forward = jacfwd(call)(weights, x)
    torch.testing.assert_close(backward, forward)
    direction = {key: torch.randn_like(value) for key, value in weights.items()}
    _, tangent = jvp(lambda w: call(w, x), (weights,), (direction,))
    step = 1e-6
    there, back = (
        call({key: weights[key] + sign * step * direction[key] for key in weights}, x)
        for sign in (1, -1)
    )
    torch.testing.assert_close(tangent, (there - back) / (2 * step), rtol=1e-5, atol=1e-7)
    curvature = hessian(lambda x: call(weights, x).sum())(x).reshape(x.numel(), x.numel())
    torch.testing.assert_close(curvature, curvature.T)


@pytest.mark.parametrize("name", ["gru", "lstm", "projected"])
def test_a_batch_of_states(name):
    layer = LAYERS[name]().double()
    x = torch.randn(2, 2, 3, dtype=torch.double)
    depth = layer.num_layers * (1 + layer.bidirectional)
    state = torch.randn(3, depth, 2, layer.proj_size or 4, dtype=torch.double)
    if isinstance(layer, nn.LSTM):
        state = (state, torch.randn(3, depth, 2, 4, dtype=torch.double))
    found = vmap(lambda state: layer(x, state))(state)
    for number in range(3):
        one = tuple(leaf[number] for leaf in state) if isinstance(state, tuple) else state[number]
        output, final = layer(x, one)
        torch.testing.assert_close(found[0][number], output)
        ours = found[1] if isinstance(found[1], tuple) else (found[1],)
        theirs = final if isinstance(final, tuple) else (final,)
        torch.testing.assert_close(tuple(leaf[number] for leaf in ours), theirs)


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm", "recurrent"])
def test_packed_input(name):
    layer = LAYERS[name]().double()
    packed = pack_padded_sequence(torch.randn(5, 3, 3).double(), [2, 5, 4], enforce_sorted=False)

    def call(data):
        return layer(packed._replace(data=data))[0].data

    torch.testing.assert_close(jacfwd(call)(packed.data), jacrev(call)(packed.data))
    several = torch.stack([packed.data, -packed.data])
    torch.testing.assert_close(vmap(call)(several), torch.stack([call(d) for d in several]))


@pytest.mark.parametrize("name", ["gru cell", "lstm cell"])
def test_a_cell_over_one_row_at_a_time(name):
    cell, x = LAYERS[name](), torch.randn(5, 3)
    torch.testing.assert_close(vmap(lambda row: cell(row))(x), cell(x))
