"""Which K normal images a detector is fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from finegrain.data.formats import is_image
from finegrain.data.samples import Category, file_sha256
from finegrain.errors import DatasetError

__all__ = [
    "Shot", "check_no_leak", "drawable", "file_sha256", "select_shots", "shots_at",
]  # fmt: skip


@dataclass(frozen=True)
class Shot:
    """A chosen normal image and the SHA-256 of its file, by which a result can be traced."""

    path: Path
    sha256: str


def drawable(category: Category) -> tuple[Path, ...]:
    """The normal training images without files that are named like an image and are none."""
    return tuple(path for path in category.train if is_image(path))


def select_shots(category: Category, count: int, seed: int) -> tuple[Path, ...]:
    """K normal images drawn by seed from the sorted file names.

    The draw for K is the start of the draw for more, so that shot numbers compare on nested sets.
    What is no image takes no part in it, and moves no other.
    """
    images = drawable(category)
    if not 0 <= count <= len(images):
        strays = [path for path in category.train if path not in images]
        left_out = f"; {strays[0]} is not an image, {len(strays)} in all" if strays else ""
        raise DatasetError(
            f"{category.name} has {len(images)} normal training images; {count} shots "
            f"were asked for, needed 0 to {len(images)}{left_out}"
        )
    order = np.random.default_rng(seed).permutation(len(images))
    return tuple(images[index] for index in order[:count])


def shots_at(category: Category, indices: Sequence[int]) -> tuple[Path, ...]:
    """The normal images at the given places in the sorted file names."""
    last = len(category.train) - 1
    outside = [index for index in indices if not 0 <= index <= last]
    if outside:
        raise DatasetError(f"{category.name} has normal images 0 to {last}; the list has {outside}")
    for path in category.train[: max(indices, default=-1) + 1]:
        if not is_image(path):
            raise DatasetError(f"{path} is no image, and moves the places of the list; remove it")
    if len(set(indices)) < len(indices):
        raise DatasetError(f"the shots of {category.name} name an image twice: {list(indices)}")
    return tuple(category.train[index] for index in indices)


def check_no_leak(shots: Sequence[Shot], test_sha256: Sequence[str], category: str) -> None:
    """DatasetError if the content of a shot is also that of a test image."""
    for shot in shots:
        if shot.sha256 in test_sha256:
            raise DatasetError(
                f"shot {shot.path} of {category} is also a test image; remove it from one of them"
            )
