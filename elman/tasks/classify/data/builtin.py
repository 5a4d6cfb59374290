"""The data that needs no file: names of countries and languages in 35 languages.

They come from the Unicode CLDR project, as Babel carries it. A string's label is its language;
strings that several of the languages share are left out.
"""

from collections import defaultdict

from elman.errors import DataError
from elman.tasks.classify.data.examples import Examples

NAME = "names of countries and languages (Unicode CLDR, through Babel)"
LANGUAGES = (
    "ar", "bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "eu", "fi", "fr", "he", "hi", "hr",
    "hu", "id", "it", "ja", "ko", "lt", "lv", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "tr",
    "uk", "vi", "zh",
)  # fmt: skip


def country_and_language_names() -> Examples:
    """About 19,000 strings in 35 languages; how many depends on the version of Babel.

    Raises:
        DataError: Babel is not installed.
    """
    try:
        from babel import Locale
    except ImportError:
        raise DataError(
            "without DATA, names that Babel carries are classified, but Babel is not installed; "
            "pip install 'elman[demo]', or name a file or folder of your own"
        ) from None
    languages_of: dict[str, set[str]] = defaultdict(set)
    label_of = {}
    for code in LANGUAGES:
        locale = Locale(code)
        label_of[code] = str(locale.english_name)
        for table in (locale.territories, locale.languages):
            for key, value in table.items():
                if not str(key).isdecimal():  # regions such as 419, Latin America
                    languages_of[value.strip()].add(code)
    pairs = sorted(
        (text, codes.pop()) for text, codes in languages_of.items() if len(codes) == 1 and text
    )
    return Examples([text for text, _ in pairs], [label_of[code] for _, code in pairs])
