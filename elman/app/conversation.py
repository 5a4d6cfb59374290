"""`elman generate --interactive`: a person and a model write one text in turns."""

import dataclasses
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from elman.app import terminal
from elman.errors import ArgumentError
from elman.settings import build, field_type
from elman.tasks.language import Sampling
from elman.tasks.language.use.generate import Writer, until

T = TypeVar("T", int, float, str)
_HELP = """\
A line is read as it is, without its end, and the model goes on from it; an empty line goes on.
/reset         forget all that was read and written
/length N      write so many characters (or other tokens) at a time
/stop TEXT     end a turn before TEXT; without TEXT, at its length only
/NAME VALUE    how characters are drawn, NAME being {names}; without VALUE, the default
/help          this
//...          a line that begins with /
Ctrl-C ends a turn, Ctrl-D the program."""


class Conversation:
    """Lines from standard input, in turns with what the model writes. A mistake costs one line of
    explanation and nothing else."""

    def __init__(
        self, writer: Writer, sampling: Sampling, length: int, stop: str | None, unknown: str
    ) -> None:
        self._writer, self._sampling, self._length = writer, sampling, length
        self._stop, self._unknown = stop, unknown
        self._commands: dict[str, Callable[[str], None]] = {
            "reset": self._reset,
            "length": self._set_length,
            "stop": self._set_stop,
            "help": self._help,
        }

    def run(self, prompt: str) -> None:
        """Until the end of the input. prompt: what the model reads first."""
        self._writer.read(prompt, self._unknown)
        on_terminal = sys.stdin.isatty()
        if on_terminal:
            with suppress(ImportError):
                import readline  # noqa: F401  (lines can then be edited)
            terminal.note("/help tells the commands, Ctrl-D ends")
        while (line := _next_line(on_terminal)) is not None:
            try:
                self._take(line)
            except ArgumentError as error:
                terminal.note(f"error: {error}")
        if on_terminal:
            terminal.note("")

    def _take(self, line: str) -> None:
        if line.startswith("/") and not line.startswith("//"):
            self._command(line[1:])
            return
        self._writer.read(line[1:] if line.startswith("//") else line, self._unknown)
        try:
            for piece in until(self._writer.write(self._length, self._sampling), self._stop):
                terminal.result(piece, end="")
        except KeyboardInterrupt:
            terminal.note(" (stopped)")
        terminal.result("")

    def _command(self, line: str) -> None:
        name, _, value = line.partition(" ")
        field = name.replace("-", "_")
        if name in self._commands:
            self._commands[name](value)
        elif field in (known.name for known in dataclasses.fields(Sampling)):
            self._set(field, value.strip())
        else:
            raise ArgumentError(f"no command /{name}; /help tells which there are")

    def _set(self, name: str, value: str) -> None:
        kept = {k: v for k, v in dataclasses.asdict(self._sampling).items() if k != name}
        if value:
            kept[name] = _parsed(value, field_type(Sampling, name), f"/{name}")
        self._sampling = build(Sampling, kept, "/" + name)

    def _reset(self, value: str) -> None:
        self._writer.reset()

    def _set_length(self, value: str) -> None:
        length = _parsed(value.strip(), int, "/length")
        if length < 0:
            raise ArgumentError(f"/length must be 0 or more, got {length}")
        self._length = length

    def _set_stop(self, value: str) -> None:
        self._stop = value or None

    def _help(self, value: str) -> None:
        names = ", ".join(field.name.replace("_", "-") for field in dataclasses.fields(Sampling))
        terminal.note(_HELP.format(names=names))


def _parsed(value: str, kind: type[T], what: str) -> T:
    try:
        return kind(value)
    except ValueError:
        words = {int: "a whole number", float: "a number"}[kind]
        raise ArgumentError(f"{what} must be {words}, got {value!r}") from None


def _next_line(on_terminal: bool) -> str | None:
    """Without its end; None at the end of the input."""
    if on_terminal:
        try:
            return input("> ")
        except EOFError:
            return None
    line = sys.stdin.readline()
    return line.removesuffix("\n").removesuffix("\r") if line else None
