"""What a run keeps of its text."""

from functools import cached_property
from typing import Any

from elman.errors import DataError, RunError
from elman.tasks.base import Restored
from elman.tasks.language.data.corpus import Checksums, Corpus, open_corpus
from elman.tasks.language.data.vocabulary import Vocabulary


class KeptText:
    """Each part is read when it is first asked for, since a run may be copied without its data."""

    def __init__(self, saved: Restored) -> None:
        self._saved = saved

    @cached_property
    def vocabulary(self) -> Vocabulary:
        try:
            return Vocabulary.from_json(self._saved.vocabulary)
        except DataError as error:
            raise RunError(
                f"{self._saved.folder}: {error}; restore vocabulary.json or train anew"
            ) from None

    @cached_property
    def corpus(self) -> Corpus:
        return open_corpus(self._saved.folder, self.vocabulary, _checksums(self._saved.data))


def _checksums(data: dict[str, Any]) -> Checksums:
    try:
        return Checksums(
            int(data["tokens"]), str(data["source_sha256"]), str(data["tokens_sha256"])
        )
    except (KeyError, TypeError, ValueError):
        raise RunError(
            "config.toml: the [data] table must hold tokens, source_sha256 and tokens_sha256; "
            "restore it or train anew"
        ) from None
