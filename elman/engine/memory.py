"""Which tensors compiled code may read: those whose numbers lie in its device's memory as they are.

Compiled code gets addresses. Many tensors of torch have none, or numbers behind it that mean
something else, although dtype, shape and device look ordinary: fake and zero tensors, wrappers,
views that negate what they show. Code that reads them ends the process or gives wrong numbers.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from elman.engine.arguments import Arguments
from elman.errors import ArgumentError, UnsupportedStep
from elman.nest import paths

LOWEST_ADDRESS = 1 << 16
"""No memory lies below. A view of nothing has its offset for an address."""

_FUNCTIONS = (Tensor.__torch_function__, nn.Parameter.__torch_function__)
NEGATED = "a negated view"
_NOTHING = nullcontext()
_GIVEN_BACK = "a tensor whose memory was given back"


class WithoutNumbers(UnsupportedStep):
    """The call is about shapes alone."""


def plain_arguments(arguments: Arguments, device: str) -> Arguments:
    """The arguments, if all are in plain memory of this type of device; of a negated view the
    numbers that it shows.

    Raises what `require_plain` does, for the first that is not.
    """
    tensors = [*arguments.inputs, *arguments.state]
    if arguments.reset is not None:
        tensors += [arguments.reset, *(arguments.reset_state or ())]
    if are_plain(tensors, device):
        return arguments
    for name, tensor in _named(arguments):
        if obstacle(tensor, device) != NEGATED:
            require_plain(name, tensor, device)
    reset_state = arguments.reset_state
    return replace(
        arguments,
        inputs=[leaf.resolve_neg() for leaf in arguments.inputs],
        state=[leaf.resolve_neg() for leaf in arguments.state],
        reset_state=reset_state and [leaf.resolve_neg() for leaf in reset_state],
    )


def require_kept(step: Any, closed: list[Tensor]) -> None:
    """Raise `ArgumentError` if the memory of a tensor that the step closes over, of any shape, was
    given back.

    Nothing else of such a tensor can change unnoticed: the rest is seen while the step is read.
    """
    for tensor in closed:
        if tensor.data_ptr() < LOWEST_ADDRESS and tensor.numel() > 0:
            require_plain(name_of(step, tensor), tensor, tensor.device.type)


def are_plain(tensors: list[Tensor], device: str = "cpu") -> bool:
    """Whether all are, of any shape. Asked at every call, so every look counts."""
    is_cpu = device == "cpu"  # quickly told
    try:
        for tensor in tensors:
            kind = type(tensor)
            if kind is not Tensor and kind is not nn.Parameter:
                return all(obstacle(tensor, device) is None for tensor in tensors)
            if not (tensor.is_cpu if is_cpu else tensor.device.type == device) or tensor.is_neg():
                return False
            if tensor.data_ptr() < LOWEST_ADDRESS and tensor.numel() > 0:
                return False
    except RuntimeError:  # torch's word for a tensor without any storage
        return False
    return True


def own_allocations() -> AbstractContextManager[Any]:
    """Without the modes that take part in every function of torch, above all a default device."""
    if torch._C._len_torch_function_stack():
        return torch._C.DisableTorchFunction()
    return _NOTHING


def obstacle(tensor: Tensor, device: str = "cpu") -> str | None:
    """What keeps compiled code from reading a tensor of any shape, in words; None for plain
    memory."""
    kind = type(tensor)
    if isinstance(tensor, FakeTensor):
        return "a fake tensor, which has no memory"
    if kind.__torch_function__ not in _FUNCTIONS or (
        kind.__torch_dispatch__ is not Tensor.__torch_dispatch__
    ):
        return f"a {kind.__name__}, which is a subclass of Tensor with operations of its own"
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        return "a tensor of a torch.func transform"
    if torch._is_functional_tensor(tensor):
        return "a tensor of torch's functionalisation"
    if tensor.device.type != device:
        return f"on the device {tensor.device}"
    if tensor.is_nested:
        return "a nested tensor"
    if tensor.layout is not torch.strided:
        return f"of the layout {str(tensor.layout).removeprefix('torch.').strip('_')}"
    if tensor.is_quantized:
        return "a quantized tensor"
    if tensor._is_zerotensor():
        return "a zero tensor, which has no memory"
    if tensor.is_neg():
        return NEGATED
    try:
        address = tensor.data_ptr()
    except RuntimeError:
        return "a tensor without storage"
    return _GIVEN_BACK if address < LOWEST_ADDRESS and tensor.numel() > 0 else None


def require_plain(name: str, tensor: Tensor, device: str) -> None:
    """Raise an error that names the tensor, of any shape, and what it is, unless it is in plain
    memory.

    Raises:
        UnsupportedStep: the plain loop may be able to read it.
        ArgumentError: its memory was given back, so nothing can.
    """
    found = obstacle(tensor, device)
    if found == _GIVEN_BACK:
        raise ArgumentError(
            f"{name} must hold numbers, but it is {found}; give it memory again "
            f"(untyped_storage().resize_) before the call"
        )
    if found is not None:
        has_shape_only = isinstance(tensor, FakeTensor) or tensor.is_meta
        raise (WithoutNumbers if has_shape_only else UnsupportedStep)(
            f"the compiled loop runs on {named(device)}, in plain memory, but {name} is {found}; "
            f"it runs with backend='reference'"
        )


def named(device: str) -> str:
    """A type of device, as one speaks of it."""
    return "the CPU" if device == "cpu" else device


def require_addresses(tensors: list[Tensor]) -> None:
    """Raise `UnsupportedStep` where compiled code would read from nowhere; tensors of any shape.
    The last defence."""
    for tensor in tensors:
        if tensor.data_ptr() < LOWEST_ADDRESS and tensor.numel() > 0:
            raise UnsupportedStep(
                f"the compiled loop runs on the CPU, in plain memory, but met "
                f"{obstacle(tensor) or 'a tensor without memory'}; it runs with backend='reference'"
            )


def _named(arguments: Arguments) -> Iterator[tuple[str, Tensor]]:
    yield from zip(paths(arguments.input_structure, "input"), arguments.inputs, strict=True)
    yield from zip(arguments.state_paths, arguments.state, strict=True)
    if arguments.reset is not None and arguments.reset_state is not None:
        yield "reset", arguments.reset
        names = paths(arguments.state_structure, "reset_state")
        yield from zip(names, arguments.reset_state, strict=True)


def name_of(step: Any, tensor: Tensor) -> str:
    """`weight`, as the step calls it, if that is easily found; else the tensor's shape."""
    names: dict[str, Any] = {}
    if isinstance(step, nn.Module):
        names.update(step.named_buffers())
        names.update(step.named_parameters())
    elif isinstance(step, FunctionType):
        names.update((name, step.__globals__.get(name)) for name in step.__code__.co_names)
        for name, cell in zip(step.__code__.co_freevars, step.__closure__ or (), strict=True):
            names[name] = cell.cell_contents
    known = next((name for name, value in names.items() if value is tensor), None)
    shape = tuple(tensor.shape)
    return f"{known}, which the step closes over," if known else (
        f"a tensor {shape} that the step closes over"
    )  # fmt: skip
