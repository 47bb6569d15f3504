"""The factory on disk, in the MVTec-AD layout; a category is there whole or not at all."""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from PIL import Image

from finegrain.factory.part import Part, Rendering
from finegrain.factory.parts import PARTS
from finegrain.factory.render import check_moves, find_part, render
from finegrain.files import new_directory, write_json

VERSION = 1  # of the pictures: raise it when a renderer draws something else
TRAIN, TEST_GOOD, TEST_DEFECT = 12, 20, 6  # images a category; the last a defect type
MANIFEST = "factory.json"
# Sensor noise has no repeats to look for: coding its statistics alone is smaller and faster.
COMPRESSION = {"compress_level": 1, "compress_type": zlib.Z_HUFFMAN_ONLY}
# Data sets by name: turn in degrees and shift in sides of the picture.
FACTORIES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"factory": (0.0, 0.0), "factory_turned": (180.0, 0.05)}
)
Work = tuple[str, str | None, int, str]  # split, defect, individual, name below the category


def write_factory(
    root: Path,
    *,
    categories: Sequence[str] | None = None,
    seed: int = 0,
    turn: float = 0.0,
    shift: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Render the categories (all by default) below the root, where they are not there yet.

    Args:
        root: the folder of the data set.
        categories: names in CATEGORIES.
        seed: of the whole data set.
        turn: how far parts are turned beyond their category's own pose, as for `render`.
        shift: how far they are moved beyond it.
        progress: told the number of images done and of all that this call renders.

    Returns:
        The root.

    Raises:
        DatasetError: an unknown category.
        ConfigError: turn or shift out of range.
    """
    check_moves(turn, shift)
    moves = {"turn": turn, "shift": shift} if turn or shift else {}
    parts = [find_part(name) for name in (PARTS if categories is None else categories)]
    missing = [part for part in parts if not is_complete(root / part.name, part, seed, moves)]
    total, done = sum(len(list(planned_files(part))) for part in missing), 0
    for part in missing:
        with new_directory(root / part.name) as folder:
            for work in planned_files(part):
                _write_scene(folder, part, work, seed, moves)
                done += 1
                if progress:
                    progress(done, total)
            write_json(folder / MANIFEST, manifest(part, seed, moves))
    return root


def planned_files(part: Part) -> Iterator[Work]:
    """Every image of a category; each shows another individual."""
    for index in range(TRAIN):
        yield "train", None, index, f"train/good/{index:03}"
    for index in range(TEST_GOOD):
        yield "test", None, index, f"test/good/{index:03}"
    for row, defect in enumerate(part.defects):
        for index in range(TEST_DEFECT):
            individual = TEST_GOOD + row * TEST_DEFECT + index
            yield "test", defect, individual, f"test/{defect}/{index:03}"


def manifest(part: Part, seed: int, moves: Mapping[str, float]) -> dict[str, object]:
    """What a finished category says of itself."""
    return {
        "version": VERSION,
        "seed": seed,
        "category": part.name,
        "images": len(list(planned_files(part))),
        "facts": part.facts,
        **moves,
    }


def is_complete(folder: Path, part: Part, seed: int, moves: Mapping[str, float]) -> bool:
    """Whether the folder holds this category in this version, seed and moves."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found == manifest(part, seed, moves))


def _write_scene(
    folder: Path, part: Part, work: Work, seed: int, moves: Mapping[str, float]
) -> None:
    split, defect, individual, name = work
    scene: Rendering = render(part.name, split, defect, individual, seed, **moves)
    _write_png(folder / f"{name}.png", scene.image)
    if defect is not None:
        truth = folder / "ground_truth" / defect / f"{Path(name).name}_mask.png"
        _write_png(truth, scene.mask.astype(np.uint8) * 255)


def _write_png(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "PNG", **COMPRESSION)
