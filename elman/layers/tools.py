"""What torch's tools that read a model, and do not run it, find in elman's layers."""

from typing import Any

from torch import nn

from elman.engine.source import warn
from elman.errors import ArgumentError


class NoScript(nn.Module):
    """A layer that torch.jit.script refuses in one line, wherever in a model it stands."""

    instead = "trace it with torch.jit.trace, or export it with torch.export"

    def __prepare_scriptable__(self) -> Any:
        raise ArgumentError(
            f"torch.jit.script expected layers whose Python it can read, but got "
            f"elman.{type(self).__name__}; {self.instead}"
        )


class DropIn(NoScript):
    """A layer in the place of one of torch.nn's, for which tools look by its exact type."""

    instead = "script elman.revert(model), which gives torch.nn's layers back"

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "qconfig":  # written to every module of a model that is to be quantized
            warn(
                f"torch.ao.quantization quantizes torch.nn's layers and leaves "
                f"elman.{type(self).__name__} as it is; quantize elman.revert(model)"
            )
        super().__setattr__(name, value)


def as_one_node(layer: nn.Module, input: Any, *rest: Any) -> Any:
    """A call of the layer in the graph that torch.fx traces, as it stands there for torch.nn's."""
    tracer = input.tracer
    if tracer.root is layer:
        raise ArgumentError(
            f"torch.fx expected a model that holds elman.{type(layer).__name__}, but got the layer "
            f"itself, whose loop it can't trace; wrap it, as in nn.Sequential(layer)"
        )
    return tracer.create_proxy("call_module", tracer.path_of_module(layer), (input, *rest), {})
