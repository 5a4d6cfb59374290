"""Words of a text, in any script, and the numbers that a model reads them as."""

import re
import unicodedata
import zlib
from functools import cache, lru_cache
from itertools import groupby

import numpy as np

BUCKETS = 1 << 15
"""Numbers that all forms and n-grams of words share."""
GRAMS = 20
"""N-grams of a word that are read, at most."""
COLUMNS = 2 + GRAMS
"""Numbers of a word: of its plain form, of its form as it stands, and of its n-grams."""
_ORDERS = (3, 4, 5)
_LONGEST = 32  # characters of a word whose n-grams are looked at

# Scripts that put no blank between words: each character stands for itself.
_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han, Kana
)


def words_of(text: str) -> list[str]:
    """The words of a text in their order, as they are written.

    A web address is one word, and so are a word with its apostrophes and hyphens, a number, a run
    of one mark (`!!!`), an emoji, and each character of a script without blanks.

    Example:
        >>> words_of("Don't pay £5.00!!! 東京 @home")
        ["Don't", 'pay', '£', '5.00', '!!!', '東', '京', '@home']
    """
    return [found.group() for found in _pattern().finditer(text)]


def starts_of_words(text: str) -> list[int]:
    """Where each of `words_of` begins."""
    return [found.start() for found in _pattern().finditer(text)]


def plain(word: str) -> str:
    """What words that are written differently have in common: no case, and no digit but 0."""
    return re.sub(r"\d", "0", word.casefold())


@lru_cache(maxsize=1 << 16)
def word_features(word: str) -> np.ndarray:
    """`(COLUMNS - 1,)` int32: the bucket of the word as it stands, and of its n-grams with the ends
    of the word marked (P. Bojanowski et al., "Enriching word vectors with subword information",
    TACL 2017), from 1; 0 where there are no more."""
    marked = f"<{plain(word[:_LONGEST])}>"
    grams = [
        marked[start : start + order]
        for order in _ORDERS
        for start in range(len(marked) - order + 1)
    ][:GRAMS]
    found = np.zeros(COLUMNS - 1, dtype=np.int32)
    found[: 1 + len(grams)] = [_bucket("=" + word), *map(_bucket, grams)]
    found.flags.writeable = False
    return found


def _bucket(text: str) -> int:
    return 1 + zlib.crc32(text.encode("utf-8", errors="surrogatepass")) % (BUCKETS - 1)


@cache
def _pattern() -> re.Pattern[str]:
    letter = rf"(?:(?![{_UNSPACED}])[\w{_marks()}])"  # re's \w lacks the vowel signs of India
    return re.compile(
        rf"https?://\S+|www\.\S+|[{_UNSPACED}]|[@#]?{letter}+(?:['’.,:/_-]{letter}+)*"
        r"|([^\w\s])\1*"
    )


def _marks() -> str:
    """The combining marks of Unicode, as ranges of a regular expression."""
    points = [p for p in range(0x300, 0x1F000) if unicodedata.category(chr(p))[0] == "M"]
    ranges = []
    for _, group in groupby(enumerate(points), lambda pair: pair[1] - pair[0]):
        run = [point for _, point in group]
        ranges.append(f"{chr(run[0])}-{chr(run[-1])}")
    return "".join(ranges)
