"""Which files make up a category; no pixels here."""

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from finegrain.data.listing import images
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
    ignored: tuple[Path, ...] = ()  # beside its images: pictures that are not read, folders of them

    @property
    def has_masks(self) -> bool:
        """Whether pixel metrics can be computed."""
        return any(sample.mask for sample in self.test)

    def fingerprint(self) -> str:
        """SHA-256 over every file's name below the root and its content."""
        digest = hashlib.sha256()
        files = [*self.train, *(sample.path for sample in self.test)]
        for sample in self.test:
            if sample.mask:
                files += images(sample.mask) if sample.mask.is_dir() else [sample.mask]
        for path in files:
            digest.update(f"{path.relative_to(self.root)}\0{file_sha256(path)}\n".encode())
        return digest.hexdigest()


def check_files(category: Category) -> Category:
    """The same category; DatasetError names the first image or mask that is not there."""
    for path in (*category.train, *(sample.path for sample in category.test)):
        if not path.is_file():
            raise DatasetError(
                f"{path} is missing, which the list of {category.name}'s images names; add it"
            )
    bare = [sample for sample in category.test if sample.mask and not sample.mask.exists()]
    if bare:
        more = f", nor have {len(bare) - 1} others" if len(bare) > 1 else ""
        raise DatasetError(
            f"{bare[0].path} has no mask; expected {bare[0].mask}{more}. Add it, or, in the "
            "MVTec-AD layout, remove the whole ground_truth folder to go without pixel metrics"
        )
    return category


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, read once as long as nothing was written to it."""
    stat = path.stat()
    return _sha256(os.fspath(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


@lru_cache(maxsize=200_000)
def _sha256(path: str, *_stamps: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
