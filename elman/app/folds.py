"""Cross-validation from the command line."""

from typing import Any

from elman.app import terminal
from elman.app.options import TrainOptions
from elman.app.progress import Watcher
from elman.app.training import chosen
from elman.tasks.cell import CellClass
from elman.train import folds


def asks_for_folds(task: str, options: TrainOptions) -> bool:
    """Whether all folds of a cross-validation are asked for."""
    if options.print_config:
        return False
    settings = chosen(task, options)
    return bool(settings.get("folds")) and not settings.get("fold")


def train_folds(task: str, data: list[str] | None, options: TrainOptions) -> None:
    """Train and test all of them, and tell the results."""
    settings = {name: v for name, v in chosen(task, options).items() if name != "fold"}
    watcher = Watcher()
    try:
        found = folds.cross_validate(
            task, data, options.run, force=options.force, listener=watcher, **settings
        )
    finally:
        watcher.close()
    _report(found, options.as_json)


def resume_folds(run: str, cell: CellClass | None, changes: dict[str, Any], as_json: bool) -> None:
    """Go on with all that are not finished, and tell the results."""
    watcher = Watcher()
    try:
        found = folds.resume_folds(run, cell=cell, listener=watcher, **changes)
    finally:
        watcher.close()
    _report(found, as_json)


def _report(found: folds.CrossValidation, as_json: bool) -> None:
    names = list(found.mean)
    width = max(map(len, [*names, "calibration error"]))
    rows = [
        f"{'fold':<9} {'examples':>9}" + "".join(f" {n.replace('_', ' '):>{width}}" for n in names)
    ]
    rows += [
        f"{number:<9} {examples:>9,}" + "".join(f" {fold[n]:>{width}.4f}" for n in names)
        for number, (fold, examples) in enumerate(zip(found.folds, found.examples, strict=True), 1)
    ]
    rows += [
        f"{word:<9} {count:>9}" + "".join(f" {values[n]:>{width}.4f}" for n in names)
        for word, count, values in (
            ("mean", f"{sum(found.examples):,}", found.mean), ("deviation", "", found.deviation)
        )
    ]  # fmt: skip
    if as_json:
        terminal.result_as_json({"run": str(found.folder), **found.to_json()})
    else:
        terminal.result("\n".join(rows))
    terminal.note(
        f"results: {found.folder / folds.RESULTS}   each row, by the model that did not see it: "
        f"{found.folder / folds.PREDICTIONS}"
    )
    terminal.note(
        f"next: train one model of all data without --folds; or use one of a fold: elman predict "
        f"{found.folder / 'fold-1'} EXAMPLE..."
    )
