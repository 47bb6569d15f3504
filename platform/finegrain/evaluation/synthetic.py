"""Defects painted onto good images, so that a setting can be judged without any test image.

H, W height and width of an image, from which sizes are counted: side = min(H,W).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

Pixels = npt.NDArray[np.uint8]  # (H,W,3) RGB
Mask = npt.NDArray[np.bool_]  # (H,W)
Plane = npt.NDArray[np.float32]  # (H,W)
Painter = Callable[
    [npt.NDArray[np.float32], np.random.Generator, float | None], tuple[Plane, Plane]
]

VISIBLE = 8.0  # grey levels, of 255, from which on a pixel counts as changed
TRIES = 20  # a patch can land on its like, or a scratch on its own colour
SLENDER = 15.0  # lengths of a scratch in its widths, where its size is given
MARGIN = 0.1  # of the sides, within which no defect is centred


def with_defect(
    image: Pixels, kind: str, generator: np.random.Generator, area: float | None = None
) -> tuple[Pixels, Mask]:
    """A copy of the image with one defect of a kind of KINDS, and where it shows.

    Args:
        image: a good one.
        kind: of KINDS.
        generator: of its place, size and colour.
        area: about this share of the image; None draws the size as well.

    Raises:
        ValueError: nothing that was painted shows; the image may have a single colour.
    """
    plain = image.astype(np.float32)
    for _ in range(TRIES):
        colour, cover = KINDS[kind](plain, generator, area)
        painted = plain + cover[..., None] * (colour - plain)
        after = np.asarray(painted.clip(0, 255).round(), dtype=np.uint8)
        mask = np.abs(after.astype(np.float32) - plain).max(-1) >= VISIBLE
        if mask.sum() >= 4:
            return after, mask
    raise ValueError(f"a {kind} did not show on the image in {TRIES} tries")


def cut_paste(
    image: npt.NDArray[np.float32], generator: np.random.Generator, size: float | None = None
) -> tuple[Plane, Plane]:
    """A piece of the image itself, turned, lit differently and put elsewhere.

    After CutPaste (Li et al., CVPR 2021): 0.2 to 3 % of the area, sides of up to 1 : 3.
    """
    height, width = image.shape[:2]
    area, ratio = generator.uniform(0.002, 0.03), np.exp(generator.uniform(-1.1, 1.1))
    area = size or area
    rows = int(np.clip((area * height * width * ratio) ** 0.5, 4, height // 2))
    columns = int(np.clip((area * height * width / ratio) ** 0.5, 4, width // 2))
    top, left = generator.integers(0, height - rows), generator.integers(0, width - columns)
    piece = image[top : top + rows, left : left + columns]
    piece = piece * generator.uniform(0.8, 1.2) + generator.uniform(-15, 15)
    patch = Image.fromarray(np.asarray(piece.clip(0, 255), dtype=np.uint8)).convert("RGBA")
    turned = patch.rotate(generator.uniform(0, 360), Image.Resampling.BILINEAR, expand=True)
    row, column = _place(height, width, generator)
    sheet = Image.new("RGBA", (width, height))
    sheet.paste(turned, (column - turned.width // 2, row - turned.height // 2))
    pasted = np.asarray(sheet, dtype=np.float32)
    return pasted[..., :3], pasted[..., 3] / np.float32(255)


def stain(
    image: npt.NDArray[np.float32], generator: np.random.Generator, size: float | None = None
) -> tuple[Plane, Plane]:
    """A ragged blot of another colour, half transparent.

    Its outline is a level of smooth noise, as in DRAEM (Zavrtanik et al., ICCV 2021), within a
    disc of 3 to 10 % of the side.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    radius = max(3.0, side * generator.uniform(0.03, 0.1))
    if size is not None:
        radius = max(3.0, (size * height * width / np.pi) ** 0.5)
    row, column = _place(height, width, generator)
    noise = ndimage.gaussian_filter(generator.normal(size=(height, width)), radius / 4)
    rows, columns = np.ogrid[:height, :width]
    distance = np.hypot(rows - row, columns - column) / radius
    inside = 1 - distance + 0.5 * noise / noise.std() * (distance < 2)
    cover = np.clip(3 * inside, 0, 1) * generator.uniform(0.35, 0.9)
    return _another_colour(image, row, column, generator), cover.astype(np.float32)


def scratch(
    image: npt.NDArray[np.float32], generator: np.random.Generator, size: float | None = None
) -> tuple[Plane, Plane]:
    """A thin bowed line, darker or brighter than what it runs over."""
    height, width = image.shape[:2]
    side = min(height, width)
    row, column = _place(height, width, generator)
    angle, length = generator.uniform(0, np.pi), side * generator.uniform(0.08, 0.35)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    along = (columns - column) * np.cos(angle) + (rows - row) * np.sin(angle)
    across = (rows - row) * np.cos(angle) - (columns - column) * np.sin(angle)
    bowed = across - generator.uniform(-0.2, 0.2) / length * along**2
    half_width = max(0.7, side * generator.uniform(0.002, 0.006))
    if size is not None:
        length = (size * height * width * SLENDER) ** 0.5
        half_width = max(0.7, length / SLENDER / 2)
    taper = np.clip(4 * (1 - np.abs(along) / (length / 2)), 0, 1)
    cover = np.clip(half_width + 0.5 - np.abs(bowed), 0, 1) * taper * generator.uniform(0.5, 1)
    colour = image + generator.choice([-1, 1]) * generator.uniform(40, 110)
    return colour, cover.astype(np.float32)


KINDS: dict[str, Painter] = {"cut-paste": cut_paste, "stain": stain, "scratch": scratch}


def _place(height: int, width: int, generator: np.random.Generator) -> tuple[int, int]:
    """Row and column of a defect's centre."""
    row, column = generator.uniform(MARGIN, 1 - MARGIN, 2)
    return int(row * height), int(column * width)


def _another_colour(
    image: npt.NDArray[np.float32], row: int, column: int, generator: np.random.Generator
) -> Plane:  # -> (H,W,3)
    """One colour everywhere, away from the image's at that place."""
    here = image[row, column]
    away = np.where(here > 127, -1, 1) * generator.uniform(30, 120, 3)
    return np.broadcast_to(here + away, image.shape)
