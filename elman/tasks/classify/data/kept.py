"""What a run keeps of its examples."""

from functools import cached_property

from elman.errors import RunError
from elman.tasks.base import Restored
from elman.tasks.classify.data import dataset
from elman.tasks.classify.data.dataset import Catalogue, Dataset
from elman.tasks.classify.data.examples import PARTS
from elman.tasks.classify.data.origins import Origins


class KeptExamples:
    """Each part is read when it is first asked for, since a run may be copied without its data."""

    def __init__(self, saved: Restored) -> None:
        self.saved = saved

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue.from_json(self.saved.vocabulary)

    @cached_property
    def parts(self) -> dict[str, Dataset]:
        return dataset.read(self.saved.folder, self.catalogue, self.saved.text("sha256"))

    @cached_property
    def origins(self) -> Origins | None:
        """Where the examples came from; None if the run was started before that was kept."""
        sha256 = self.saved.data.get("origins_sha256")
        if not isinstance(sha256, str):
            return None
        sizes = [len(self.parts[part]) for part in PARTS]
        return Origins.read(self.saved.folder, sha256, sizes)

    def beginnings(self, part: str, most: int) -> list[str]:
        """The first characters of each text of a part, as they stood in the file; of a signal, how
        long it is."""
        if self.catalogue.channels:
            return [f"signal of {length:,} steps" for length in self.parts[part].lengths]
        sha256 = self.saved.text("sha256")
        return dataset.read_texts(
            self.saved.folder, self.catalogue, sha256, PARTS.index(part), most
        )

    @property
    def notes(self) -> list[str]:
        """What the run says about its data, of the right kind if somebody has changed it."""
        data = self.saved.data
        notes, sizes = data.get("notes"), [data.get(part) for part in PARTS]
        if not isinstance(notes, list) or not all(type(size) is int for size in sizes):
            raise RunError(
                f"config.toml: the [data] table must hold notes, {', '.join(PARTS)}; restore it or "
                f"train anew"
            )
        counted = ", ".join(f"{size:,} {part}" for part, size in zip(PARTS, sizes, strict=True))
        described = self.catalogue.target.described
        return [f"{described}; examples: {counted}", *map(str, notes)]
