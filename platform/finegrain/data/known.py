"""A published data set: its categories, where they lie below a root, and what is said if not."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from finegrain.data.folder import MVTEC_LAYOUT, Layout
from finegrain.data.listing import entries, folders
from finegrain.errors import DatasetError

NAMED = 12  # entries of a folder that a message names


@dataclass(frozen=True)
class KnownDataset:
    """What is known of a data set before its files are seen.

    Args:
        name: as --dataset has it.
        source: title, paper and project page, where the official download is described.
        categories: all of them, sorted.
        markers: a folder within a category, one of which makes it one.
        below: lower-case names of folders that may lie between the root and the categories.
        layout: what is expected below the root.
        names: of the folders within a category, in the layout of folder.py.
    """

    name: str
    source: str
    categories: tuple[str, ...]
    markers: tuple[str, ...]
    below: tuple[str, ...]
    layout: str
    names: Layout = MVTEC_LAYOUT

    def base(self, root: Path) -> Path:
        """The folder of the categories, at the root or below it.

        Raises:
            DatasetError: no category is there, or two folders hold some.
        """
        if not root.is_dir():
            raise DatasetError(f"{root} is not a folder; {self.wanted()}")
        bases = [folder for folder in self._candidates(root) if self._within(folder)]
        if not bases:
            raise DatasetError(
                f"{root} holds no category of {self.name}; found {_entries(root)}. {self.wanted()}"
            )
        if len(bases) > 1:
            raise DatasetError(
                f"{root} holds {self.name} more than once; give one of "
                f"{', '.join(map(str, bases))} as the root"
            )
        return bases[0]

    def present(self, root: Path) -> list[str]:
        """The known categories that are there, sorted; anything else is ignored."""
        return self._within(self.base(root))

    def wanted(self) -> str:
        """What to put below the root, and where it comes from."""
        return f"expected {self.layout}. The official download is described by {self.source}"

    def _within(self, base: Path) -> list[str]:
        return [
            name
            for name in self.categories
            if any((base / name / marker).is_dir() for marker in self.markers)
        ]

    def _candidates(self, folder: Path) -> Iterator[Path]:
        yield folder
        for entry in folders(folder):
            if entry.name.lower() in self.below:
                yield from self._candidates(entry)


def _entries(folder: Path) -> str:
    names = [entry.name for entry in entries(folder)]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return (", ".join(names[:NAMED]) or "nothing") + more
