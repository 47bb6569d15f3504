"""Small trees in the layouts of the real data sets, written file by file as their authors do."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 16
VISA_LINES = [
    # split, label, image, mask: not in the order of the names, as in the real file
    ("train", "normal", "Normal/0007.JPG", ""),
    ("train", "normal", "Normal/0002.JPG", ""),
    ("train", "normal", "Normal/0005.JPG", ""),
    ("test", "normal", "Normal/0001.JPG", ""),
    ("test", "anomaly", "Anomaly/001.JPG", "Anomaly/001.png"),
    ("test", "anomaly", "Anomaly/000.JPG", "Anomaly/000.png"),
]


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def mask(path: Path, value: int = 255, side: int = SIDE) -> Path:
    """One marked pixel of that value, at row 3, column 5."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((side, side), dtype=np.uint8)
    pixels[3, 5] = value
    Image.fromarray(pixels).save(path)
    return path


def empty(path: Path) -> Path:
    """A file of which only the name matters."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def write_mvtec(root: Path, name: str, train: int = 3) -> Path:
    for index in range(train):
        picture(root / name / "train/good" / f"{index:03}.png", index)
    picture(root / name / "test/good/000.png", 100)
    picture(root / name / "test/broken/000.png", 101)
    mask(root / name / "ground_truth/broken/000_mask.png")
    (root / name / "license.txt").write_text("CC BY-NC-SA")
    (root / "readme.txt").write_text("see the paper")
    return root


def write_visa(root: Path, name: str) -> Path:
    """As it is downloaded: masks hold class indices."""
    lines = ["object,split,label,image,mask", "fryum,train,normal,fryum/Data/Images/Normal/0.JPG,"]
    for seed, (split, label, image, marked) in enumerate(VISA_LINES):
        picture(root / name / "Data/Images" / image, seed)
        if marked:
            mask(root / name / "Data/Masks" / marked, value=seed)
        where = f"{name}/Data/Masks/{marked}" if marked else ""
        lines.append(f"{name},{split},{label},{name}/Data/Images/{image},{where}")
    (root / name / "image_anno.csv").write_text("image,label,mask\n")
    (root / "split_csv").mkdir()
    (root / "split_csv/1cls.csv").write_text("\n".join(lines) + "\n")
    return root


def write_converted_visa(root: Path, name: str) -> Path:
    """As the authors' script groups it: masks are black and white."""
    for seed, (split, label, image, marked) in enumerate(VISA_LINES):
        kind = "good" if label == "normal" else "bad"
        picture(root / name / split / kind / Path(image).name, seed)
        if marked:
            mask(root / name / "ground_truth/bad" / Path(marked).name)
    return root


def realiad_image(name: str, part: int, view: str, kind: str = "OK") -> str:
    """The path of an image below its category."""
    label = "OK" if kind == "OK" else f"NG_{kind}"
    folder = "OK" if kind == "OK" else f"NG/{kind}"
    return f"{folder}/S{part:04}/{name}_{part:04}_{label}_{view}_2023102113{part:04}.jpg"


def write_realiad(root: Path, name: str, good: int = 4, views: int = 2) -> Path:
    """Good parts, and two bad ones: of the second, nothing is to be seen from C1."""
    shown = [f"C{view}" for view in range(1, views + 1)]
    for part in range(1, good + 1):
        for view in shown:
            picture(root / name / realiad_image(name, part, view), part)
    for part, kind in ((1, "QS"), (2, "HS")):
        for view in shown:
            path = picture(root / name / realiad_image(name, part, view, kind), 50 + part)
            if (part, view) != (2, "C1"):
                mask(path.with_suffix(".png"))
    return root


def write_split(path: Path, name: str, train: list[str], test: list[str]) -> Path:
    """A JSON split over paths below the category; bad ones have a mask but for S0002 from C1."""

    def entry(image: str) -> dict[str, str | None]:
        bad = image.startswith("NG") and not ("S0002" in image and "_C1_" in image)
        kind = image.split("/")[1] if image.startswith("NG") else "OK"
        marked = str(Path(image).with_suffix(".png")) if bad else None
        return {"category": name, "anomaly_class": kind, "image_path": image, "mask_path": marked}

    path.parent.mkdir(parents=True, exist_ok=True)
    split = {
        "meta": {"prefix": f"{name}/", "normal_class": "OK", "pre_transform": None},
        "train": [entry(image) for image in train],
        "test": [entry(image) for image in test],
    }
    path.write_text(json.dumps(split))
    return path
