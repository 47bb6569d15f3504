"""The MVTec-AD layout, which any category folders below a root may follow.

    ROOT/CATEGORY/train/good/*.png            normal images, the shots come from here
    ROOT/CATEGORY/test/good/*.png             normal test images
    ROOT/CATEGORY/test/DEFECT/NAME.png        anomalous test images
    ROOT/CATEGORY/ground_truth/DEFECT/NAME_mask.png   (or NAME.png; the folder is optional)

Files are taken in the order of their sorted names, never in the file system's.
"""

from pathlib import Path

from finegrain.data.images import SUFFIXES
from finegrain.data.samples import GOOD, Category, Sample, check_files
from finegrain.errors import DatasetError


def list_categories(root: Path) -> list[str]:
    """The names of the folders below the root that have a train/good folder, sorted."""
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder; give the one that holds the categories")
    names = sorted(entry.name for entry in root.iterdir() if (entry / "train" / GOOD).is_dir())
    if not names:
        raise DatasetError(f"{root} holds no category; expected {root}/CATEGORY/train/good/*.png")
    return names


def load_folder(dataset: str, root: Path, name: str) -> Category:
    """The category of that name below the root.

    Raises:
        DatasetError: it is not there, has no images, or misses some of its masks.
    """
    return check_files(scan_folder(dataset, root, name))


def scan_folder(dataset: str, root: Path, name: str) -> Category:
    """The same without a look whether the masks are there: those that should be are named."""
    folder = root / name
    if not (folder / "train" / GOOD).is_dir():
        raise DatasetError(
            f"{root} has no category {name!r}; found {', '.join(list_categories(root))}"
        )
    train = tuple(_images(folder / "train" / GOOD))
    if not train:
        raise DatasetError(f"{folder}/train/good holds no image; accepted: {', '.join(SUFFIXES)}")
    test = tuple(
        Sample(path, defect.name, _mask(folder / "ground_truth", defect.name, path))
        for defect in _folders(folder / "test")
        for path in _images(defect)
    )
    if not test:
        raise DatasetError(f"{folder}/test holds no image; expected test/good and test/DEFECT")
    return Category(dataset, name, root, train, test)


def _folders(parent: Path) -> list[Path]:
    return sorted(entry for entry in parent.iterdir() if entry.is_dir()) if parent.is_dir() else []


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def _mask(ground_truth: Path, defect: str, image: Path) -> Path | None:
    """Where the image's mask is or should be; None for a good one, or where there are no masks."""
    if defect == GOOD or not ground_truth.is_dir():
        return None
    for stem in (f"{image.stem}_mask", image.stem):
        for suffix in SUFFIXES:
            if (path := ground_truth / defect / f"{stem}{suffix}").is_file():
                return path
    return ground_truth / defect / f"{image.stem}_mask.png"
