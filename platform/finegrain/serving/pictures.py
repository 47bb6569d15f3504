"""Pictures of a verdict: the overlay, and the layers that the inspector blends over the image."""

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from finegrain.backbones import RgbImage
from finegrain.decision import Verdict
from finegrain.evaluation.figures import colourise, overlay, png
from finegrain.evaluation.regions import HUES, enlarged

SPAN = (0.6, 1.8)  # of the pixel threshold: where colours begin and where they end
LAYER_SIDE = 400
PICTURES = ("overlay", "heatmap", "components", "preview")
PREVIEWED = frozenset({"overlay", "preview"})  # those that need the image, reduced


def colour_range(
    anomaly_map: npt.NDArray[np.floating[Any]], threshold: float | None
) -> tuple[float, float]:
    """The scores at both ends of the colour scale; the same for all images of a category."""
    if threshold is None:
        return float(np.median(anomaly_map)), float(anomaly_map.max())
    return SPAN[0] * threshold, SPAN[1] * threshold


def drawn(verdict: Verdict, preview: RgbImage | None, wanted: Collection[str]) -> dict[str, bytes]:
    """The wanted ones of PICTURES as PNG files, where they exist."""
    anomaly_map, threshold = verdict.anomaly_map, verdict.pixel_threshold
    assert anomaly_map is not None
    files = {}
    if "overlay" in wanted and preview is not None:
        files["overlay"] = overlay_png(preview, anomaly_map, threshold)
    if "preview" in wanted and preview is not None:
        files["preview"] = png(preview)
    if "heatmap" in wanted:
        files["heatmap"] = heatmap_layer(anomaly_map, threshold)
    if "components" in wanted and verdict.matched is not None:
        files["components"] = components_layer(verdict.matched)
    return files


def overlay_png(
    image: RgbImage, anomaly_map: npt.NDArray[np.floating[Any]], threshold: float | None
) -> bytes:
    """The image with the map over it."""
    return png(overlay(image, anomaly_map, *colour_range(anomaly_map, threshold)))


def heatmap_layer(anomaly_map: npt.NDArray[np.floating[Any]], threshold: float | None) -> bytes:
    """The map alone, clear where it is low."""
    low, high = colour_range(anomaly_map, threshold)
    alpha = np.clip((anomaly_map - low) / max(high - low, 1e-12), 0, 1) ** 0.7
    return _rgba(colourise(anomaly_map, low, high), alpha)


def components_layer(matched: npt.NDArray[np.integer[Any]]) -> bytes:
    """(rows,columns) places of units -> each in its hue."""
    large = enlarged(matched, LAYER_SIDE, LAYER_SIDE)
    return _rgba(HUES[large % len(HUES)].astype(np.uint8), np.ones(large.shape))


def hue(unit: int) -> str:
    """The colour of a unit in `components_layer`, as CSS writes it."""
    red, green, blue = HUES[unit % len(HUES)]
    return f"#{red:02x}{green:02x}{blue:02x}"


def _rgba(colours: RgbImage, alpha: npt.NDArray[np.floating[Any]]) -> bytes:
    opacity = (255 * alpha[..., None]).round().astype(np.uint8)
    return png(np.concatenate([colours, opacity], axis=-1))
