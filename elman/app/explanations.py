"""How `elman predict --explain` prints what each piece of an example did to its label."""

from elman.app.terminal import harmless
from elman.tasks.classify.data.examples import Item, short
from elman.tasks.classify.use.explanation import Explanation, Piece

_TOLD = 8  # pieces of an example that are told to people
_LITTLE = 0.05  # share of the largest effect below which a piece is not told

# Backgrounds of the 256 colours of terminals, from a little to much, with the colour of letters.
_FOR = ("48;5;195;38;5;16", "48;5;153;38;5;16", "48;5;75;38;5;16", "48;5;26;38;5;231")
_AGAINST = ("48;5;224;38;5;16", "48;5;217;38;5;16", "48;5;203;38;5;16", "48;5;160;38;5;231")


def told(item: Item, explained: Explanation, coloured: bool) -> str:
    """The pieces for people, the strongest first; before them a text in colours if asked for."""
    largest = max((abs(piece.effect) for piece in explained.pieces), default=0.0)
    strong = [
        piece for piece in explained.strongest(_TOLD) if abs(piece.effect) > _LITTLE * largest
    ]
    parts = [
        f"{word} {', '.join(f'{_named(item, explained, p)} {p.effect:+.2f}' for p in its)}"
        for word, its in (
            ("for it:", [piece for piece in strong if piece.effect > 0]),
            ("against it:", [piece for piece in strong if piece.effect < 0]),
        )
        if its
    ]
    line = f"    {'; '.join(parts) or 'no piece alone changes it'}\n"
    if coloured and isinstance(item, str):
        return f"    {_in_colours(explained, largest)}\n{harmless(line)}"
    return line


def _in_colours(explained: Explanation, largest: float) -> str:
    shown = []
    for piece in explained.pieces:
        # A line end would break the line, and an escape would be obeyed.
        letters = harmless(" ".join(explained.letters(piece).split("\n")))
        share = abs(piece.effect) / largest if largest else 0.0
        if share <= _LITTLE:
            shown.append(letters)
        else:
            style = (_FOR if piece.effect > 0 else _AGAINST)[min(int(4 * share), 3)]
            shown.append(f"\x1b[{style}m{letters}\x1b[0m")
    return "".join(shown)


def _named(item: Item, explained: Explanation, piece: Piece) -> str:
    """A piece as people find it: counted from 1."""
    where = f"{piece.start + 1}" + (f"-{piece.stop}" if piece.stop > piece.start + 1 else "")
    if isinstance(item, str):
        return f"{short(explained.letters(piece))!r} ({where})"
    return f"steps {where}" + (f" of channel {piece.channel + 1}" if item.shape[1] > 1 else "")
