"""Sentences by language, as `elman train classify` reads them, from a corpus of one text.

The Universal Declaration of Human Rights in 50 languages (NLTK's corpus udhr2, see docs/data.md),
cut into sentences: a folder of LANGUAGE.txt files with one sentence a line.

    python benchmarks/udhr_sentences.py udhr2.zip data/udhr
"""

import argparse
import re
import zipfile
from pathlib import Path

LANGUAGES = (
    "afr", "als", "arb", "bul", "cat", "ces", "cmn_hans", "cym", "dan", "deu", "ell_monotonic",
    "eng", "epo", "est", "eus", "fin", "fra", "gle", "glg", "hau_NE", "heb", "hin", "hrv", "hun",
    "ind", "isl", "ita", "jpn", "kor", "lat", "lav", "lit", "mkd", "mlt", "nld", "nob", "pol",
    "por_PT", "ron", "rus", "slk", "slv", "spa", "srp_cyrl", "swe", "swh", "tgl", "tha", "tur",
    "ukr",
)  # fmt: skip
END = re.compile(r"(?<=[.;!?。；！？؟।])\s*")


def sentences(text: str) -> list[str]:
    pieces = (piece.strip() for line in text.splitlines() for piece in END.split(line))
    return [
        piece for piece in pieces if sum(map(str.isalpha, piece)) >= 2
    ]  # no numbers of articles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path, help="udhr2.zip")
    parser.add_argument("folder", type=Path, help="to write LANGUAGE.txt files to")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with zipfile.ZipFile(options.archive) as archive:
        for language in LANGUAGES:
            found = sentences(archive.read(f"udhr2/{language}.txt").decode("utf-8"))
            (options.folder / f"{language}.txt").write_text("\n".join(found) + "\n", "utf-8")
            count += len(found)
    print(f"{count:,} sentences in {len(LANGUAGES)} languages in {options.folder}")


if __name__ == "__main__":
    main()
