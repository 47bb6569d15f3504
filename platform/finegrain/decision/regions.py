"""From scores to a decision: whether a part is rejected, where, and which component that concerns.

S side of an anomaly map, N patches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

BACKGROUND = "background"  # its unit's name
MOST_REGIONS = 20  # the highest are kept


@dataclass(frozen=True)
class Region:
    """A connected area of the map above its threshold.

    Args:
        box: left, top, right and bottom in pixels of the image; the last two are just outside.
        area: share of the image, 0 to 1.
        score: the map's maximum in it.
        component: name of the unit that most of it was matched with, the background only where
            there is no other; None for detectors without units.
        caption: that unit's sentence.
    """

    box: tuple[int, int, int, int]
    area: float
    score: float
    component: str | None = None
    caption: str | None = None


def find_regions(
    anomaly_map: npt.NDArray[np.floating[Any]],
    threshold: float,
    size: tuple[int, int],
    matched: npt.NDArray[np.integer[Any]] | None = None,
    units: Sequence[tuple[str, str]] = (),
) -> list[Region]:
    """The regions of a map, highest score first, at most MOST_REGIONS.

    Args:
        anomaly_map: (S,S).
        threshold: of a pixel.
        size: width and height of the image.
        matched: (rows,columns) places in `units`.
        units: name and sentence of each.
    """
    labels, count = ndimage.label(anomaly_map > threshold)
    places = ndimage.find_objects(labels)
    owners = None if matched is None else _enlarged(matched, anomaly_map.shape)
    found = []
    for label, (rows, columns) in enumerate(places[:count], start=1):
        inside = labels[rows, columns] == label
        scores = np.where(inside, anomaly_map[rows, columns], 0)
        name, sentence = None, None
        if owners is not None:
            name, sentence = units[_owner(owners[rows, columns], scores, units)]
        box = _to_image(rows, columns, anomaly_map.shape, size)
        area = float(inside.sum() / anomaly_map.size)
        found.append(Region(box, area, float(scores.max()), name, sentence))
    return sorted(found, key=lambda region: -region.score)[:MOST_REGIONS]


def _owner(
    owners: npt.NDArray[np.int32],
    scores: npt.NDArray[np.floating[Any]],
    units: Sequence[tuple[str, str]],
) -> int:
    """The place in `units` of the one that holds most of the scores."""
    votes = np.bincount(owners.ravel(), weights=scores.ravel(), minlength=len(units))
    parts = [name != BACKGROUND for name, _ in units]
    return int((votes * parts).argmax() if (votes * parts).any() else votes.argmax())


def _enlarged(
    matched: npt.NDArray[np.integer[Any]], shape: tuple[int, ...]
) -> npt.NDArray[np.int32]:
    """(rows,columns) -> (S,S), each value as a block."""
    small = Image.fromarray(matched.astype(np.int32))
    return np.asarray(small.resize((shape[1], shape[0]), Image.Resampling.NEAREST))


def _to_image(
    rows: slice, columns: slice, shape: tuple[int, ...], size: tuple[int, int]
) -> tuple[int, int, int, int]:
    across, down = size[0] / shape[1], size[1] / shape[0]
    return (
        int(columns.start * across),
        int(rows.start * down),
        int(np.ceil(columns.stop * across)),
        int(np.ceil(rows.stop * down)),
    )
