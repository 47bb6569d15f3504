"""The MVTec-AD layout, which any category folders below a root may follow.

    ROOT/CATEGORY/train/good/*.png            normal images, the shots come from here
    ROOT/CATEGORY/test/good/*.png             normal test images
    ROOT/CATEGORY/test/DEFECT/NAME.png        anomalous test images
    ROOT/CATEGORY/ground_truth/DEFECT/NAME_mask.png   (or NAME.png; the folder is optional)
    ROOT/CATEGORY/ground_truth/DEFECT/NAME/*.png      several masks of an image: all of them count

A part of which there are only good photographs needs less: ROOT/CATEGORY/good/*.png, or
ROOT/CATEGORY/*.png. It can be fitted and served, and not measured.

Data sets that differ by the names of their folders alone say so by a `Layout`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from finegrain.data.formats import SUFFIXES
from finegrain.data.listing import folders, images, unread
from finegrain.data.samples import GOOD, Category, Sample, check_files
from finegrain.errors import DatasetError

NORMAL = {
    "good", "goods", "ok", "okay", "normal", "normals", "nominal", "negative", "healthy", "clean",
    "pass", "passed", "perfect", "flawless", "io", "gut", "良品", "正常", "合格",
}  # fmt: skip
FREE_OF = {"defectfree", "nodefect", "nodefects", "nondefective", "anomalyfree"}
DENIED = {"not", "no", "non", "un", "bad", "defect", "defects", "anomaly"}
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+")  # OK_images, OKImages, good-2


@dataclass(frozen=True)
class Layout:
    """What the folders within a category's are called.

    Args:
        good: normal images, below the training and the test images.
        test: test images.
        masks: masks; those of good images are not looked for.
    """

    good: str = GOOD
    test: str = "test"
    masks: str = "ground_truth"


MVTEC_LAYOUT = Layout()


def list_categories(root: Path, good: str = GOOD) -> list[str]:
    """The names of the folders below the root that have a train/good folder, sorted.

    Where none has, the names of those that hold good photographs in another way.
    """
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder; give the one that holds the categories")
    found = folders(root)
    split = [entry.name for entry in found if (entry / "train" / good).is_dir()]
    parts = [entry for entry in found if entry.name not in (GOOD, good)]  # that is a level too deep
    names = split or [entry.name for entry in parts if good_photos(entry, good)]
    if not names:
        raise DatasetError(
            f"{root} holds no category; expected {root}/CATEGORY/train/{good}/*.png, or, with good "
            f"photographs alone, {root}/CATEGORY/{good}/*.png or {root}/CATEGORY/*.png"
            + _other_name(found)
        )
    return names


def good_photos(folder: Path, good: str = GOOD) -> tuple[Path, ...]:
    """A part's good images: of train/good, else of good, else of the folder itself; may be none."""
    names = dict.fromkeys((good, GOOD))
    places = [folder / "train" / name for name in names] + [folder / name for name in names]
    place = next((place for place in (*places, folder) if place.is_dir()), None)
    return tuple(images(place)) if place else ()


def sounds_normal(name: str) -> bool:
    """Whether a folder of that name probably holds images without a defect: ok, Good, OK_images."""
    words = [word.lower() for word in WORDS.findall(name)]
    if "".join(words) in FREE_OF:
        return True
    return not NORMAL.isdisjoint(words) and DENIED.isdisjoint(words)


def load_folder(dataset: str, root: Path, name: str, layout: Layout = MVTEC_LAYOUT) -> Category:
    """The category of that name below the root.

    Raises:
        DatasetError: it is not there, has no images, misses some of its masks, or has normal test
            images that would count as a defect.
    """
    return check_files(scan_folder(dataset, root, name, layout))


def scan_folder(dataset: str, root: Path, name: str, layout: Layout = MVTEC_LAYOUT) -> Category:
    """The same without a look whether the masks are there: those that should be are named."""
    folder, good = root / name, layout.good
    train = good_photos(folder, good)
    if not train:
        if (folder / "train" / good).is_dir():
            raise DatasetError(
                f"{folder}/train/{good} holds no image; accepted: {', '.join(SUFFIXES)}"
            )
        raise DatasetError(
            f"{root} has no category {name!r}; found {', '.join(list_categories(root, good))}"
        )
    masks = folder / layout.masks
    kinds = [kind for kind in folders(folder / layout.test) if kind != masks]
    if dataset == "folder":
        _check_kinds(kinds, good)
    test = tuple(
        sample for kind in kinds for sample in _samples(kind, kind.name == good, masks / kind.name)
    )
    begun = [place for place in (layout.test, layout.masks) if (folder / place).is_dir()]
    if not test and (dataset != "folder" or begun):
        raise DatasetError(
            f"{folder}/{layout.test} holds no image; expected {layout.test}/{good} and "
            f"{layout.test}/DEFECT"
        )
    notes = () if test else (f"{name} has no test image: it is fitted, not measured",)
    read = dict.fromkeys((*kinds, train[0].parent))
    ignored = tuple(path for place in read if place != folder for path in unread(place))
    return Category(dataset, name, root, train, test, notes, ignored)


def _samples(kind: Path, good: bool, masks: Path) -> list[Sample]:
    """The test images of one folder; those of good parts are called so whatever it is called."""
    found = {} if good else _by_stem(masks)
    wanted = not good and masks.parent.is_dir()
    if wanted:
        _check_stems(images(kind))
    return [
        Sample(
            path,
            GOOD if good else kind.name,
            _mask(found, path) or masks / f"{path.stem}_mask.png" if wanted else None,
        )
        for path in images(kind)
    ]


def _by_stem(masks: Path) -> dict[str, Path]:
    """Stem -> mask or folder of masks; also by the stem in small letters."""
    kinds = sorted(images(masks), key=lambda path: SUFFIXES.index(path.suffix.lower()))
    found = {entry.name: entry for entry in folders(masks)}
    for path in kinds:
        found.setdefault(path.stem, path)
    found = {normalize("NFC", stem): path for stem, path in found.items()}  # macOS writes NFD
    return {stem.lower(): path for stem, path in found.items()} | found


def _mask(found: dict[str, Path], image: Path) -> Path | None:
    """The image's mask: of its name with _mask, or of its very name."""
    stem = normalize("NFC", image.stem)
    stems = (f"{stem}_mask", stem)
    return next((found[s] for s in (*stems, *map(str.lower, stems)) if s in found), None)


def _check_stems(paths: Sequence[Path]) -> None:
    """DatasetError where two images would share one mask."""
    first: dict[str, Path] = {}
    for path in paths:
        other = first.setdefault(normalize("NFC", path.stem), path)
        if other != path:
            raise DatasetError(
                f"{other} and {path.name} would share one mask; rename one of them, or remove it"
            )


def _check_kinds(kinds: Sequence[Path], good: str) -> None:
    """DatasetError where a folder that sounds normal would count as a kind of defect."""
    for kind in kinds:
        if kind.name != good and sounds_normal(kind.name) and images(kind):
            beside = kind.parent / good
            remedy = f"give --good {kind.name!r}, or rename it {good}"
            if beside.is_dir():
                remedy = f"move its images to {beside}, or rename it if it shows a defect"
            raise DatasetError(f"{kind} sounds normal, but would count as a defect; {remedy}")


def _other_name(categories: Sequence[Path]) -> str:
    """What to do where the normal images lie in a folder of another name."""
    for category in categories:
        for inner in (*folders(category / "train"), *folders(category)):
            if sounds_normal(inner.name):
                return f". {inner} sounds normal: give --good {inner.name!r}, or rename it {GOOD}"
    return ""
