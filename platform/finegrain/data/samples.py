"""Which files make up a category; no pixels here."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

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
