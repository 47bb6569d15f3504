"""VisA in both layouts that are about; either gives the same samples in the same order.

    ROOT/candle/Data/Images/{Normal,Anomaly}/0000.JPG   as it is downloaded
    ROOT/candle/Data/Masks/Anomaly/000.png
    ROOT/split_csv/1cls.csv                             object,split,label,image,mask

    ROOT/candle/train/good/0000.JPG                     as the authors' script converts it
    ROOT/candle/test/{good,bad}/000.JPG
    ROOT/candle/ground_truth/bad/000.png

A downloaded mask holds small class indices, so that it looks black; all above 0 is anomalous.
"""

import csv
from pathlib import Path

from finegrain.data.folder import scan_folder
from finegrain.data.known import KnownDataset
from finegrain.data.samples import GOOD, Category, Sample
from finegrain.errors import DatasetError

BAD = "bad"
SPLIT = Path("split_csv", "1cls.csv")
COLUMNS = ("object", "split", "label", "image", "mask")
ORIGINAL, CONVERTED = "Data/Images/Normal", "train/good"

VISA = KnownDataset(
    name="visa",
    source=(
        "VisA (Zou et al., SPot-the-Difference, ECCV 2022), "
        "https://github.com/amazon-science/spot-diff"
    ),
    categories=(
        "candle", "capsules", "cashew", "chewinggum", "fryum", "macaroni1", "macaroni2", "pcb1",
        "pcb2", "pcb3", "pcb4", "pipe_fryum",
    ),
    markers=(ORIGINAL, CONVERTED),
    below=("1cls", "visa", "visa_pytorch"),
    layout=(
        f"CATEGORY/{ORIGINAL}/*.JPG and so on with {SPLIT.as_posix()} beside the categories, or "
        f"CATEGORY/{CONVERTED}, test/good, test/bad and ground_truth/bad"
    ),
)  # fmt: skip


def scan_visa(root: Path, name: str) -> Category:
    """The category of that name, in whichever layout it is; files are not looked at."""
    base = VISA.base(root)
    if (base / name / CONVERTED).is_dir():
        return scan_folder(VISA.name, base, name)
    train: list[Path] = []
    test: list[Sample] = []
    for line in _split_lines(base / SPLIT):
        if line["object"] != name:
            continue
        image = base / line["image"]
        if line["split"] == "train":
            train.append(image)
        elif line["label"] == "normal":
            test.append(Sample(image, GOOD))
        else:
            test.append(Sample(image, BAD, base / line["mask"] if line["mask"] else None))
    if not train or not test:
        raise DatasetError(f"{base / SPLIT} names no train or no test images of {name}")
    test.sort(key=lambda sample: (sample.defect, sample.path.name))
    train.sort(key=lambda path: path.name)
    return Category(VISA.name, name, base, tuple(train), tuple(test))


def _split_lines(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restval="")
            lines = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"{path}, which says what is for training, can't be read ({error}); {VISA.wanted()}"
        ) from error
    if missing := set(COLUMNS) - set(reader.fieldnames or ()):
        raise DatasetError(
            f"{path} has no column {', '.join(sorted(missing))}; needed {','.join(COLUMNS)}"
        )
    return lines
