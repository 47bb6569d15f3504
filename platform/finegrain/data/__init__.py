"""Data sets as files: categories, their shots and their test samples.

samples.py   Sample and Category: paths and labels, no pixels
formats.py   which kinds of files are read, and how they begin
images.py    the one image reader, with limits and clear errors
masks.py     masks on the grid of the maps
listing.py   the one reader of folders: what is nobody's image
folder.py    the MVTec-AD layout, and those that name its folders otherwise
warping.py   images turned, shifted and zoomed
known.py     a published data set: its categories, its errors; mvtec.py, visa.py, realiad.py and
             others.py
shots.py     the K shots: drawn by seed or listed, with the hash of each file
published.py the K shots of published results
checkup.py   what is wrong with the files below a root
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from finegrain.data.folder import Layout, list_categories, scan_folder
from finegrain.data.mvtec import MVTEC
from finegrain.data.others import BTAD, LOCO, MVTEC_AD2
from finegrain.data.published import with_published_shots
from finegrain.data.realiad import REALIAD, parse_views, scan_realiad
from finegrain.data.samples import GOOD, Category, Sample, check_files
from finegrain.data.visa import VISA, scan_visa
from finegrain.errors import ConfigError, DatasetError
from finegrain.factory import CATEGORIES, FACTORIES, write_factory

__all__ = [
    "DATASETS", "KNOWN", "Category", "Sample", "load_category", "prepare_dataset", "scan_category",
]  # fmt: skip

KNOWN = {known.name: known for known in (MVTEC, LOCO, MVTEC_AD2, BTAD, VISA, REALIAD)}
DATASETS = (*FACTORIES, "folder", *KNOWN)


def prepare_dataset(
    dataset: str,
    root: Path,
    categories: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    good: str = GOOD,
) -> list[str]:
    """The names of the chosen categories (all by default), each of them there on disk afterwards.

    A factory is rendered below the root where it is missing.
    """
    known = _categories(dataset, root, good)
    wanted = KNOWN[dataset].categories if dataset in KNOWN else known
    chosen = list(categories or wanted)
    if unknown := [name for name in chosen if name not in known]:
        where = "" if categories else "; add them, or choose with --categories"
        raise DatasetError(
            f"{dataset} has no category {', '.join(map(repr, unknown))}; "
            f"found {', '.join(known)}{where}"
        )
    if dataset in FACTORIES:
        turn, shift = FACTORIES[dataset]
        write_factory(root, categories=chosen, turn=turn, shift=shift, progress=progress)
    return chosen


def load_category(
    dataset: str,
    root: Path,
    name: str,
    views: Sequence[str] = (),
    published: bool = False,
    good: str = GOOD,
) -> Category:
    """The files of one category of a data set below its root, all of them there.

    Args:
        views: of Real-IAD, its default where none is given.
        published: the published shots are to be among the training images.
        good: what the folders of normal images are called, of the data set `folder` alone.
    """
    return check_files(scan_category(dataset, root, name, views, published, good))


def scan_category(
    dataset: str,
    root: Path,
    name: str,
    views: Sequence[str] = (),
    published: bool = False,
    good: str = GOOD,
) -> Category:
    """The same from names and lists alone: a file of it may be missing."""
    _check_good(dataset, good)
    if views and dataset != REALIAD.name:
        raise ConfigError(f"only {REALIAD.name} has views; {dataset} has none to choose from")
    if dataset in KNOWN and name not in (found := KNOWN[dataset].present(root)):
        raise DatasetError(f"{dataset} has no category {name!r}; found {', '.join(found)}")
    match dataset:
        case "visa":
            return scan_visa(root, name)
        case "realiad":
            category = scan_realiad(root, name, parse_views(views))
            return with_published_shots(category) if published else category
        case _ if dataset in KNOWN:
            known = KNOWN[dataset]
            return scan_folder(dataset, known.base(root), name, known.names)
        case _:
            return scan_folder(dataset, root, name, Layout(good=good))


def _check_good(dataset: str, good: str) -> None:
    if dataset != "folder" and good != GOOD:
        raise ConfigError(f"--good is of the data set folder; {dataset} names its folders itself")


def _categories(dataset: str, root: Path, good: str) -> list[str]:
    _check_good(dataset, good)
    if dataset not in DATASETS:
        raise ConfigError(f"no dataset {dataset!r}; known: {', '.join(DATASETS)}")
    if dataset in FACTORIES:
        return sorted(CATEGORIES)
    return KNOWN[dataset].present(root) if dataset in KNOWN else list_categories(root, good)
