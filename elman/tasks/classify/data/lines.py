"""Labelled lines of text: fastText's, and those with a label before or behind each text.

fastText marks labels by `__label__` (fasttext.cc/docs/en/supervised-tutorial.html). The SMS Spam
Collection has lines `ham<tab>text`, TREC's questions `DESC:def text`, and UCI's labelled sentences
`text<tab>1`.
"""

import json
from collections import Counter
from collections.abc import Sequence

from elman.errors import DataError
from elman.tasks.classify.data.examples import Examples, short
from elman.tasks.shared.table import listing
from elman.tasks.shared.text import lines_of

FORMATS = ("fasttext", "label-text", "text-label")
_MARK = "__label__"
_LONGEST = 50  # characters of what may be a label
_ALONE = 0.02  # share of lines whose label may stand nowhere else
_ROWS = 5  # for each label, on average


def is_fasttext(content: str) -> bool:
    """Whether the first line has fastText's mark."""
    first = next((line for line in lines_of(content) if line.strip()), "")
    return any(word.startswith(_MARK) for word in first.split())


def labels_stand(content: str, known: Sequence[str] = ()) -> str | None:
    """Where labels stand in each line: "label-text" or "text-label" if that is clear, else None.

    It is if the words there are few and come again and again, and those on the other side are not;
    or if most of them are known labels.
    """
    lines = [line.strip("\r\n") for line in lines_of(content) if line.strip()]
    if sum(len(line.split()) > 1 for line in lines) <= len(lines) / 2:
        return None
    tabs = bool(lines) and all(line.count("\t") == 1 for line in lines)
    first = [_cut(line, "label-text", tabs)[0] for line in lines]
    last = [_cut(line, "text-label", tabs)[0] for line in lines] if tabs else []
    names = set(known)
    for kind, words in (("label-text", first), ("text-label", last)):
        if sum(word in names for word in words) > len(lines) / 2:
            return kind
    clear = [_come_again(words) for words in (first, last)]
    if clear[0] and not tabs and _stand_elsewhere(set(first), lines):
        return None
    if clear == [True, False]:
        return "label-text"
    return "text-label" if clear == [False, True] else None


def _come_again(words: list[str]) -> bool:
    """Whether these are labels, which occur again and again, and no beginnings of texts."""
    counts = Counter(words)
    alone = sum(count == 1 for count in counts.values())
    return (
        2 <= len(counts) <= max(2, len(words) // _ROWS)
        and "" not in counts
        and alone <= _ALONE * len(words)
        and max(map(len, counts)) <= _LONGEST
    )


def _stand_elsewhere(words: set[str], lines: list[str]) -> bool:
    """Whether the first words of lines are words of texts, which occur in most of them."""
    inside = sum(not words.isdisjoint(line.split()[1:]) for line in lines)
    return inside > len(lines) / 2


def _cut(line: str, kind: str, tabs: bool) -> tuple[str, str]:
    """Label and text of a line; the label alone if nothing follows it."""
    if kind == "text-label":
        text, _, label = line.rpartition("\t" if tabs else " ")
    elif tabs:
        label, _, text = line.partition("\t")
    else:
        label, _, text = line.strip().replace("\t", " ", 1).partition(" ")
    return label.strip(), text.strip()


def parse_lines(content: str, name: str, kind: str, labelled: bool = True) -> Examples:
    """The examples of labelled lines; an empty one for a blank line.

    Raises:
        DataError: a line without a label, or with several; with its number.
    """
    lines = [line.strip() for line in lines_of(content)]
    if kind == "fasttext":
        pairs = [_marked(line, f"{name}, line {i}", labelled) for i, line in enumerate(lines, 1)]
        _require_spaces([label for label, _ in pairs], name)
        pairs = _all_several(pairs)
        notes = [f"read as fastText's lines: {_MARK}LABEL TEXT"]
    else:
        tabs = all("\t" in line for line in lines if line)
        pairs = [_cut(line, kind, tabs) for line in lines]
        between = "a tab" if tabs else "a space"
        first, second = ("label", "text") if kind == "label-text" else ("text", "label")
        notes = [
            f"each line is read as {first}, {between}, {second}; labels: "
            f"{listing(sorted({label for label, _ in pairs if label}))}"
        ]
    if labelled and not any(label for label, _ in pairs):
        raise DataError(f"{name} is empty; a line for each example was expected")
    return Examples([text for _, text in pairs], [label for label, _ in pairs], notes=notes)


def _marked(line: str, place: str, labelled: bool) -> tuple[str, str]:
    """Label and text of one of fastText's lines; several labels as a JSON list."""
    marks = [word for word in line.split() if word.startswith(_MARK)]
    if not marks:
        if labelled and line:
            raise DataError(
                f"{place}: expected {_MARK}LABEL before the text, got {short(line)!r}; label it, "
                f"or leave the line out"
            )
        return "", line
    labels = list(dict.fromkeys(mark.removeprefix(_MARK) for mark in marks))
    if "" in labels:
        raise DataError(f"{place}: {_MARK} must be followed by a label; write it without a space")
    if len(labels) > 1:
        text = " ".join(word for word in line.split() if not word.startswith(_MARK))
        return json.dumps(labels, ensure_ascii=False), text
    before, _, behind = line.partition(marks[0])
    return labels[0], " ".join(filter(None, (before.strip(), behind.strip())))


def _all_several(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """If some examples have several labels, each has a list of them."""
    lists = [label[:1] == "[" for label, _ in pairs]
    if not any(lists):
        return pairs
    return [
        (label if listed or not label else json.dumps([label], ensure_ascii=False), text)
        for (label, text), listed in zip(pairs, lists, strict=True)
    ]


def _require_spaces(labels: list[str], name: str) -> None:
    """Raise if texts follow their labels without a space, which makes them part of the labels."""
    glued = [i for i, label in enumerate(labels) if "," in label and label[:1] != "["]
    begun = {label.partition(",")[0] for label in labels}
    if len(glued) > len(labels) / 2 and len(set(labels)) > 2 * len(begun):
        raise DataError(
            f"{name}, line {glued[0] + 1}: expected a space between label and text, got "
            f"{short(_MARK + labels[glued[0]])!r}; put one there, in place of the comma"
        )
