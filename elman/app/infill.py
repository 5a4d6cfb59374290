"""The command `elman infill`: guess missing characters from both sides."""

from dataclasses import asdict
from typing import Annotated

import typer

from elman.app import terminal
from elman.app.loading import load_as
from elman.app.options import AsJson, Device, OwnCell, Run, Threads
from elman.tasks.language import TrainedLanguage
from elman.tasks.language.use.infill import BEAM


def infill(
    run: Run,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A text with missing characters.")],
    gap: Annotated[
        str,
        typer.Option(metavar="CHARACTER", help="What stands for each missing character in TEXT."),
    ] = "_",
    top: Annotated[
        int, typer.Option(min=1, metavar="K", help="Print the K likeliest, with probabilities.")
    ] = 1,
    beam: Annotated[
        int, typer.Option(min=1, metavar="K", help="Fillings that the search keeps.")
    ] = BEAM,
    as_json: AsJson = False,
    cell: OwnCell = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Guess the missing characters of a text from what stands on both sides of them.

    A model that reads forward is enough: it scores the whole text with each candidate. With one gap
    that is exact; with several it is a beam search.

    Examples:

    elman infill runs/language-001 "The qu_ck brown f_x"

    elman infill runs/language-001 "wh?t is the mat?er" --gap "?" --top 5
    """
    model = load_as(
        TrainedLanguage, run, cell, device,
        "is no language run; `elman infill` fills gaps of a text with one",
    )  # fmt: skip
    found = model.infill(text, gap, beam=max(beam, top))[:top]
    if as_json:
        terminal.result_as_json({"texts": [asdict(one) for one in found]})
        return
    for one in found:
        terminal.result(one.text if top == 1 else f"{one.probability:6.1%}  {one.text}")
