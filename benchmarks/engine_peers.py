"""The same recurrences written for others: torch.nn, a Python loop, JAX's lax.scan.

A peer is made for one cell and one set of data and gives two functions: `inference()` returns the
outputs, `training()` returns outputs, the gradient of the input and those of the cell's parameters,
all as torch tensors. The loss is the sum of the outputs times fixed numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import elman
from elman.cells import CELLS

NAMESAKES = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


@dataclass
class Problem:
    """A cell with data: x `(T, B, I)`, weights of the loss `(T, B, H)`."""

    name: str
    cell: nn.Module
    x: Tensor
    loss_weights: Tensor

    @classmethod
    def make(cls, name: str, steps: int, rows: int, inputs: int, hidden: int) -> "Problem":
        torch.manual_seed(0)
        cell = CELLS[name](inputs, hidden)
        x = torch.randn(steps, rows, inputs)
        return cls(name, cell, x, torch.randn(steps, rows, hidden) / (steps * rows) ** 0.5)


@dataclass
class Peer:
    inference: Callable[[], Any]
    training: Callable[[], Any]
    as_torch: Callable[[Any], Any] = lambda result: result


def _torch_peer(problem: Problem, parameters: list[Tensor], run: Callable[[Tensor], Any]) -> Peer:
    def inference() -> Tensor:
        with torch.no_grad():
            return run(problem.x)

    def training() -> tuple[Tensor, ...]:
        x = problem.x.detach().requires_grad_()
        output = run(x)
        found = torch.autograd.grad(output, [x, *parameters], problem.loss_weights)
        return (output, *found)

    return Peer(inference, training)


def scan_peer(problem: Problem, backend: str = "llvm") -> Peer:
    """elman.scan, or with backend "reference" the plain Python loop."""
    cell = problem.cell
    state: Any = cell.initial_state(problem.x.shape[1])  # type: ignore[operator]
    return _torch_peer(
        problem, list(cell.parameters()), lambda x: elman.scan(cell, x, state, backend=backend)[0]
    )


def layer_peer(problem: Problem) -> Peer:
    """The layer of torch.nn."""
    layer = NAMESAKES[problem.name](problem.x.shape[2], problem.cell.hidden_size)
    layer.load_state_dict({f"{k}_l0": v for k, v in problem.cell.state_dict().items()})
    return _torch_peer(problem, list(layer.parameters()), lambda x: layer(x)[0])


def compiled_loop_peer(problem: Problem) -> Peer:
    """The Python loop through torch.compile, which unrolls it."""
    cell = problem.cell
    state: Any = cell.initial_state(problem.x.shape[1])  # type: ignore[operator]

    @torch.compile(fullgraph=True)
    def loop(x: Tensor, state: Any) -> Tensor:
        outputs = []
        for x_t in x:
            output, state = cell(x_t, state)
            outputs.append(output)
        return torch.stack(outputs)

    return _torch_peer(problem, list(cell.parameters()), lambda x: loop(x, state))


def jax_peer(problem: Problem) -> Peer:
    """`lax.scan` under `jit`, compiled ahead; arrays stay JAX's own while the clock runs."""
    import jax
    import jax.numpy as jnp

    step = _jax_step(problem.name, problem.cell)
    as_jax = lambda t: jnp.asarray(t.detach().numpy())  # noqa: E731
    weights = [as_jax(p) for p in problem.cell.parameters()]
    x, loss_weights = as_jax(problem.x), as_jax(problem.loss_weights)
    state: Any = problem.cell.initial_state(x.shape[1])  # type: ignore[operator]
    state = jax.tree.map(as_jax, state)

    def outputs(x: Any, weights: Any) -> Any:
        return jax.lax.scan(lambda s, x_t: step(weights, x_t, s), state, x)[1]

    def loss(x: Any, weights: Any) -> Any:
        output = outputs(x, weights)
        return (output * loss_weights).sum(), output

    forward = jax.jit(outputs)
    both = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))

    def training() -> Any:
        (d_x, d_weights), output = both(x, weights)
        return jax.block_until_ready((output, d_x, *d_weights))

    def as_torch(result: Any) -> Any:
        import numpy as np

        convert = lambda array: torch.from_numpy(np.array(array))  # noqa: E731
        return tuple(map(convert, result)) if isinstance(result, tuple) else convert(result)

    return Peer(lambda: jax.block_until_ready(forward(x, weights)), training, as_torch)


def _jax_step(name: str, cell: nn.Module) -> Callable:
    """`step(weights, x_t, state) -> (state, output)`; weights in the order of the parameters."""
    import jax
    import jax.numpy as jnp
    from jax.nn import sigmoid

    def rnn(w: Any, x: Any, h: Any) -> Any:
        h = jnp.tanh(x @ w[0].T + w[2] + h @ w[1].T + w[3])
        return h, h

    def gru(w: Any, x: Any, h: Any) -> Any:
        from_x = jnp.split(x @ w[0].T + w[2], 3, axis=1)
        from_h = jnp.split(h @ w[1].T + w[3], 3, axis=1)
        r, z = sigmoid(from_x[0] + from_h[0]), sigmoid(from_x[1] + from_h[1])
        n = jnp.tanh(from_x[2] + r * from_h[2])
        h = (1 - z) * n + z * h
        return h, h

    def from_gates(gates: Any, c: Any, last: Callable) -> Any:
        i, f, g, o = jnp.split(gates, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
        h = sigmoid(o) * jnp.tanh(last(c))
        return (h, c), h

    def lstm(w: Any, x: Any, state: Any) -> Any:
        h, c = state
        return from_gates(x @ w[0].T + w[2] + h @ w[1].T + w[3], c, lambda c: c)

    def norm(x: Any) -> Any:
        centred = x - x.mean(1, keepdims=True)
        return centred * jax.lax.rsqrt((centred**2).mean(1, keepdims=True) + 1e-5)

    def layer_norm_lstm(w: Any, x: Any, state: Any) -> Any:
        h, c = state
        gates = norm(x @ w[0].T) * w[4] + norm(h @ w[1].T) * w[5] + w[2] + w[3]
        return from_gates(gates, c, lambda c: norm(c) * w[6] + w[7])

    def mgu(w: Any, x: Any, h: Any) -> Any:
        x_f, x_n = jnp.split(x @ w[0].T + w[2], 2, axis=1)
        (w_f, w_n), (b_f, b_n) = jnp.split(w[1], 2), jnp.split(w[3], 2)
        f = sigmoid(x_f + h @ w_f.T + b_f)
        n = jnp.tanh(x_n + (f * h) @ w_n.T + b_n)
        h = h + f * (n - h)
        return h, h

    def concat(w: Any, x: Any, h: Any) -> Any:
        joined = jnp.concatenate([x, h], axis=1)
        return joined @ w[0].T + w[1], jax.nn.log_softmax(joined @ w[2].T + w[3], axis=1)

    return {
        "rnn": rnn, "gru": gru, "lstm": lstm, "layer-norm-lstm": layer_norm_lstm, "mgu": mgu,
        "concat": concat,
    }[name]  # fmt: skip
