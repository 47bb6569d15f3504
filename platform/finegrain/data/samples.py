"""Which files make up a category; no pixels here."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from finegrain.errors import DatasetError

GOOD = "good"


@dataclass(frozen=True)
class Sample:
    """A test image; `defect` is "good" for a normal one, and `mask` marks its anomalous pixels."""

    path: Path
    defect: str
    mask: Path | None = None

    @property
    def anomalous(self) -> bool:
        """Whether the image shows a defect."""
        return self.defect != GOOD


@dataclass(frozen=True)
class Category:
    """One kind of part: the normal images that shots are drawn from, and the test images."""

    dataset: str
    name: str
    root: Path
    train: tuple[Path, ...]
    test: tuple[Sample, ...]
    notes: tuple[str, ...] = ()  # how it departs from what its authors publish

    @property
    def has_masks(self) -> bool:
        """Whether pixel metrics can be computed."""
        return any(sample.mask for sample in self.test)

    def fingerprint(self) -> str:
        """SHA-256 over every file's name below the root and its size: cheap, without pixels."""
        digest = hashlib.sha256()
        files = [*self.train, *(sample.path for sample in self.test)]
        files += [sample.mask for sample in self.test if sample.mask]
        for path in files:
            digest.update(f"{path.relative_to(self.root)}\0{path.stat().st_size}\n".encode())
        return digest.hexdigest()


def check_files(category: Category) -> Category:
    """The same category; DatasetError names the first image or mask that is not there."""
    for path in (*category.train, *(sample.path for sample in category.test)):
        if not path.is_file():
            raise DatasetError(
                f"{path} is missing, which the list of {category.name}'s images names; add it"
            )
    bare = [sample for sample in category.test if sample.mask and not sample.mask.is_file()]
    if bare:
        more = f", nor have {len(bare) - 1} others" if len(bare) > 1 else ""
        raise DatasetError(
            f"{bare[0].path} has no mask; expected {bare[0].mask}{more}. Add it, or, in the "
            "MVTec-AD layout, remove the whole ground_truth folder to go without pixel metrics"
        )
    return category
