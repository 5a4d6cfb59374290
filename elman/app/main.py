"""The program `elman`: commands, exit codes, and one line for every error."""

import sys
import warnings
from typing import Annotated, Any

import torch
import typer

from elman.app import runs, terminal
from elman.app.demo import demo
from elman.errors import ElmanError
from elman.version import VERSION

# Typer carries its own copy of click in newer versions; its base classes are reached through it.
_UsageError = typer.BadParameter.__mro__[1]
_ClickError: Any = _UsageError.__mro__[1]

app = typer.Typer(
    name="elman",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Recurrent networks: train them on your data, and use the models.",
    epilog="Start with: elman train language YOURS.txt --minutes 3   "
    "then: elman generate runs/language-001",
)
train = typer.Typer(no_args_is_help=True, help="Train a model and write a run folder.")
app.add_typer(train, name="train")
runs.add_commands(app, train)
app.command("demo")(demo)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        terminal.result(f"elman {VERSION}")
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run a command line and exit: 0, 1 for a failed run, 2 for wrong usage, 130 after Ctrl-C."""
    warnings.showwarning = _show_warning
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code. The process has as many threads as before."""
    threads = torch.get_num_threads()
    try:
        return _run(arguments)
    finally:
        torch.set_num_threads(threads)


def _run(arguments: list[str] | None) -> int:
    try:
        code = app(arguments, prog_name="elman", standalone_mode=False)
    except ElmanError as error:
        terminal.note(f"error: {error}")
        return error.exit_code
    except _ClickError as error:
        terminal.note(f"error: {error.format_message()} (elman --help tells more)")
        return 2
    except (typer.Abort, KeyboardInterrupt):
        terminal.note("stopped")
        return 130
    except (OSError, MemoryError) as error:
        terminal.note(f"error: {error or 'out of memory'}")
        return 1
    return code if isinstance(code, int) else 0


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    terminal.note(f"warning: {message}")
