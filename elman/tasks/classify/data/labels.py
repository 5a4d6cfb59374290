"""Labels that are no names of classes: several in one, numbers that were measured, or as many as
there are examples."""

import re
from collections import Counter
from collections.abc import Callable

from elman.errors import DataError
from elman.tasks.classify.data.examples import short
from elman.tasks.shared.table import listing

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MANY = 30  # different numbers that may be measured
_ROWS = 10  # for each class at least, on average
_FEW = 20  # examples that may all have labels of their own


def check_labels(labels: list[str], place: Callable[[int], str]) -> list[str]:
    """What the user should know about the labels of the training data. place: where one stands.

    Raises:
        DataError: they are clearly no names of classes.
    """
    names = sorted({label for label in labels if label})
    _refuse_lists(labels, place)
    for separator in "|;,":
        if several := _several(names, separator):
            raise DataError(
                f"{place(labels.index(several[0]))}: the label {short(several[0])!r} looks like "
                f"several labels of one example, since its pieces are labels of others, too "
                f"({len(several):,} labels do); several are not supported, so keep one for each "
                f"example, or write the {separator} in another way if it is one label"
            )
    if numbers := _measured(names, len(labels)):
        return numbers
    if len(labels) > _FEW and len(names) > len(labels) * 0.9:
        raise DataError(
            f"{place(0)} and others: {len(labels):,} examples have {len(names):,} different "
            f"labels, but a classifier learns from several examples of each; name the column of "
            f"labels with --label-column"
        )
    return []


def _refuse_lists(labels: list[str], place: Callable[[int], str]) -> None:
    """Raise if labels are lists written as text, by Python or JSON."""
    listed = [i for i, label in enumerate(labels) if label[:1] in "[{(" and label[-1:] in "]})"]
    several = [i for i in listed if "," in labels[i]]
    if several and len(listed) > len(labels) / 2:
        raise DataError(
            f"{place(several[0])}: expected one label, got a list of several, "
            f"{short(labels[several[0]])}; several labels of one example are not supported, so "
            f"keep one for each example"
        )


def _several(names: list[str], separator: str) -> list[str]:
    """Labels that are several ones, if that is clear: their pieces come again in other labels. A
    comma or semicolon is often part of one label, so some pieces must be labels by themselves."""
    pieces = {
        name: {piece.strip() for piece in name.split(separator) if piece.strip()} for name in names
    }
    joined = [name for name in names if len(pieces[name]) > 1]
    counts = Counter(piece for found in pieces.values() for piece in found)
    clear = [name for name in joined if all(counts[piece] > 1 for piece in pieces[name])]
    alone = separator == "|" or any(pieces[name] & set(names) for name in clear)
    return clear if alone and len(clear) >= max(2, len(joined) / 2) else []


def _measured(names: list[str], count: int) -> list[str]:
    """Raise if labels are numbers that somebody measured; a note if they may be. Classes that have
    numbers for names have many examples of each, or are counted from 0 or 1."""
    if len(names) < _MANY or not all(map(_NUMBER.fullmatch, names)):
        return []
    shown = listing(sorted(names, key=float)[:3])
    what = f"the labels are {len(names):,} different numbers ({shown}, ...)"
    if all(float(name).is_integer() for name in names):
        numbers = sorted(float(name) for name in names)
        counted = numbers[0] in (0, 1) and numbers[-1] - numbers[0] == len(numbers) - 1
        if count >= _ROWS * len(names) or (counted and count >= 2 * len(names)):
            return [
                f"{what}: each is learnt as a class of its own; if they are measured, that is a "
                f"regression, which a classifier is not made for"
            ]
    raise DataError(
        f"{what}, for {count:,} examples, which looks like a regression; a classifier learns names "
        f"of classes, so put the numbers into ranges, such as low and high, or name another "
        f"--label-column (if they are names, write a letter before them)"
    )
