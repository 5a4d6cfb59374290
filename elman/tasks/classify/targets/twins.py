"""Labels that people read as one, though a program tells them apart."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from elman.tasks.shared.table import listing

_UNSEEN = ("Cc", "Cf", "Zs")  # categories: control and format characters, spaces of any width
_SELECTORS = range(0xFE00, 0xFE10)  # say how the character before them is drawn
_NUMBER = re.compile(r"([+-]?)(\d+)(?:\.(\d*))?")


def twins(labels: Iterable[str]) -> list[str]:
    """A note that names them, if there are any."""
    names = sorted(set(labels))
    bare = {name: _bare(name) for name in names}
    counts = Counter(bare.values())
    if found := [name for name in names if counts[bare[name]] > 1]:
        return [
            f"labels that differ only in capital letters, spaces, unseen characters, or in how a "
            f"letter or number is written, are different labels: {listing([*map(repr, found)])}"
        ]
    return []


def _bare(label: str) -> str:
    """What people read: in one case and width, without what is not seen; of a number, its value."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    seen = "".join(
        c for c in plain if unicodedata.category(c) not in _UNSEEN and ord(c) not in _SELECTORS
    )
    if (number := _NUMBER.fullmatch(seen)) is None:
        return seen
    sign, whole, rest = number.groups(default="")
    return f"{sign.strip('+')}{whole.lstrip('0')}.{rest.rstrip('0')}"
