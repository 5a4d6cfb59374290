"""What kind of answers the data holds, where the user has not said it."""

from collections.abc import Sequence

from elman.errors import ArgumentError, DataError
from elman.tasks.classify.settings import ClassifySettings
from elman.tasks.classify.targets.base import Place, Target
from elman.tasks.classify.targets.kinds import KINDS
from elman.tasks.classify.targets.number import is_number
from elman.tasks.classify.targets.several_labels import listed, separator_of
from elman.tasks.shared.table import listing, shown

_MANY = 30  # different numbers that may be measured
_FRACTIONS = 10  # different numbers that are if some have fractions
_ROWS = 10  # for each class at least, on average
_FEW = 20  # examples that may all have labels of their own


def choose(
    settings: ClassifySettings, declared: str, answers: Sequence[str], place: Place
) -> tuple[type[Target], list[str]]:
    """The kind of the answers of the training data, and what the user should know about that.
    declared: what the source says itself, "" if nothing. place: where an answer stands.

    Raises:
        ArgumentError: settings that contradict each other.
        DataError: answers that are none of any kind.
    """
    if settings.order and settings.target not in ("auto", "ordered"):
        raise ArgumentError(
            f"--order is for --target ordered, got --target {settings.target}; leave one of them "
            f"out"
        )
    if settings.target != "auto":
        return KINDS[settings.target], []
    if settings.order:
        return KINDS["ordered"], []
    if declared:
        return KINDS[declared], []
    names = sorted({answer for answer in answers if answer})
    if several := _several(answers, names, place):
        return KINDS["labels"], [several]
    name, notes = _of_numbers(names, len(answers))
    if name == "label":
        _refuse_names(answers, names, place)
    return KINDS[name], notes


def _several(answers: Sequence[str], names: list[str], place: Place) -> str:
    """A note if answers are several labels; "" if they are one."""
    lists = [i for i, text in enumerate(answers) if listed(text) is not None]
    several = [i for i in lists if "," in answers[i]]
    if several and len(lists) > len(answers) / 2:
        seen = f"they are lists, as in {place(several[0])}: {shown(answers[several[0]])}"
    elif sign := separator_of(names):
        first = next(i for i, text in enumerate(answers) if sign in text)
        seen = f"the pieces of {shown(answers[first])} in {place(first)} come again as labels"
    else:
        return ""
    return f"an example may have several labels, since {seen}; if they are one, --target label"


def _of_numbers(names: list[str], count: int) -> tuple[str, list[str]]:
    """The kind of answers that may be numbers. Classes that have numbers for names have many
    examples of each, or are counted from 0 or 1."""
    if len(names) < _FRACTIONS or not all(map(is_number, names)):
        return "label", []
    numbers = sorted(map(float, names))
    what = (
        f"the labels are {len(names):,} different numbers "
        f"({listing(sorted(names, key=float)[:3])}, ...)"
    )
    if all(number.is_integer() for number in numbers):
        if len(names) < _MANY:
            return "label", []
        counted = numbers[0] in (0, 1) and numbers[-1] - numbers[0] == len(numbers) - 1
        if count >= _ROWS * len(names) or (counted and count >= 2 * len(names)):
            note = f"{what}: each is learnt as a label of its own; if they are measured, give "
            return "label", [f"{note}--target number, if they are ranks, --target ordered"]
    elif len(names) < _MANY and count >= _ROWS * len(names):
        return "label", []
    note = f"{what} for {count:,} examples: the model learns to say a number; if they are names "
    return "number", [f"{note}of classes, give --target label"]


def _refuse_names(answers: Sequence[str], names: list[str], place: Place) -> None:
    """Raise if there are about as many labels as examples."""
    if len(answers) > _FEW and len(names) > len(answers) * 0.9:
        raise DataError(
            f"{place(0)} and others: {len(answers):,} examples have {len(names):,} different "
            f"labels, but a classifier learns from several examples of each; name the column of "
            f"labels with --label-column"
        )
