"""A scene from its name and number: deterministic, and independent of any other scene."""

import hashlib
import math

import numpy as np

from finegrain.errors import ConfigError, DatasetError
from finegrain.factory.canvas import Canvas
from finegrain.factory.light import draw_light, shade
from finegrain.factory.part import Flaw, Part, Rendering
from finegrain.factory.parts import PARTS

SIDE = 320  # pixels
SPLITS = ("train", "test")
MOST_TURN, MOST_SHIFT = 180.0, 0.1  # with more, a defect could lie outside the picture


def find_part(category: str) -> Part:
    """The part of that name; DatasetError, which lists the known ones, where there is none."""
    if category not in PARTS:
        raise DatasetError(f"factory has no category {category!r}; found {', '.join(PARTS)}")
    return PARTS[category]


def render(
    category: str,
    split: str,
    defect: str | None,
    index: int,
    seed: int,
    *,
    turn: float = 0.0,
    shift: float = 0.0,
) -> Rendering:
    """One picture of a part; the same arguments always give the same bytes.

    With and without a defect, an index shows the same individual, in the same place and light: only
    what the defect changes differs.

    Args:
        category: a name in CATEGORIES.
        split: train or test.
        defect: one of the part's defects; None for a good part.
        index: of the individual, from 0.
        seed: of the whole data set.
        turn: the part is turned by at most so many degrees more than its category is, to either
            side; 180 is any angle.
        shift: and moved by at most this share of the picture's side more, along x and along y.

    Raises:
        DatasetError: no such category or defect.
        ConfigError: no such split, a negative number, or a turn or shift out of range.
    """
    part = find_part(category)
    if defect is not None and defect not in part.defects:
        raise DatasetError(f"{category} has no defect {defect!r}; found {', '.join(part.defects)}")
    if split not in SPLITS:
        raise ConfigError(f"no split {split!r}; known: {', '.join(SPLITS)}")
    if min(index, seed) < 0:
        raise ConfigError(f"index and seed must not be negative; got {index} and {seed}")
    check_moves(turn, shift)
    move = _generator("move", category, split, index, seed)
    dx, dy = (move.uniform(-shift, shift, 2) * SIDE).tolist()
    canvas = Canvas(SIDE, (dx, dy, math.radians(move.uniform(-turn, turn))))
    individual = _generator("individual", category, split, index, seed)
    damage = _generator("damage", category, split, index, seed, defect or "")
    part.draw(canvas, individual, Flaw(defect, damage))
    light = draw_light(_generator("light", category, split, index, seed), SIDE)
    return Rendering(shade(canvas, light), canvas.defect, canvas.masks())


def check_moves(turn: float, shift: float) -> None:
    """ConfigError where a turn in degrees or a shift in sides is out of range."""
    if not (0 <= turn <= MOST_TURN and 0 <= shift <= MOST_SHIFT):
        raise ConfigError(
            f"turn must be in [0, {MOST_TURN:g}] degrees and shift in [0, {MOST_SHIFT}] sides; "
            f"got {turn} and {shift}"
        )


def _generator(*key: str | int) -> np.random.Generator:
    """A generator that depends on the key alone, the same in every process and on every machine."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype="<u4"))
