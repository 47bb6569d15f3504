"""Data sets as files: categories, their shots and their test samples.

samples.py   Sample and Category: paths and labels, no pixels
images.py    the one image reader, with limits and clear errors
folder.py    the MVTec-AD layout
warping.py   images turned, shifted and zoomed
shots.py     the K shots: drawn by seed or listed, with the hash of each file
factory/     the embedded, procedural data set
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from finegrain.data.factory import CATEGORIES, write_factory
from finegrain.data.folder import list_categories, load_folder
from finegrain.data.samples import Category, Sample
from finegrain.errors import ConfigError, DatasetError

__all__ = ["DATASETS", "Category", "Sample", "load_category", "prepare_dataset"]

DATASETS = ("factory", "folder")


def prepare_dataset(
    dataset: str,
    root: Path,
    categories: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """The names of the chosen categories (all by default), each of them there on disk afterwards.

    The factory is rendered below the root where it is missing.
    """
    if dataset not in DATASETS:
        raise ConfigError(f"no dataset {dataset!r}; known: {', '.join(DATASETS)}")
    known = sorted(CATEGORIES) if dataset == "factory" else list_categories(root)
    chosen = list(categories or known)
    if unknown := [name for name in chosen if name not in known]:
        raise DatasetError(
            f"{dataset} has no category {', '.join(map(repr, unknown))}; found {', '.join(known)}"
        )
    if dataset == "factory":
        write_factory(root, categories=chosen, progress=progress)
    return chosen


def load_category(dataset: str, root: Path, name: str) -> Category:
    """The files of one category of a data set below its root."""
    return load_folder(dataset, root, name)
