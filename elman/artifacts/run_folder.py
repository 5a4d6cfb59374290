"""The run folder: everything that one training run leaves behind.

    config.toml              settings, task, format, and the fingerprint of the data
    vocabulary.json          what the task needs to understand its input
    model.safetensors        the weights that were best on validation
    checkpoint.safetensors   what going on needs: weights, optimiser, carried state, counters
    metrics.jsonl            one line for every evaluation
    curves.png               the metrics as a picture
    results.json             the test, made once when training has ended; its files beside it
    data/                    the encoded data

Each file is replaced as a whole, so that a run can be read while it trains; who writes holds the
lock of `lock.py`. All of it is data: nothing in a run folder is
executed, unpickled, imported or used as a path.
"""

import json
import os
import shutil
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from elman.artifacts.files import read_bytes, write_atomically
from elman.artifacts.lock import RunInUse, locked
from elman.errors import ArgumentError, RunError
from elman.tasks.base import Outcome
from elman.version import VERSION

FORMAT = 1
CONFIG = "config.toml"


@dataclass(frozen=True)
class RunConfig:
    """What `config.toml` says.

    settings: flat, as flags give them. data: the fingerprint. schedule: where the learning-rate
    schedule begins, changed when a run is resumed with a larger budget.
    """

    task: str
    settings: dict[str, Any]
    data: dict[str, Any]
    schedule: dict[str, Any]


class RunFolder:
    """A folder that holds a run. Make one with `create_run`, find one with `open_run`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def model(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.safetensors"

    @property
    def curves(self) -> Path:
        return self.path / "curves.png"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def made(self) -> int:
        """What another run in the same place would have otherwise: when its vocabulary was
        written, which is done once; 0 without one."""
        try:
            return (self.path / "vocabulary.json").stat().st_mtime_ns
        except OSError:
            return 0

    def read_config(self) -> RunConfig:
        """The configuration, checked for format but not for the task's own settings."""
        return _parse_config(read_bytes(self.path / CONFIG), self.path)

    def write_config(self, config: RunConfig) -> None:
        tables = {
            "run": {"format": FORMAT, "task": config.task, "elman": VERSION},
            "data": config.data,
            "schedule": config.schedule,
        }
        text = tomli_w.dumps({**config.settings, **tables})
        write_atomically(self.path / CONFIG, text.encode("utf-8"))

    def read_vocabulary(self) -> object:
        """The JSON value of `vocabulary.json`; the task checks what it means."""
        path = self.path / "vocabulary.json"
        try:
            return json.loads(read_bytes(path))
        except ValueError:
            raise RunError(f"{path} is not valid JSON; restore it or train anew") from None

    def write_vocabulary(self, value: dict[str, Any]) -> None:
        text = json.dumps(value, ensure_ascii=True, indent=1)
        write_atomically(self.path / "vocabulary.json", text.encode("utf-8"))

    def write_outcome(self, outcome: Outcome) -> None:
        """Write the files and the results of the test, the results last."""
        for name, content in outcome.files.items():
            write_atomically(self.path / name, content)
        text = json.dumps(outcome.results, indent=1) + "\n"
        write_atomically(self.path / "results.json", text.encode("utf-8"))

    def read_metrics(self) -> list[dict[str, Any]]:
        """One mapping for every evaluation so far, oldest first."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        try:
            return [json.loads(line) for line in read_bytes(path).splitlines()]
        except ValueError:
            raise RunError(f"{path} holds a line that is not JSON; restore or delete it") from None

    def write_metrics(self, records: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(record) + "\n" for record in records)
        write_atomically(self.path / "metrics.jsonl", text.encode("utf-8"))


def open_run(path: str | os.PathLike[str]) -> RunFolder:
    """The run in a folder that exists.

    Raises:
        RunError: no such folder, or it is no run.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise RunError(f"no run folder {folder}; `elman train` makes one")
    if not (folder / CONFIG).is_file() and (folds := fold_folders(folder)):
        raise RunError(
            f"{folder} holds the {len(folds)} models of a cross-validation, and is no run itself: "
            f"name one of them, such as {folds[0]}, or train one model of all data without --folds"
        )
    if not (folder / CONFIG).is_file():
        raise RunError(f"{folder} is not a run folder: it has no {CONFIG}; name one that has")
    return RunFolder(folder)


def fold_folders(path: str | os.PathLike[str]) -> list[Path]:
    """The run folders fold-1, fold-2, ... of a cross-validation; none if the folder is no such."""
    folders: list[Path] = []
    while ((own := Path(path) / f"fold-{len(folders) + 1}") / CONFIG).is_file():
        folders.append(own)
    return folders


def create_run(
    path: str | os.PathLike[str], force: bool, fill: Callable[[RunFolder], None]
) -> RunFolder:
    """A new run folder; see `create_folder`."""

    def fill_run(folder: Path) -> None:
        (folder / "data").mkdir()
        fill(RunFolder(folder))

    return RunFolder(create_folder(Path(path), force, fill_run))


def create_folder(target: Path, force: bool, fill: Callable[[Path], None]) -> Path:
    """A new folder of one or several runs, which appears at once and complete, after `fill` wrote
    into it.

    Raises:
        ArgumentError: something is there already and `force` is False, or elman did not write it.
        RunError: the folder can't be written.
    """
    if target.exists() or target.is_symlink():
        _require_replaceable(target, force)
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        fill(partial)
        _replace(target, partial)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise RunError(
            f"can't write the run folder {target}: {error.strerror}; choose another with --run"
        ) from None
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return target


@contextmanager
def place_for(task: str, run: str | os.PathLike[str] | None) -> Iterator[Path]:
    """Where a new run goes, locked: `run`, or the next free number.

    Raises:
        RunInUse: somebody else writes to `run`.
    """
    with ExitStack() as locks:
        if run is not None:
            path = Path(run)
            locks.enter_context(locked(path))
        else:
            path = next_free(task)
            while not _is_ours(path, locks):
                path = next_free(task)
        yield path


def next_free(task: str, parent: str = "runs") -> Path:
    """`runs/TASK-001`, or the first number after the highest that is taken, also by a run that is
    only being made and has no more than a lock yet."""
    names = [
        entry.name.removeprefix(".").removesuffix(".lock")
        for entry in (Path(parent).iterdir() if Path(parent).is_dir() else ())
    ]
    numbers = [name.removeprefix(f"{task}-") for name in names if name.startswith(f"{task}-")]
    taken = [int(number) for number in numbers if number.isdecimal()]
    return Path(parent) / f"{task}-{max(taken, default=0) + 1:03d}"


def _is_ours(path: Path, locks: ExitStack) -> bool:
    """Whether a number that was free is still so, now that it is locked."""
    try:
        locks.enter_context(locked(path))
    except RunInUse:
        return False
    if path.exists():
        locks.close()
        return False
    return True


def _require_replaceable(target: Path, force: bool) -> None:
    if not force:
        raise ArgumentError(
            f"{target} exists already; name another folder with --run, go on with "
            f"`elman resume {target}`, or replace it with --force"
        )
    written_by_elman = target.is_dir() and not target.is_symlink()
    try:
        if written_by_elman:
            run = next(iter(fold_folders(target)), target)
            _parse_config(read_bytes(run / CONFIG), run)
    except RunError:
        written_by_elman = False
    if not written_by_elman:
        raise ArgumentError(
            f"{target} was not written by elman, so --force does not replace it; "
            f"remove it yourself or name another folder with --run"
        )


def _replace(target: Path, partial: Path) -> None:
    if target.exists():
        old = target.with_name(f".{target.name}.replaced")
        shutil.rmtree(old, ignore_errors=True)
        os.rename(target, old)
        os.rename(partial, target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(partial, target)


def _parse_config(content: bytes, folder: Path) -> RunConfig:
    try:
        value = tomllib.loads(content.decode("utf-8"))
    except ValueError as error:
        raise RunError(f"{folder / CONFIG} is not valid TOML: {error}") from None
    run = value.pop("run", None)
    if not isinstance(run, dict) or not isinstance(run.get("format"), int):
        raise RunError(f"{folder} is not a run folder: {CONFIG} has no [run] table with a format")
    if run["format"] > FORMAT:
        raise RunError(
            f"{folder} has run format {run['format']}, but this elman {VERSION} reads formats up "
            f"to {FORMAT}; update elman (it was written by {run.get('elman', 'a newer one')})"
        )
    data, schedule, task = value.pop("data", None), value.pop("schedule", None), run.get("task")
    if not isinstance(data, dict) or not isinstance(schedule, dict) or not isinstance(task, str):
        raise RunError(f"{folder / CONFIG} is incomplete: it needs [run] task, [data], [schedule]")
    return RunConfig(task, value, data, schedule)
