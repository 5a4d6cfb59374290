"""UCR/UEA `.ts` files: labelled signals of several channels and different lengths.

After lines `@name value` and `@data`, one example a line: channels separated by colons, values by
commas, the label last (A. Bagnall et al., arXiv 1811.00075; timeseriesclassification.com). A
missing value is `?`, NaN or nothing.
"""

import re

import numpy as np

from elman.errors import DataError
from elman.tasks.classify.data.examples import Examples, Item, short
from elman.tasks.classify.data.gaps import trimmed
from elman.tasks.shared.table import listing
from elman.tasks.shared.text import lines_of


def parse_ts(text: str, name: str, labelled: bool = True) -> Examples:
    """The examples of a `.ts` file. labelled: whether a line must end with a label.

    Raises:
        DataError: with the line number, what was expected and what came.
    """
    items: list[np.ndarray] = []
    labels: list[str] = []
    target = ""
    in_data, has_label, listed = False, True, list[str]()
    for number, raw in enumerate(lines_of(text), 1):
        line = raw.strip()
        if not line or line.startswith(("#", "%")):
            continue
        if not in_data:
            in_data, has_label = _header(line, name, number, has_label)
            listed, target = _listed(line) or listed, _declared(line) or target
            continue
        if line.startswith("@"):
            raise DataError(
                f"{name}, line {number}: expected an example after @data, got {short(line)!r}; "
                f"if several files were joined, keep the header of the first only"
            )
        channels = line.split(":")
        labels.append(_label(channels.pop(), name, number) if has_label else "")
        items.append(_signal(channels, items[0].shape[1] if items else 0, name, number))
    if not in_data:
        raise DataError(f"{name} has no @data line; a .ts file needs one before its examples")
    if not items:
        raise DataError(f"{name} holds no example after its @data line")
    if labelled and not has_label:
        raise DataError(
            f"{name} says {'@targetLabel' if target == 'number' else '@classLabel'} false, but a "
            f"model learns from answers; give a file with a label or number at the end of each line"
        )
    whole: list[Item] = [trimmed(item) for item in items]
    notes, channels = _strange(labels, listed) + _missing(items, whole), items[0].shape[1]
    return Examples(whole, labels, channels=channels, notes=notes, target=target or "label")


def _declared(line: str) -> str:
    """The kind of answers that a line of the header announces: labels, or numbers as in the TSER
    archive (C. Tan et al., arXiv 2006.10996)."""
    key = line[1:].split(maxsplit=1)[:1]
    return {"classlabel": "label", "targetlabel": "number"}.get(key[0].lower() if key else "", "")


def _listed(line: str) -> list[str]:
    """The labels that a line of the header announces."""
    key, *values = line[1:].split()
    return values[1:] if key.lower() == "classlabel" else []


def _strange(labels: list[str], listed: list[str]) -> list[str]:
    """A note on labels that the header does not announce: they may be slips of the pen."""
    strange = sorted(set(labels) - set(listed)) if listed else []
    if not strange:
        return []
    rows = sum(label in strange for label in labels)
    return [
        f"labels that @classLabel does not list: {listing([*map(repr, strange)])}, of {rows:,} "
        f"examples"
    ]


def _missing(items: list[np.ndarray], whole: list[Item]) -> list[str]:
    """Notes on missing values; at the end of a signal they are padding."""
    padded = sum(len(item) > len(rest) for item, rest in zip(items, whole, strict=True))
    missing = sum(int(np.isnan(rest).sum()) for rest in whole)
    notes = []
    if padded:
        notes.append(f"signals that end in missing values, which are left out: {padded:,}")
    if missing:
        total = sum(np.size(rest) for rest in whole)
        notes.append(
            f"missing values: {missing:,} of {total:,}, filled in by their neighbours; where they "
            f"were is told to the model"
        )
    return notes


def _header(line: str, name: str, number: int, has_label: bool) -> tuple[bool, bool]:
    """Whether the data begins after this line, and whether it has labels."""
    if not line.startswith("@"):
        raise DataError(
            f"{name}, line {number}: expected a line that begins with @ or # before @data, "
            f"got {short(line)!r}; is it a .ts file?"
        )
    key, _, value = " ".join(line[1:].split()).partition(" ")
    if key.lower() == "timestamps" and value.strip().lower() == "true":
        raise DataError(
            f"{name}, line {number}: signals with time stamps are not supported; expected plain "
            f"values with @timestamps false"
        )
    if key.lower() in ("classlabel", "targetlabel"):
        has_label = not value.strip().lower().startswith("false")
    return key.lower() == "data", has_label


def _label(value: str, name: str, number: int) -> str:
    label = value.strip()
    if not label or "," in label:
        raise DataError(
            f"{name}, line {number}: expected a label after the last colon, got {short(label)!r}"
        )
    return label


def _signal(channels: list[str], wanted: int, name: str, number: int) -> np.ndarray:
    """The values of one line as `(T, C)`."""
    if wanted and len(channels) != wanted:
        raise DataError(
            f"{name}, line {number}: expected {wanted} channels as in the first example, "
            f"got {len(channels)}"
        )
    columns = [_channel(text, i, name, number) for i, text in enumerate(channels, 1)]
    lengths = {len(column) for column in columns}
    if len(lengths) != 1:
        raise DataError(
            f"{name}, line {number}: expected all channels of an example to be equally long, got "
            f"lengths {', '.join(map(str, sorted(lengths)))}"
        )
    return np.stack(columns, axis=1)


def _channel(text: str, channel: int, name: str, number: int) -> np.ndarray:
    values = [value.strip() for value in text.split(",")]
    try:
        column = np.array(
            ["nan" if value in ("?", "") else value for value in values], dtype=np.float64
        )
    except ValueError:
        wrong = next((value for value in values if not _is_number(value)), text)
        raise DataError(
            f"{name}, line {number}, channel {channel}: expected numbers separated by commas, got "
            f"{short(wrong)!r}; correct or leave out such examples"
        ) from None
    if np.isinf(column).any():
        place = int(np.flatnonzero(np.isinf(column))[0])
        written = any(character.isdigit() for character in values[place])
        raise DataError(
            f"{name}, line {number}, channel {channel}: expected finite numbers"
            f"{' of at most 1.8e308' if written else ''}, got {short(values[place])} as value "
            f"{place + 1}; {'scale' if written else 'correct or leave out'} such examples"
        )
    return column


def _is_number(text: str) -> bool:
    number = r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf)|\??"
    return re.fullmatch(number, text.lower()) is not None
