"""A scene from its name and number: deterministic, and independent of any other scene."""

import hashlib

import numpy as np

from finegrain.errors import ConfigError, DatasetError
from finegrain.factory.canvas import Canvas
from finegrain.factory.light import draw_light, shade
from finegrain.factory.part import Flaw, Part, Rendering
from finegrain.factory.parts import PARTS

SIDE = 320  # pixels
SPLITS = ("train", "test")


def find_part(category: str) -> Part:
    """The part of that name; DatasetError, which lists the known ones, where there is none."""
    if category not in PARTS:
        raise DatasetError(f"factory has no category {category!r}; found {', '.join(PARTS)}")
    return PARTS[category]


def render(category: str, split: str, defect: str | None, index: int, seed: int) -> Rendering:
    """One picture of a part; the same arguments always give the same bytes.

    With and without a defect, an index shows the same individual in the same light: only what the
    defect changes differs.

    Args:
        category: a name in CATEGORIES.
        split: train or test.
        defect: one of the part's defects; None for a good part.
        index: of the individual, from 0.
        seed: of the whole data set.

    Raises:
        DatasetError: no such category or defect.
        ConfigError: no such split, or a negative number.
    """
    part = find_part(category)
    if defect is not None and defect not in part.defects:
        raise DatasetError(f"{category} has no defect {defect!r}; found {', '.join(part.defects)}")
    if split not in SPLITS:
        raise ConfigError(f"no split {split!r}; known: {', '.join(SPLITS)}")
    if min(index, seed) < 0:
        raise ConfigError(f"index and seed must not be negative; got {index} and {seed}")
    canvas = Canvas(SIDE)
    individual = _generator("individual", category, split, index, seed)
    damage = _generator("damage", category, split, index, seed, defect or "")
    part.draw(canvas, individual, Flaw(defect, damage))
    light = draw_light(_generator("light", category, split, index, seed), SIDE)
    return Rendering(shade(canvas, light), canvas.defect, canvas.masks())


def _generator(*key: str | int) -> np.random.Generator:
    """A generator that depends on the key alone, the same in every process and on every machine."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype="<u4"))
