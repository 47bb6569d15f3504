"""Small real data on disk, made by these few lines so that every test knows what is in it."""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from finegrain.backbones import load_backbone
from finegrain.captions import Provenance, caption_from_facts
from finegrain.loopback import ENVIRONMENT

os.environ.update(ENVIRONMENT)  # before anything imports ray, which reads them only once

torch.set_num_threads(1)  # pytest-xdist runs as many of these processes as CI has cores

LONG_FILES = (
    "serving/test_server.py",
    "cluster/test_benchmark.py",
    "serving/test_deploy.py",
    "cli/test_wheel.py",
    "detectors/test_detectors.py",
    "cli/test_cli.py",
    "benchmark/test_trial.py",
    "studies/test_controls.py",
    "test_docs.py",
    "cluster/test_head.py",
    "tracking/test_published.py",
    "backbones/test_open_clip_weights.py",
    "backbones/test_bundled.py",
)


def pytest_collection_modifyitems(items):
    """Two workers take file after file in this order: long ones first, so that none ends alone."""
    last = len(LONG_FILES)
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: places.get(item.path, last))


SIDE = 64
PLATE = caption_from_facts(
    "folder",
    "plate",
    {
        "foreground": "plate",
        "background": "white",
        "components": [
            {
                "name": "stripes",
                "number": "multiple",
                "location": "evenly distributed",
                "direction": "vertical",
                "color": ["grey"],
                "texture": ["smooth"],
                "shape": ["straight", "rectangular"],
            },
            {
                "name": "bore",
                "number": "1",
                "location": "center",
                "direction": None,
                "color": ["black"],
                "texture": ["rough"],
                "shape": ["circular"],
            },
        ],
        "defects": ["hole", "scratch"],
    },
    Provenance(source="hand"),
).model_dump(mode="json")


def striped(generator, defect=False):
    """A striped plate with some noise, and a dark square of 12 pixels where it has a defect."""
    stripes = 120 + 60 * np.sin(np.arange(SIDE) / 4 + generator.uniform(0, 0.5))
    image = np.repeat(stripes[None, :, None], SIDE, 0) + generator.normal(0, 4, (SIDE, SIDE, 3))
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    if defect:
        row, column = generator.integers(4, SIDE - 16, 2)
        mask[row : row + 12, column : column + 12] = True
        image[mask] = 20
    return image.clip(0, 255).astype(np.uint8), mask


def write_category(root: Path, name: str, seed: int, train=5, good=4, bad=4) -> Path:
    """A category in the MVTec-AD layout with one kind of defect, "hole"."""
    generator = np.random.default_rng(seed)
    for folder, count, defect in (
        ("train/good", train, 0),
        ("test/good", good, 0),
        ("test/hole", bad, 1),
    ):
        (root / name / folder).mkdir(parents=True)
        for index in range(count):
            image, mask = striped(generator, bool(defect))
            Image.fromarray(image).save(root / name / folder / f"{index:03}.png")
            if defect:
                masks = root / name / "ground_truth" / "hole"
                masks.mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask).save(masks / f"{index:03}_mask.png")
    return root


@pytest.fixture
def plates(tmp_path):
    """A root with the categories "plate_a" and "plate_b"."""
    root = tmp_path / "data"
    write_category(root, "plate_a", seed=1)
    return write_category(root, "plate_b", seed=2)


@cache
def bundled():
    return load_backbone("bundled")


@pytest.fixture(scope="session")
def backbone():
    return bundled()
