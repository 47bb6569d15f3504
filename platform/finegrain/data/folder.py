"""The MVTec-AD layout, which any category folders below a root may follow.

    ROOT/CATEGORY/train/good/*.png            normal images, the shots come from here
    ROOT/CATEGORY/test/good/*.png             normal test images
    ROOT/CATEGORY/test/DEFECT/NAME.png        anomalous test images
    ROOT/CATEGORY/ground_truth/DEFECT/NAME_mask.png   (or NAME.png; the folder is optional)

A part of which there are only good photographs needs less: ROOT/CATEGORY/good/*.png, or
ROOT/CATEGORY/*.png. It can be fitted and served, and not measured.

Files are taken in the order of their sorted names, never in the file system's. What a name hides by
a dot is nobody's image.
"""

from pathlib import Path

from finegrain.data.formats import SUFFIXES
from finegrain.data.samples import GOOD, Category, Sample, check_files
from finegrain.errors import DatasetError


def list_categories(root: Path) -> list[str]:
    """The names of the folders below the root that have a train/good folder, sorted.

    Where none has, the names of those that hold good photographs in another way.
    """
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder; give the one that holds the categories")
    folders = _folders(root)
    split = [entry.name for entry in folders if (entry / "train" / GOOD).is_dir()]
    parts = [entry for entry in folders if entry.name != GOOD]  # that is a level too deep
    names = split or [entry.name for entry in parts if good_photos(entry)]
    if not names:
        raise DatasetError(
            f"{root} holds no category; expected {root}/CATEGORY/train/good/*.png, or, with good "
            f"photographs alone, {root}/CATEGORY/good/*.png or {root}/CATEGORY/*.png"
        )
    return names


def good_photos(folder: Path) -> tuple[Path, ...]:
    """A part's good images: of train/good, else of good, else of the folder itself; may be none."""
    places = (folder / "train" / GOOD, folder / GOOD, folder)
    place = next((place for place in places if place.is_dir()), None)
    return tuple(_images(place)) if place else ()


def load_folder(dataset: str, root: Path, name: str) -> Category:
    """The category of that name below the root.

    Raises:
        DatasetError: it is not there, has no images, or misses some of its masks.
    """
    return check_files(scan_folder(dataset, root, name))


def scan_folder(dataset: str, root: Path, name: str) -> Category:
    """The same without a look whether the masks are there: those that should be are named."""
    folder = root / name
    train = good_photos(folder)
    if not train:
        if (folder / "train" / GOOD).is_dir():
            raise DatasetError(
                f"{folder}/train/good holds no image; accepted: {', '.join(SUFFIXES)}"
            )
        raise DatasetError(
            f"{root} has no category {name!r}; found {', '.join(list_categories(root))}"
        )
    test = tuple(
        Sample(path, defect.name, _mask(folder / "ground_truth", defect.name, path))
        for defect in _folders(folder / "test")
        for path in _images(defect)
    )
    begun = [place for place in ("test", "ground_truth") if (folder / place).is_dir()]
    if not test and (dataset != "folder" or begun):
        raise DatasetError(f"{folder}/test holds no image; expected test/good and test/DEFECT")
    notes = () if test else (f"{name} has no test image: it is fitted, not measured",)
    return Category(dataset, name, root, train, test, notes)


def _folders(parent: Path) -> list[Path]:
    found = parent.iterdir() if parent.is_dir() else ()
    return sorted(entry for entry in found if entry.is_dir() and not _hidden(entry))


def _images(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and path.is_file() and not _hidden(path)
    )


def _hidden(path: Path) -> bool:
    return path.name.startswith((".", "__MACOSX"))


def _mask(ground_truth: Path, defect: str, image: Path) -> Path | None:
    """Where the image's mask is or should be; None for a good one, or where there are no masks."""
    if defect == GOOD or not ground_truth.is_dir():
        return None
    for stem in (f"{image.stem}_mask", image.stem):
        for suffix in SUFFIXES:
            if (path := ground_truth / defect / f"{stem}{suffix}").is_file():
                return path
    return ground_truth / defect / f"{image.stem}_mask.png"
