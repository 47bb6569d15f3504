"""A part's photos and what operators said of it, as a data set in the MVTec-AD layout."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from finegrain.data.images import read_rgb
from finegrain.data.shots import file_sha256
from finegrain.errors import ConfigError
from finegrain.evaluation.figures import png
from finegrain.files import new_directory
from finegrain.tracking.parts import Feedback, PartRuns
from finegrain.tracking.registry import Registry

MISSED = "missed"  # its defect folder


def export_feedback(uri: str, dataset: str, category: str, folder: Path) -> dict[str, int]:
    """Write FOLDER/CATEGORY whole; how many images each of its folders has.

    train/good has the photos of the champion, those that corrections added among them; test/good
    the other good ones; test/missed the missed defects, with their boxes as masks. Of what was
    said of one image, the last word counts, and no image lies in two folders.

    Raises:
        ConfigError: the part has no champion, or FOLDER/CATEGORY exists.
    """
    champion = Registry(uri).champion(dataset, category)
    if champion is None:
        raise ConfigError(f"{dataset}/{category} has no champion")
    target, runs = folder / category, PartRuns(uri)
    if target.exists():
        raise ConfigError(f"{target} exists; give another folder with --out")
    with TemporaryDirectory() as scratch, new_directory(target) as new:
        photos = runs.photos(Registry(uri).run_of(champion), Path(scratch) / "photos")
        images = Path(scratch) / "feedback"
        last = {said.sha256: said for said in runs.feedback(champion, images)}
        shots = {file_sha256(path): path for path in photos}
        missed = {digest for digest, said in last.items() if said.kind == MISSED}
        for digest, path in shots.items():
            if digest not in missed:
                _copy(path, new / "train" / "good" / path.name)
        for digest, said in last.items():
            if digest in missed:
                _copy(images / said.image, new / "test" / MISSED / said.image)
                _write_mask(images / said.image, said, new / "ground_truth" / MISSED)
            elif digest not in shots:
                _copy(images / said.image, new / "test" / "good" / said.image)
        kinds = ("train/good", "test/good", f"test/{MISSED}")
        return {kind: len(list((new / kind).glob("*"))) for kind in kinds}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


def _write_mask(image: Path, said: Feedback, folder: Path) -> None:
    height, width = read_rgb(image).shape[:2]
    mask = np.zeros((height, width, 3), np.uint8)
    left, top, right, bottom = said.box or (0, 0, width, height)
    mask[top:bottom, left:right] = 255
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{image.stem}_mask.png").write_bytes(png(mask))
