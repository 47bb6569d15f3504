"""Where the components are taken to be: overlap with the truth, and pictures (figure 6).

K shots, C components; labels are a component's index, or −1 for background.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from finegrain.evaluation.figures import (
    LABEL,
    TILE,
    Picture,
    outlined,
    sheet,
    text_line,
    tile,
)

Labels = npt.NDArray[np.integer[Any]]
# Twelve hues that differ in lightness as well; after the last they start again.
HUES = np.array(
    [(230, 75, 60), (60, 140, 230), (70, 180, 90), (245, 190, 60), (150, 90, 200), (60, 195, 200),
     (240, 130, 180), (140, 110, 70), (190, 215, 90), (50, 80, 140), (250, 150, 80),
     (120, 120, 120)]
)  # fmt: skip
STRENGTH = 0.55  # of a hue over the image


def intersection_over_union(
    labels: Labels, truth: Sequence[npt.NDArray[np.bool_]]
) -> npt.NDArray[np.float64]:
    """The overlap of each component's region with its true pixels.

    Args:
        labels: (rows,columns) of one image, enlarged to its pixels without interpolation.
        truth: C masks (H,W); a component without a pixel counts as not seen.

    Returns:
        (C,) in [0, 1]; NaN for a component that is not seen.
    """
    overlaps = []
    for index, mask in enumerate(truth):
        found = enlarged(labels, *mask.shape) == index
        union = (found | mask).sum()
        overlaps.append(float((found & mask).sum() / union) if mask.any() else np.nan)
    return np.array(overlaps)


def enlarged(labels: Labels, height: int, width: int) -> Labels:
    """(rows,columns) -> (height,width), each label as a block."""
    small = Image.fromarray(labels.astype(np.int32))
    return np.asarray(small.resize((width, height), Image.Resampling.NEAREST))


def tinted(image: Picture, labels: Labels) -> Picture:
    """The image (H,W,3) with every region in its hue; background as it is."""
    large = enlarged(labels, *image.shape[:2])
    hues = HUES[large % len(HUES)]
    mixed = np.where(large[..., None] < 0, image, image * (1 - STRENGTH) + hues * STRENGTH)
    return mixed.round().astype(np.uint8)


def region_rows(
    images: Sequence[Picture], settings: Mapping[str, Labels]
) -> list[tuple[str, Picture]]:
    """A titled strip a setting, a column a shot: settings' labels are (K,rows,columns)."""
    plain = np.concatenate([tile(image) for image in images], 1)
    found = {
        name: np.concatenate(
            [tile(tinted(image, shot)) for image, shot in zip(images, labels, strict=True)], 1
        )
        for name, labels in settings.items()
    }
    return [("shots", plain), *found.items()]


def matching_strip(
    images: Sequence[Picture],
    masks: Sequence[npt.NDArray[np.bool_]],
    matched: Labels,
    names: Sequence[str],
) -> Picture:
    """The token-wise matching: images with their masks' outlines above, matched units below.

    Args:
        images: (H,W,3) each.
        masks: (H,W) anomalous pixels.
        matched: (images,rows,columns) places in `names`.
        names: of the units.
    """
    top = [tile(outlined(image, mask)) for image, mask in zip(images, masks, strict=True)]
    low = [tile(tinted(image, units)) for image, units in zip(images, matched, strict=True)]
    strips = [np.concatenate(top, 1), np.concatenate(low, 1)]
    return np.concatenate([*strips, legend(names, np.unique(matched).tolist(), TILE * len(images))])


def sentence_sheet(
    images: Sequence[Picture], labels: Labels, sentences: Sequence[str], title: str
) -> Picture:
    """The images, their regions (K,rows,columns) below them, and the sentence of each region."""
    rows = sheet(region_rows(images, {"found": labels}), title)
    return np.concatenate([rows, legend(sentences, range(len(sentences)), rows.shape[1])])


def legend(names: Sequence[str], indices: Sequence[int], width: int) -> Picture:
    """A line each: the hue and the name that it stands for."""
    lines = []
    for index in indices:
        line = text_line(f"     {names[index]}", width).copy()
        line[3 : LABEL - 3, 4:16] = HUES[index % len(HUES)]
        lines.append(line)
    return np.concatenate(lines)
