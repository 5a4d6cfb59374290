"""What a run needs to go on exactly where it stopped."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from elman.artifacts.run_folder import RunFolder
from elman.artifacts.weights import fill_module, load_tensors, save_tensors
from elman.errors import RunError
from elman.nest import Nest, flatten, rebuild


@dataclass
class Progress:
    """Counters of a run.

    step: training steps done. seen: predictions trained on. seconds: time spent training.
    best: lowest validation loss so far, None before the first evaluation. best_step: when.
    kept_step: of the weights that are kept.
    loss_sum, loss_terms: training loss since the last evaluation, for its mean.
    """

    step: int = 0
    seen: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    kept_step: int = 0
    loss_sum: float = 0.0
    loss_terms: int = 0


def save_checkpoint(
    folder: RunFolder, progress: Progress, model: nn.Module, optimizer: Optimizer, carry: Nest
) -> None:
    """Write weights, optimiser state, carried state and counters as one file."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{slot}": value for slot, value in slots.items()})
    leaves, _ = flatten(carry, "the carried state")
    tensors.update({f"carry.{index}": leaf for index, leaf in enumerate(leaves)})
    save_tensors(folder.checkpoint, tensors, asdict(progress))


def load_checkpoint(
    folder: RunFolder, model: nn.Module, optimizer: Optimizer, carry: Nest
) -> tuple[Progress, Nest]:
    """Fill model and optimiser from the checkpoint; returns counters and the carried state.

    `carry` shows how the carried state is built. Without a checkpoint nothing changes and the
    counters begin at zero.

    Raises:
        RunError: the checkpoint is damaged or does not fit.
    """
    if not folder.checkpoint.exists():
        return Progress(), carry
    tensors, notes = load_tensors(folder.checkpoint)
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "carry": {}}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        groups.setdefault(kind, {})[rest] = tensor
    progress = _progress(notes, folder)
    fill_module(model, groups["model"], folder.checkpoint)
    _fill_optimizer(optimizer, groups["optimizer"], folder)
    return progress, _rebuilt_carry(carry, groups["carry"], folder)


def read_progress(folder: RunFolder) -> Progress:
    """The counters alone; zero without a checkpoint."""
    if not folder.checkpoint.exists():
        return Progress()
    return _progress(load_tensors(folder.checkpoint)[1], folder)


def _progress(notes: dict[str, Any], folder: RunFolder) -> Progress:
    known = {field.name for field in fields(Progress)}
    numbers = all(isinstance(value, int | float | None) for value in notes.values())
    if notes.keys() != known or not numbers:
        raise RunError(f"{folder.checkpoint} does not hold the counters of a run; train anew")
    return Progress(**notes)


def _fill_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor], folder: RunFolder) -> None:
    parameters = optimizer.param_groups[0]["params"]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, slot = name.partition(".")
        index = int(number) if number.isdecimal() else len(parameters)
        fits = index < len(parameters) and tensor.shape in ((), parameters[index].shape)
        if not fits:
            raise RunError(f"{folder.checkpoint} does not fit its config.toml: optimizer.{name}")
        state.setdefault(index, {})[slot] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _rebuilt_carry(carry: Nest, tensors: dict[str, Tensor], folder: RunFolder) -> Nest:
    leaves, structure = flatten(carry, "the carried state")
    found = [tensors.get(str(index)) for index in range(len(leaves))]
    filled = [
        tensor.to(leaf.device)
        for leaf, tensor in zip(leaves, found, strict=True)
        if tensor is not None and tensor.shape == leaf.shape and tensor.dtype == leaf.dtype
    ]
    if len(filled) != len(leaves) or len(tensors) != len(leaves):
        raise RunError(f"{folder.checkpoint} does not fit its config.toml: carried state")
    return rebuild(filled, structure)
