"""Which K normal images a detector is fitted on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from finegrain.data.samples import Category
from finegrain.errors import DatasetError


@dataclass(frozen=True)
class Shot:
    """A chosen normal image and the SHA-256 of its file, by which a result can be traced."""

    path: Path
    sha256: str


def select_shots(category: Category, count: int, seed: int) -> tuple[Path, ...]:
    """K normal images drawn by seed from the sorted file names.

    The draw for K is the start of the draw for more, so that shot numbers compare on nested sets.
    """
    if not 0 <= count <= len(category.train):
        raise DatasetError(
            f"{category.name} has {len(category.train)} normal training images; {count} shots "
            f"were asked for, needed 0 to {len(category.train)}"
        )
    order = np.random.default_rng(seed).permutation(len(category.train))
    return tuple(category.train[index] for index in order[:count])


def shots_at(category: Category, indices: Sequence[int]) -> tuple[Path, ...]:
    """The normal images at the given places in the sorted file names."""
    last = len(category.train) - 1
    outside = [index for index in indices if not 0 <= index <= last]
    if outside:
        raise DatasetError(f"{category.name} has normal images 0 to {last}; the list has {outside}")
    if len(set(indices)) < len(indices):
        raise DatasetError(f"the shots of {category.name} name an image twice: {list(indices)}")
    return tuple(category.train[index] for index in indices)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_no_leak(shots: Sequence[Shot], test_sha256: Sequence[str], category: str) -> None:
    """DatasetError if the content of a shot is also that of a test image."""
    for shot in shots:
        if shot.sha256 in test_sha256:
            raise DatasetError(
                f"shot {shot.path} of {category} is also a test image; remove it from one of them"
            )
