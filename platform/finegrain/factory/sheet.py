"""The whole factory at a glance: a row per category, good parts first, then each defect."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import binary_dilation

from finegrain.factory.frame import Mask
from finegrain.factory.part import Rendering
from finegrain.factory.parts import PARTS
from finegrain.factory.render import find_part, render

GAP_PX = 4
OUTLINE = (255, 40, 90)
Pixels = npt.NDArray[np.uint8]


def contact_sheet(
    categories: Sequence[str] | None = None,
    *,
    good: int = 3,
    outline: bool = True,
    cell_px: int = 160,
    index: int = 0,
    seed: int = 0,
    turn: float = 0.0,
    shift: float = 0.0,
) -> Pixels:
    """A picture (H,W,3): rows are categories, columns `good` good parts and then the defects.

    Args:
        categories: names in CATEGORIES, all by default.
        good: how many good parts.
        outline: draw the border of each defect mask.
        cell_px: side of a picture.
        index: of the first individual.
        seed: of the data set.
        turn: as for `render`.
        shift: as for `render`.
    """
    names = list(PARTS) if categories is None else list(categories)
    rows = []
    for name in names:
        wanted: list[str | None] = [None] * good + list(find_part(name).defects)
        scenes = [
            render(name, "test", defect, index + number, seed, turn=turn, shift=shift)
            for number, defect in enumerate(wanted)
        ]
        rows.append(_row(scenes, outline, cell_px))
    width = max(row.shape[1] for row in rows)
    padded = [
        np.pad(row, ((0, GAP_PX), (0, width - row.shape[1]), (0, 0)), constant_values=255)
        for row in rows
    ]
    return np.concatenate(padded)


def _row(scenes: Sequence[Rendering], outline: bool, cell_px: int) -> Pixels:
    cells = []
    for scene in scenes:
        image = outlined(scene.image, scene.mask) if outline else scene.image
        small = Image.fromarray(image).resize((cell_px, cell_px), Image.Resampling.LANCZOS)
        cells.append(np.pad(np.asarray(small), ((0, 0), (0, GAP_PX), (0, 0)), constant_values=255))
    return np.concatenate(cells, axis=1)


def outlined(image: Pixels, mask: Mask) -> Pixels:
    """The image with a line around its defect, a few pixels away from it."""
    near = binary_dilation(mask, iterations=4)
    border = binary_dilation(near, iterations=2) & ~near
    return np.where(border[..., None], np.array(OUTLINE, dtype=np.uint8), image)
