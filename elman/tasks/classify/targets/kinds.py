"""The kinds of answers that a model may learn to give: one row for one kind."""

from collections.abc import Mapping
from typing import Any

from elman.errors import RunError
from elman.tasks.classify.targets.base import Target
from elman.tasks.classify.targets.number import Number
from elman.tasks.classify.targets.one_label import OneLabel
from elman.tasks.classify.targets.ordered_label import OrderedLabel
from elman.tasks.classify.targets.several_labels import SeveralLabels

KINDS: Mapping[str, type[Target]] = {
    kind.name: kind for kind in (OneLabel, Number, OrderedLabel, SeveralLabels)
}


def to_json(target: Target) -> dict[str, Any]:
    return {"kind": target.name, **target.to_json()}


def from_json(value: object) -> Target:
    """Raises `RunError` unless the value is what `to_json` gives."""
    kept = value if isinstance(value, dict) else {}
    name = kept.get("kind")
    if not isinstance(name, str) or name not in KINDS:
        raise RunError(
            f"vocabulary.json must hold under target a kind, one of {', '.join(KINDS)}; restore "
            f"it or train anew"
        )
    return KINDS[name].from_json(kept)
