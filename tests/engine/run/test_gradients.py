"""Gradients where the plain loop has a path and a compiled one could lose it, or the other way."""

import gc
import threading
import warnings
import weakref

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.checkpoint import checkpoint

import elman
from elman.cells import CELLS
from elman.engine import arguments, backends
from elman.engine.run import cache
from elman.engine.run.compiled import CompiledStep

STEPS, ROWS, WIDTH = 5, 4, 3
WEIGHT = nn.Parameter(torch.randn(WIDTH, WIDTH) / 2)


def step(x, h):
    h = torch.tanh(x + h @ WEIGHT)
    return h, h


def leaves():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(STEPS, ROWS, WIDTH, generator=generator).requires_grad_()
    return x, torch.randn(ROWS, WIDTH, generator=generator).requires_grad_()


def loop(x, h):
    """The step's loop, written out."""
    outputs = []
    for x_t in x:
        h = torch.tanh(x_t + h @ WEIGHT)
        outputs.append(h)
    return torch.stack(outputs), h


# Rows without any step.


def forgetting(x, state):
    """The second leaf gets no gradient from a step."""
    v, spike = state
    v = 0.9 * v * (1 - spike) + x
    return v, (v, (v > 1).to(x.dtype))


@pytest.mark.parametrize("backend", ["reference", "llvm"])
@pytest.mark.parametrize("pieces", [None, 2])
def test_a_row_without_steps_passes_its_gradient_through(backend, pieces):
    x, v = leaves()
    spike = torch.zeros(ROWS, WIDTH, requires_grad=True)
    lengths = [0, STEPS, 2, 0]
    _, (first, second) = elman.scan(
        forgetting, x, (v, spike), lengths=lengths, checkpoint=pieces, backend=backend
    )
    weights = torch.arange(1.0, 1 + ROWS)[:, None].expand(ROWS, WIDTH)
    (found,) = torch.autograd.grad((second * weights).sum(), spike, retain_graph=True)
    for row, length in enumerate(lengths):
        expected = weights[row] if length == 0 else torch.zeros(WIDTH)
        assert torch.equal(found[row], expected)
    (of_v,) = torch.autograd.grad(first.sum(), v)
    assert torch.equal(of_v[0], torch.ones(WIDTH))


@pytest.mark.parametrize("reset", [False, True])
def test_no_step_at_all_passes_every_gradient_through(reset):
    _, v = leaves()
    spike = torch.zeros(ROWS, WIDTH, requires_grad=True)
    options = {"reset": torch.zeros(0, ROWS, dtype=torch.bool)} if reset else {}
    x = torch.zeros(0, ROWS, WIDTH)
    _, final = elman.scan(forgetting, x, (v, spike), backend="llvm", **options)
    found = torch.autograd.grad(2 * final[0].sum() + 3 * final[1].sum(), [v, spike])
    assert [value.unique().item() for value in found] == [2, 3]


def test_where_every_row_has_a_step_the_last_state_is_constant():
    x, v = leaves()
    spike = torch.zeros(ROWS, WIDTH, requires_grad=True)
    for lengths in (None, [1, 2, 3, STEPS]):
        _, (_, second) = elman.scan(forgetting, x, (v, spike), lengths=lengths, backend="llvm")
        assert not second.requires_grad


def running_mean(x, state):
    count, mean = state
    count = count + 1
    return (mean, count * 2), (count, mean + (x - mean) / count[:, None])


@pytest.mark.parametrize("wants", ["input", "mean", "count", "reset"])
def test_only_what_depends_on_a_leaf_with_gradients_has_one(wants):
    """A user may call `numpy` on a counter that is part of the state."""
    found = {}
    for backend in ("llvm", "reference"):
        x = torch.randn(STEPS, ROWS, WIDTH).requires_grad_(wants == "input")
        count = torch.zeros(ROWS).requires_grad_(wants == "count")
        mean = torch.zeros(ROWS, WIDTH).requires_grad_(wants == "mean")
        options = {}
        if wants == "reset":
            reset_state = (torch.zeros(ROWS, requires_grad=True), torch.zeros(ROWS, WIDTH))
            options = {"reset": torch.ones(STEPS, ROWS, dtype=torch.bool)}
            options["reset_state"] = reset_state
        results = elman.scan(running_mean, x, (count, mean), backend=backend, **options)
        found[backend] = [leaf.requires_grad for nest in results for leaf in nest]
    assert found["llvm"] == found["reference"]


# NaN from what the loss does not use.

INFINITE = {
    "log": torch.log, "sqrt": torch.sqrt, "reciprocal": torch.reciprocal, "rsqrt": torch.rsqrt,
    "power": lambda x: x**-1.5, "divided": lambda x: x / x, "exp": lambda x: torch.exp(x * 1e30),
    "norm": lambda x: torch.linalg.norm(x, dim=-1, keepdim=True),
    "deviation": lambda x: x.expand(-1, 3).std(-1, keepdim=True), "logit": torch.logit,
}  # fmt: skip


@pytest.mark.parametrize("lengths", [None, [3]])
@pytest.mark.parametrize("name", INFINITE)
@pytest.mark.parametrize("unused", ["output", "state", "nest"])
def test_an_unused_result_makes_no_nan(name, unused, lengths):
    infinite = INFINITE[name]

    def step(x, h):
        if unused == "state":
            return x + 0.5 * h.sigmoid(), infinite(x)
        h = x + 0.5 * h
        return ({"used": h, "not": infinite(h)} if unused == "nest" else (h, infinite(h))), h

    x = torch.tensor([0.0, 1.0, 0.0 if unused == "state" else 2.0]).view(3, 1, 1).requires_grad_()
    output, _ = elman.scan(step, x, torch.zeros(1, 1), lengths=lengths, backend="llvm")
    used = {"output": lambda: output[0], "nest": lambda: output["used"], "state": lambda: output}
    loss = used[unused]()[-1 if unused == "state" else slice(None)].sum()
    for again in (True, False):
        (found,) = torch.autograd.grad(loss, x, retain_graph=again)
        if unused == "state":  # the first two steps' states are used; the last one's is not
            assert found[-1].item() == 1
        else:
            assert found.flatten().tolist() == [1.75, 1.5, 1.0]


OVERFLOWING = {
    "cube": lambda h: (1e20 * h) * (1e20 * h) * (1e20 * h),
    "infinite weight": lambda h: h @ INFINITE_WEIGHT,
    "sum of squares": lambda h: ((1e30 * h) ** 2).sum(1, keepdim=True),
}
INFINITE_WEIGHT = torch.tensor([[float("inf")]])


@pytest.mark.parametrize("name", OVERFLOWING)
def test_an_unused_result_that_overflows_makes_no_nan(name):
    def step(x, h):
        h = torch.tanh(x + 0.5 * h)
        return (h, OVERFLOWING[name](h)), h

    def gradient(backend):
        x = torch.ones(3, 2, 1, requires_grad=True)
        (used, _), _ = elman.scan(step, x, torch.zeros(2, 1), backend=backend)
        return torch.autograd.grad(used.sum(), x)[0]

    assert gradient("reference").isfinite().all()
    torch.testing.assert_close(gradient("llvm"), gradient("reference"))


def test_a_state_that_has_a_gradient_at_the_last_step_alone():
    """Before that it is used for a choice, which has none; so there zeros come in its place."""

    def step(x, state):
        positive, scores = state
        following = x + (scores.argmax(1, keepdim=True) == 0)
        return following, (following, torch.log(positive) * SCALE)

    found = []
    for backend in ("llvm", "reference"):
        x, first = torch.ones(3, 2, 1), (torch.zeros(2, 1), torch.zeros(2, 1))
        _, (_, scores) = elman.scan(step, x, first, backend=backend)
        found += torch.autograd.grad(scores.sum(), SCALE)
    assert found[1].isfinite().all()
    torch.testing.assert_close(*found)


SCALE = torch.ones(1, requires_grad=True)


@pytest.mark.parametrize("backend", ["llvm", "reference"])
def test_there_is_no_gradient_where_the_loss_does_not_reach(backend):
    """None and zeros differ: an optimiser decays a weight whose gradient is zero."""
    used, unused = (torch.ones(3, requires_grad=True) for _ in range(2))

    def step(x, state):
        h, other = state
        h = torch.tanh(x[0] * used + h)
        return (h, other * unused), (h, other + x[1])

    x = [torch.ones(2, 4, 3, requires_grad=True) for _ in range(2)]
    first = [torch.ones(4, 3, requires_grad=True) for _ in range(2)]
    (output, _), _ = elman.scan(step, tuple(x), tuple(first), backend=backend)
    leaves = [used, unused, *x, *first]
    found = torch.autograd.grad(output.sum(), leaves, allow_unused=True)
    assert [gradient is not None for gradient in found] == [True, False] * 3


def test_a_true_nan_stays_and_hides_none_that_comes_later():
    def step(x, h):
        h = h * x
        return (h, torch.log(x)), h

    def gradient(first, state):
        x = torch.tensor([first, 1.0]).view(2, 1, 1).requires_grad_()
        (used, _), _ = elman.scan(step, x, torch.full((1, 1), state), backend="llvm")
        return torch.autograd.grad(used.sum(), x)[0].flatten()

    for _ in range(5):
        assert gradient(1.0, float("nan")).isnan().all()
    assert gradient(0.0, 1.0).tolist() == [2.0, 0.0]


@pytest.mark.parametrize("name", CELLS)
def test_ordinary_cells_are_not_looked_at(name):
    """Unless their state goes nowhere else than into the next step, as that of one cell."""
    cell = CELLS[name](WIDTH, WIDTH)
    x, _ = leaves()
    compiled, _ = cache.compiled_step(
        cell,
        arguments.check(x, cell.initial_state(ROWS), None, None, None, False, None),
        backends._llvm(),
    )
    results = 3 if "lstm" in name else 2
    output, state = (True, *(False,) * (results - 1)), (False, *(True,) * (results - 1))
    assert not compiled.unused.reached((True,) * results).may_make_nan
    for came in (output, state):
        assert compiled.unused.reached(came).may_make_nan == (name == "concat")


@pytest.mark.parametrize("checkpoint", [None, 1])
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_weight_that_the_input_is_made_with_too(create_graph, checkpoint):
    """Inner gradients must not go on through the input to the weight: that way comes later."""
    weight = torch.randn(3, 3, dtype=torch.double, requires_grad=True)

    def step(x, h):
        h = torch.tanh(x + h @ weight)
        return (h, torch.log(torch.relu(h - 5))), h  # unused, and NaN without a second look

    found = []
    for backend in ("llvm", "reference"):
        x = torch.linspace(-1, 1, 24, dtype=torch.double).view(4, 2, 3) @ weight
        state = torch.ones(2, 3, dtype=torch.double) @ weight
        (used, _), _ = elman.scan(step, x, state, backend=backend, checkpoint=checkpoint)
        (gradient,) = torch.autograd.grad(used.sum(), weight, create_graph=create_graph)
        second = torch.autograd.grad((gradient**2).sum(), weight) if create_graph else ()
        found.append([gradient, *second])
    torch.testing.assert_close(*found)


# Steps that change between the forward and the backward pass.


class Changing(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)
        self.temperature = 1.0

    def forward(self, x, h):
        h = torch.tanh(x / self.temperature + self.linear(h)) * (2 if self.training else 1)
        return h, h


CHANGES = {
    "mul.Tensor": lambda m: m.eval(),
    "2.0": lambda m: setattr(m, "temperature", 2.0),
    "linear.weight": lambda m: setattr(m.linear, "weight", nn.Parameter(torch.ones(3, 3))),
    "linear.bias": lambda m: setattr(m, "linear", nn.Linear(WIDTH, WIDTH)),
}


@pytest.mark.parametrize("word", CHANGES)
def test_second_derivatives_of_a_step_that_has_changed_are_refused(word):
    module = Changing()
    x, h = leaves()
    output, _ = elman.scan(module, x, h, backend="llvm")
    CHANGES[word](module)
    with pytest.raises(elman.errors.StepError, match="as it was in the forward pass") as caught:
        torch.autograd.grad(output.sum(), x, create_graph=True)
    if word != "linear.bias":
        assert word in str(caught.value)
    torch.autograd.grad(output.sum(), x)  # the first one is of the step as it was


def test_second_derivatives_of_a_step_that_changed_back():
    module = Changing()
    x, h = leaves()
    output, _ = elman.scan(module, x, h, backend="llvm")
    module.eval()
    module.train()
    (first,) = torch.autograd.grad(output.sum(), x, create_graph=True)
    assert first.requires_grad


@pytest.mark.parametrize(
    "options",
    [{}, {"lengths": [0, 3]}, {"reset": torch.eye(3, 2) > 0}, {"checkpoint": 2}],
    ids=str,
)
def test_gradcheck_and_gradgradcheck(options):
    double = {"dtype": torch.double, "requires_grad": True}
    given = torch.randn(3, 2, 2, **double), torch.randn(2, 2, **double), torch.randn(2, 2, **double)

    def run(x, h, weight):
        def step(x, h):
            h = torch.tanh(x + h @ weight)
            return h, h

        return elman.scan(step, x, h, backend="llvm", **options)

    assert torch.autograd.gradcheck(run, given)
    assert torch.autograd.gradgradcheck(run, given)


# What users attach to gradients.


def test_hooks_run_once():
    weight = nn.Parameter(WEIGHT.detach().clone())
    x, h = leaves()
    calls = []
    weight.register_hook(lambda g: calls.append("weight") or 0.5 * g)
    x.register_hook(lambda g: calls.append("input") or 3 * g)
    closing = lambda x, h: (torch.tanh(x + h @ weight),) * 2  # noqa: E731
    output, _ = elman.scan(closing, x, h, backend="llvm")
    output.register_hook(lambda g: calls.append("output") or 2 * g)
    found = torch.autograd.grad(output.sum(), [x, weight], create_graph=True)
    assert sorted(calls) == ["input", "output", "weight"]
    y, outputs = h, []
    for x_t in x:
        y = torch.tanh(x_t + y @ weight)
        outputs.append(y)
    plain = torch.stack(outputs)
    plain.register_hook(lambda g: 2 * g)
    expected = torch.autograd.grad(plain.sum(), [x, weight])
    torch.testing.assert_close(found, expected)


GRADIENTS = {
    "expanded": lambda: torch.ones(1).expand(STEPS, ROWS, WIDTH),
    "transposed": lambda: torch.randn(WIDTH, ROWS, STEPS).permute(2, 1, 0),
    "negated": lambda: torch.randn(STEPS, ROWS, WIDTH, dtype=torch.cfloat).conj().imag,
    "zero": lambda: torch._efficientzerotensor(STEPS, ROWS, WIDTH),
    "every second": lambda: torch.randn(2 * STEPS, ROWS, WIDTH)[::2],
}


@pytest.mark.parametrize("kind", GRADIENTS)
def test_gradients_of_any_layout(kind):
    gradient = GRADIENTS[kind]()
    x, h = leaves()
    output, _ = elman.scan(step, x, h, backend="llvm")
    found = torch.autograd.grad(output, [x, h, WEIGHT], gradient)
    plain, _ = loop(x, h)
    expected = torch.autograd.grad(plain, [x, h, WEIGHT], gradient.clone())
    torch.testing.assert_close(found, expected)


def test_batches_of_gradients():
    x, h = leaves()
    basis = torch.eye(STEPS * ROWS * WIDTH).view(-1, STEPS, ROWS, WIDTH)
    output, _ = elman.scan(step, x, h, backend="llvm")
    found = torch.autograd.grad(output, [x, WEIGHT], basis, is_grads_batched=True)
    plain, _ = loop(x, h)
    expected = torch.autograd.grad(plain, [x, WEIGHT], basis, is_grads_batched=True)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("in_place", [True, False])
def test_inside_gradient_checkpointing(reentrant, in_place):
    x, h = leaves()

    def part(x):
        output, _ = elman.scan(step, 2 * x, h, backend="llvm")
        return output.mul_(3) if in_place else output * 3

    checkpoint(part, x, use_reentrant=reentrant).pow(2).sum().backward()
    (expected,) = torch.autograd.grad((loop(2 * x, h)[0] * 3).pow(2).sum(), x)
    torch.testing.assert_close(x.grad, expected)


def test_hooks_on_saved_tensors_keep_all_that_is_saved():
    x, h = leaves()
    packed = []

    def pack(tensor):
        packed.append(tensor.numel())
        return tensor.clone()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output, _ = elman.scan(lambda x, h: (h.sin(), step(x, h)[1]), x, h, backend="llvm")
    assert sum(packed) > 2 * x.numel()  # beside the input the states of all steps
    for again in (True, False):
        found = torch.autograd.grad(output.sum(), [x, WEIGHT], retain_graph=again)
        states = torch.cat([h[None], loop(x, h)[0][:-1]])
        expected = torch.autograd.grad(states.sin().sum(), [x, WEIGHT])
        torch.testing.assert_close(found, expected)


def test_checkpoint_keeps_only_states():
    """What a segment saves is given back until its backward pass."""
    x, h = leaves()
    original, kept = CompiledStep.forward, []

    def spy(self, *args, **options):
        results = original(self, *args, **options)
        kept.extend(weakref.ref(value) for value in results[2].values.values())
        return results

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CompiledStep, "forward", spy)
        output, _ = elman.scan(step, x, h, checkpoint=1, backend="llvm")
    gc.collect()
    assert kept
    assert not any(ref() is not None for ref in kept)
    output.sum().backward()
    (expected,) = torch.autograd.grad(loop(x, h)[0].sum(), x)
    torch.testing.assert_close(x.grad, expected)


def test_anomaly_detection_names_the_users_line():
    x = torch.zeros(2, 1, 1, requires_grad=True)

    def run():
        with torch.autograd.detect_anomaly():
            output, _ = elman.scan(lambda x, h: (x.sqrt(), h), x, torch.zeros(1, 1), backend="llvm")
            (output * 0).sum().backward()

    def failing():
        with pytest.raises(RuntimeError, match="returned nan values"):
            run()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        failing()
    texts = [str(warning.message) for warning in caught]
    assert any("_ScanBackward" in text and "test_gradients.py" in text for text in texts)


def test_a_second_backward_pass_is_refused_as_torch_does():
    x, h = leaves()
    output, _ = elman.scan(step, x, h, backend="llvm")
    output.sum().backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        output.sum().backward()


def test_many_threads_go_backward_through_one_graph():
    x, h = leaves()
    output, _ = elman.scan(step, x, h, backend="llvm")
    (expected,) = torch.autograd.grad(loop(x, h)[0].pow(2).sum(), x)
    found = []

    def work():
        found.append(torch.autograd.grad(output.pow(2).sum(), x, retain_graph=True)[0])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in found:
        torch.testing.assert_close(one, expected)


def test_packed_input_and_resets_with_unused_results():
    x, h = leaves()
    packed = pack_padded_sequence(x, [5, 4, 2, 1])
    output, _ = elman.scan(lambda x, h: ((x + h, h.log()), x + h), packed, h * 0, backend="llvm")
    (found,) = torch.autograd.grad(output[0].data.sum(), x)
    assert found.isfinite().all()
    assert found[0, 0, 0] == 5
