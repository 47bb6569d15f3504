"""Real-IAD: 30 categories, each part photographed from five sides, the views C1 (from above) to C5.

    ROOT/audiojack/OK/S0001/audiojack_0001_OK_C1_20231021130235.jpg
    ROOT/audiojack/NG/BX/S0001/audiojack_0001_NG_BX_C1_20231023111538.jpg and .png, its mask
    ROOT/realiad_jsons_sv/audiojack.json      who trains and who tests, of C1 alone
    ROOT/realiad_jsons/audiojack.json         the same of all views

The categories may lie below realiad_256, _512, _1024 or _raw, the JSON files beside that folder or
within another realiad_jsons. A view of a bad part on which nothing is to be seen has no mask and
counts as good, as the authors count it.

Without the JSON files a fixed draw halves the good parts: half of them train (whole parts, so that
none is on both sides), the others and all bad parts test. A note of the category says so.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ValidationError

from finegrain.data.known import KnownDataset
from finegrain.data.listing import folders, images_below
from finegrain.data.samples import GOOD, Category, Sample
from finegrain.errors import ConfigError, DatasetError

VIEWS = ("C1", "C2", "C3", "C4", "C5")
DEFAULT_VIEWS = ("C1",)
SPLITS, SINGLE_VIEW = "realiad_jsons", "realiad_jsons_sv"
DRAW_SEED = 0

REALIAD = KnownDataset(
    name="realiad",
    source="Real-IAD (Wang et al., CVPR 2024), https://realiad4ad.github.io/Real-IAD/",
    categories=(
        "audiojack", "bottle_cap", "button_battery", "end_cap", "eraser", "fire_hood", "mint",
        "mounts", "pcb", "phone_battery", "plastic_nut", "plastic_plug", "porcelain_doll",
        "regulator", "rolled_strip_base", "sim_card_set", "switch", "tape", "terminalblock",
        "toothbrush", "toy", "toy_brick", "transistor1", "u_block", "usb", "usb_adaptor", "vcpill",
        "wooden_beads", "woodstick", "zipper",
    ),
    markers=("OK",),
    below=("realiad_256", "realiad_512", "realiad_1024", "realiad_raw"),
    layout=(
        "CATEGORY/OK/S0001/*_C1_*.jpg and CATEGORY/NG/TYPE/S0001/*_C1_*.jpg with masks of the same "
        f"name as .png, and {SPLITS} and {SINGLE_VIEW} with CATEGORY.json beside the categories"
    ),
)  # fmt: skip


def parse_views(given: Sequence[str]) -> tuple[str, ...]:
    """The chosen views in their order; "all" is every one, and none given the default alone."""
    if list(given) == ["all"]:
        return VIEWS
    if unknown := sorted(set(given) - set(VIEWS)):
        raise ConfigError(f"no view {', '.join(unknown)}; known: {', '.join(VIEWS)}, or all")
    return tuple(view for view in VIEWS if view in given) or DEFAULT_VIEWS


def scan_realiad(root: Path, name: str, views: Sequence[str] = DEFAULT_VIEWS) -> Category:
    """The images of that category in the given views; files are not looked at."""
    base = REALIAD.base(root)
    path = _split_file(base, name, views)
    train, test = _listed(path, base) if path else _drawn(base / name)
    train = [image for image in train if view_of(image) in views]
    test = [sample for sample in test if view_of(sample.path) in views]
    if not train or not test:
        raise DatasetError(
            f"{path or base / name} has {len(train)} training and {len(test)} test images of "
            f"{name} in view {', '.join(views)}; needed some of both. {REALIAD.wanted()}"
        )
    drawn = f"no {SPLITS} beside {base}: half of the good parts, by a fixed draw, are for training"
    return Category(
        REALIAD.name,
        name,
        base,
        tuple(sorted(train)),
        tuple(sorted(test, key=lambda sample: sample.path)),
        () if path else (drawn,),
    )


def view_of(image: Path) -> str:
    """The view that a file's name tells, "" where it tells none."""
    found = re.search(r"_(C\d)_\d+$", image.stem)
    return found[1] if found else ""


class _Entry(BaseModel):
    anomaly_class: str
    image_path: str
    mask_path: str | None = None


class _Meta(BaseModel):
    prefix: str | None = None  # none: the category's folder
    normal_class: str = "OK"


class _Split(BaseModel):
    meta: _Meta = _Meta()
    train: list[_Entry]
    test: list[_Entry]


def _split_file(base: Path, name: str, views: Sequence[str]) -> Path | None:
    """The category's JSON: of the single view if that is all that is wanted, else of all views."""
    kinds = [SINGLE_VIEW, SPLITS] if tuple(views) == DEFAULT_VIEWS else [SPLITS]
    folders = [
        folder
        for kind in kinds
        for beside in (base, base.parent)
        for folder in (beside / kind, beside / SPLITS / kind)
        if folder.is_dir()
    ]
    paths = [path for folder in folders if (path := folder / f"{name}.json").is_file()]
    if folders and not paths:
        raise DatasetError(
            f"no {name}.json in {', '.join(map(str, folders))}; add it, or move the folder away "
            "to have the good parts drawn"
        )
    return paths[0] if paths else None


def _listed(path: Path, base: Path) -> tuple[list[Path], list[Sample]]:
    """Training and test images as the JSON file has them."""
    try:
        split = _Split.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DatasetError(
            f"{path} is no split of Real-IAD (meta, train, test): {error}"
        ) from error
    folder = base / (path.stem if split.meta.prefix is None else split.meta.prefix)
    test = []
    for entry in split.test:
        good = entry.mask_path is None or entry.anomaly_class == split.meta.normal_class
        mask = None if good or not entry.mask_path else folder / entry.mask_path
        test.append(Sample(folder / entry.image_path, GOOD if good else entry.anomaly_class, mask))
    return [folder / entry.image_path for entry in split.train], test


def _drawn(folder: Path) -> tuple[list[Path], list[Sample]]:
    """Training and test images by the fixed draw over the folders of the good parts."""
    parts = folders(folder / "OK")
    order = np.random.default_rng(DRAW_SEED).permutation(len(parts))
    chosen = {parts[index] for index in order[: (len(parts) + 1) // 2]}
    train = [image for part in sorted(chosen) for image in _images(part)]
    test = [Sample(image, GOOD) for part in parts if part not in chosen for image in _images(part)]
    for image in _images(folder / "NG"):
        mask = image.with_suffix(".png")
        kind = image.relative_to(folder / "NG").parts[0]
        test.append(Sample(image, kind, mask) if mask.is_file() else Sample(image, GOOD))
    return train, test


def _images(folder: Path) -> list[Path]:
    """The photographs below a folder; masks are the only PNG files."""
    return sorted(path for path in images_below(folder) if path.suffix.lower() != ".png")
