"""The command `elman score`: how well a model predicts each line of a file."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from elman.app import terminal
from elman.app.loading import load_as
from elman.app.options import AsJson, Device, OwnCell, Run, Threads, options_of, takes
from elman.errors import ArgumentError
from elman.settings import build
from elman.tasks.language import TrainedLanguage
from elman.tasks.language.data.sources import read_lines
from elman.tasks.language.settings import LineSettings
from elman.tasks.language.use.lines import LineScore
from elman.tasks.shared.csv_rows import csv_row


class LineFormat(StrEnum):
    table = "table"
    csv = "csv"
    jsonl = "jsonl"
    text = "text"


COLUMNS = ("line", "characters", "unknown", "nats", "nats_per_character", "perplexity", "text")


@takes(options_of(LineSettings))
def score(
    run: Run,
    given: dict[str, Any],
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Lines to score, or - for standard input.")
    ],
    format: Annotated[
        LineFormat,
        typer.Option(help="How to print; text prints the lines themselves, as they are."),
    ] = LineFormat.table,
    max_perplexity: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Print only lines with a perplexity per character of at most P; empty lines have "
            "none and are left out.",
        ),
    ] = None,
    as_json: AsJson = False,
    cell: OwnCell = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Tell how well a model predicts each line of a file, in nats and perplexity per character.

    The first line of the table or CSV names the columns. A line is judged as if it began a new
    paragraph; nats are those of the whole line, without its end. Lines are printed as they are
    scored, whatever the size of the file. (elman evaluate scores a file as one text.)

    Examples:

    elman score runs/language-001 lines.txt

    cat lines.txt | elman score runs/language-001 - --format csv

    elman score runs/language-001 crawl.txt --max-perplexity 8 --format text > clean.txt
    """
    build(LineSettings, given, "score")
    if as_json and format is not LineFormat.table:
        raise ArgumentError(f"--json and --format {format} were both given; choose one")
    if max_perplexity is not None and not max_perplexity >= 1:
        raise ArgumentError(f"--max-perplexity must be at least 1, got {max_perplexity}")
    model = load_as(
        TrainedLanguage, run, cell, device,
        "is no language run; `elman score` scores lines of text with one",
    )  # fmt: skip
    printer = PRINTERS[format]
    if printer.head and not as_json:
        terminal.result(printer.head)
    scored = printed = 0
    kept = []
    for found in model.score_lines(read_lines(file, model.vocabulary.level), **given):
        scored += 1
        if max_perplexity is None or (found.perplexity or math.inf) <= max_perplexity:
            printed += 1
            if as_json:
                kept.append({**_values(found), "text": _whole(found.text)})
            else:
                terminal.result(printer.line(found))
    if as_json:
        terminal.result_as_json({"lines": kept})
    if max_perplexity is not None:
        terminal.note(f"printed {printed:,} of {scored:,} lines")


@dataclass(frozen=True)
class LinePrinter:
    """head: what stands before all lines, if anything. line: one of them."""

    head: str
    line: Callable[[LineScore], str]


def _values(found: LineScore) -> dict[str, Any]:
    return {name: getattr(found, name) for name in COLUMNS}


def _table_line(found: LineScore) -> str:
    numbers = [found.nats_per_character, found.perplexity]
    nats, perplexity = ("-" if n is None else f"{n:.3f}" for n in numbers)
    return f"{found.line:>8,} {nats:>10} {perplexity:>11}  {_whole(found.text)}"


def _csv_line(found: LineScore) -> str:
    cells = _values(found).values()
    return csv_row([_rounded(cell) for cell in cells])[:-1]


def _rounded(cell: Any) -> Any:
    if cell is None:
        return ""
    return f"{cell:.6g}" if isinstance(cell, float) else cell


def _json_line(found: LineScore) -> str:
    """JSON has no infinity: an impossible line has null, and says how many are unknown."""
    values = _values(found)
    finite = {
        name: None if isinstance(value, float) and math.isinf(value) else value
        for name, value in values.items()
    }
    return json.dumps({**finite, "text": _whole(found.text)}, ensure_ascii=False)


def _whole(text: str) -> str:
    """Bytes that are no UTF-8, which no output could hold, become �."""
    return text.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="replace")


PRINTERS = {
    LineFormat.table: LinePrinter(
        f"{'line':>8} {'nats/char':>10} {'perplexity':>11}  text", _table_line
    ),
    LineFormat.csv: LinePrinter(csv_row(COLUMNS)[:-1], _csv_line),
    LineFormat.jsonl: LinePrinter("", _json_line),
    LineFormat.text: LinePrinter("", lambda found: _whole(found.text)),
}
