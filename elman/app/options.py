"""Options of commands: those that several share, and those made from settings classes, so that
each setting is declared once."""

import dataclasses
import inspect
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from elman.errors import ArgumentError, DataError
from elman.settings import field_type
from elman.tasks import TaskKind
from elman.tasks.cell import is_own
from elman.train.settings import TrainingSettings

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, as `elman train` makes.")]
OwnCell = Annotated[
    str | None,
    typer.Option(
        "--cell", metavar="NAME", help="Your own cell again, if the run was trained with one."
    ),
]
Device = Annotated[str, typer.Option(help="Where to run: cpu, cuda, ...")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


def use_threads(count: int | None) -> int | None:
    """Let torch and the compiled loop, which asks torch, use so many threads until the command
    line ends; None changes nothing."""
    if count is not None:
        torch.set_num_threads(count)
    return count


Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        max=1024,
        metavar="N",
        help="CPU threads [default: all cores]",
        show_default=False,
        callback=use_threads,
    ),
]


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """What a command `elman train TASK` was told besides its data.

    settings: those of the task and of training that were given on the command line.
    """

    run: str | None
    force: bool
    config: str | None
    print_config: bool
    as_json: bool
    settings: dict[str, Any]


def _of_any_training(
    run: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Run folder [default: runs/TASK-001, counting up]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an older run in FOLDER.")] = False,
    config: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="TOML file with settings, named as the flags."),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the settings as TOML and exit.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Holds the parameters that every `elman train TASK` has, as Typer wants them."""


def trains(kind: TaskKind) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of `command(data, options: TrainOptions)`: it gets the options of any
    training, and one for every setting of the task and of training."""
    defaults = {**kind.training, **kind.budget}
    settings = [
        option for cls in (kind.settings, TrainingSettings) for option in options_of(cls, defaults)
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        data = inspect.signature(command, eval_str=True).parameters["data"].replace(default=None)
        common = inspect.signature(_of_any_training).parameters.values()

        def run(data: Any, given: dict[str, Any], **values: Any) -> None:
            command(data, TrainOptions(**values, settings=given))

        return _command(run, command, [data, *common], settings)

    return decorate


def takes(
    options: Sequence[inspect.Parameter],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of `command(..., given)`: each of the options is one of the command's own, and
    `given` maps the names of those that the user gave to their values."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters = inspect.signature(command, eval_str=True).parameters.values()
        own = [parameter for parameter in parameters if parameter.name != "given"]
        return _command(command, command, own, options)

    return decorate


def options_of(
    cls: type,
    defaults: Mapping[str, Any] | None = None,
    only: Sequence[str] | None = None,
    prefix: str = "",
) -> list[inspect.Parameter]:
    """An option for every field of a settings class, or for some. defaults: where they are not the
    class's own. prefix: begins the help."""
    return [
        _option(cls, field, (defaults or {}).get(field.name, field.default), prefix)
        for field in dataclasses.fields(cls)
        if only is None or field.name in only
    ]


def _command(
    function: Callable[..., None],
    described: Callable[..., None],
    own: Sequence[inspect.Parameter],
    options: Sequence[inspect.Parameter],
) -> Callable[..., None]:
    """`function(**own, given)` as Typer wants a command, with the name and help of `described`."""

    def run(**values: Any) -> None:
        named = {option.name: values.pop(option.name) for option in options}
        given = {name: value for name, value in named.items() if value is not None}
        function(**values, given=given)

    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in [*own, *options]
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__name__, run.__doc__ = described.__name__, described.__doc__
    return run


def _option(
    cls: type, field: dataclasses.Field[Any], default: Any, prefix: str
) -> inspect.Parameter:
    kind: Any = field_type(cls, field.name)
    choices = field.metadata["choices"]
    text = prefix + field.metadata["help"]
    if choices is not None and not all(choice in text for choice in choices):
        text += f": {' or '.join(choices)}"
    if default is not None:
        shown = {True: "yes", False: "no"}[default] if kind is bool else default
        text += f" [default: {shown}]"
    flag = "--" + field.name.replace("_", "-")
    info = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        help=text,
        show_default=False,
        metavar=field.metadata["metavar"] or {int: "N", float: "N", str: "NAME"}.get(kind),
    )
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, info],
    )


def read_config_file(path: str, *classes: type) -> dict[str, Any]:
    """The settings of a TOML file: keys as the flags, with underscores.

    The config.toml of a run serves too. A cell of the user's own and paths must then be named on
    the command line, because nothing is imported or opened on the word of a run folder.

    classes: the settings classes that say what a run writes down.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"can't read the settings file {path}: {error.strerror}") from None
    except ValueError as error:
        raise ArgumentError(f"{path} is not valid TOML: {error}") from None
    of_a_run = isinstance(values.get("run"), dict)
    if of_a_run:
        unrecorded = [
            field.name
            for cls in classes
            for field in dataclasses.fields(cls)
            if not field.metadata["recorded"]
        ]
        left_out = ("run", "data", "schedule", *unrecorded)
        values = {name: value for name, value in values.items() if name not in left_out}
        if is_own(str(values.get("cell", ""))):
            del values["cell"]
    return values
