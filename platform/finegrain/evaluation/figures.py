"""Pictures of predictions: image, mask and anomaly map side by side."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation

from finegrain.data.images import read_rgb
from finegrain.data.samples import Category
from finegrain.detectors import Prediction
from finegrain.evaluation.evaluate import sample_mask
from finegrain.evaluation.lettering import lettered

Picture = npt.NDArray[np.uint8]  # (H,W,3)
Floats = npt.NDArray[np.floating[Any]]

EXAMPLES = 6  # columns of a strip
TILE = 160  # pixels a side of one picture in a sheet
LABEL = 18  # pixels of height for a line of text
# Anchors of a perceptually ordered scale from dark to bright, from low to high.
COLOURS = np.array(
    [(8, 8, 30), (66, 15, 117), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)]
)


def colourise(values: Floats, low: float, high: float) -> Picture:
    """(H,W) values -> (H,W,3) colours, low is dark and high bright."""
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    steps = np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(scaled, steps, COLOURS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def overlay(image: Picture, anomaly_map: Floats, low: float, high: float) -> Picture:
    """The map (S,S) over the image (H,W,3); the more anomalous, the more of the colour shows."""
    height, width = image.shape[:2]
    resized = np.asarray(Image.fromarray(anomaly_map.astype(np.float32)).resize((width, height)))
    strength = np.clip((resized - low) / max(high - low, 1e-12), 0, 1)[..., None] * 0.75
    mixed = image * (1 - strength) + colourise(resized, low, high) * strength
    return mixed.round().astype(np.uint8)


def heatmap_strip(prediction: Prediction, category: Category) -> Picture:
    """One column a test image: the image with its mask's outline above, the overlaid map below.

    The images are spread evenly over the test list, so from good to the last kind of defect. The
    colour scale is the same for all of them.
    """
    count = len(category.test)
    chosen = np.unique(np.linspace(0, count - 1, min(EXAMPLES, count)).round().astype(int))
    low, high = np.quantile(prediction.anomaly_maps[chosen], [0.5, 0.999])
    columns = []
    for index in chosen:
        sample = category.test[index]
        image = read_rgb(sample.path)
        heat = overlay(image, prediction.anomaly_maps[index], low, high)
        shown = outlined(image, sample_mask(sample, image))
        title = text_line(f"{sample.defect}  {prediction.image_scores[index]:.3g}", TILE)
        columns.append(np.concatenate([title, tile(shown), tile(heat)]))
    return np.concatenate(columns, axis=1)


def compared(strips: Mapping[str, Picture], title: str) -> Picture:
    """Strips of `heatmap_strip` by method as one sheet: the images once, each method's maps below.

    A category's strips show the same test images, so the images of the first stand for all.
    """
    images = next(iter(strips.values()))[LABEL : LABEL + TILE]
    maps = [
        (name, np.concatenate([strip[:LABEL], strip[LABEL + TILE :]]))
        for name, strip in strips.items()
    ]
    return sheet([("test images", images), *maps], title)


def sheet(rows: Sequence[tuple[str, Picture]], title: str) -> Picture:
    """Titled strips below one another, padded with white to the widest."""
    width = max(strip.shape[1] for _, strip in rows)
    blocks = [text_line(title, width)]
    for name, strip in rows:
        blocks += [text_line(name, width), _widen(strip, width)]
    return np.concatenate(blocks)


def png(picture: Picture) -> bytes:
    """The picture as the bytes of a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def outlined(image: Picture, mask: npt.NDArray[np.bool_]) -> Picture:
    """The image with a bright line around the mask (H,W), as wide as a pixel of a tile."""
    width = max(1, round(max(mask.shape) / TILE))  # one pixel in the tile
    outlined = image.copy()
    outlined[binary_dilation(mask, iterations=2 * width) & ~mask] = (60, 255, 60)
    return outlined


def tile(image: Picture) -> Picture:
    """The image as a square of TILE pixels."""
    return np.asarray(Image.fromarray(image).resize((TILE, TILE), Image.Resampling.BICUBIC))


def _widen(strip: Picture, width: int) -> Picture:
    return np.pad(strip, ((0, 0), (0, width - strip.shape[1]), (0, 0)), constant_values=255)


def text_line(text: str, width: int) -> Picture:
    """A line of text on white, LABEL pixels high."""
    canvas = Image.new("RGB", (width, LABEL), "white")
    shown, font = lettered(text, 12)
    ImageDraw.Draw(canvas).text((4, 2), shown, fill="black", font=font)
    return np.asarray(canvas)
