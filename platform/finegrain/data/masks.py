"""Masks on the grid of the anomaly maps, where pixel metrics are computed; S = MAP_SIZE.

Departure from the published protocols, which take the nearest pixel: of a mask that is larger than
the map, each region keeps its area, and one pixel at least. The nearest of 10 × 10 pixels misses
most regions of 6.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

MAP_SIZE = 400  # pixels a side on which metrics are computed
EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=np.int8)

Mask = npt.NDArray[np.bool_]


def to_map_size(mask: Mask) -> Mask:  # (H,W) -> (S,S)
    """As many pixels of each region as its area amounts to: those that it covers most.

    A side below S is enlarged by the nearest pixel.
    """
    height, width = (max(side, MAP_SIZE) for side in mask.shape)
    large = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    if large.shape == (MAP_SIZE, MAP_SIZE):
        return large
    rows, columns = (np.arange(side) * MAP_SIZE // side for side in large.shape)
    sizes = np.outer(np.bincount(rows), np.bincount(columns)).ravel()  # of each pixel of the map
    reduced = np.zeros(MAP_SIZE**2, dtype=bool)
    labels, _ = ndimage.label(large, structure=EIGHT_NEIGHBOURS)
    for label, (down, across) in enumerate(ndimage.find_objects(labels), start=1):
        row, column = np.nonzero(labels[down, across] == label)
        cells = rows[down][row] * MAP_SIZE + columns[across][column]
        touched, pixels = np.unique(cells, return_counts=True)
        count = max(1, round(len(row) / large.size * MAP_SIZE**2))
        most_covered = np.argsort(-pixels / sizes[touched], kind="stable")[:count]
        reduced[touched[most_covered]] = True
    return reduced.reshape(MAP_SIZE, MAP_SIZE)


def small_regions(mask: Mask) -> int:
    """How many regions (8 neighbours) of a mask (H,W) are smaller than a pixel of the map."""
    labels, _ = ndimage.label(mask, structure=EIGHT_NEIGHBOURS)
    areas = np.bincount(labels.ravel())[1:]
    return int((areas < mask.size / MAP_SIZE**2).sum())
