"""From a prediction to verdicts: whether each image is rejected, where, and why, in one sentence.

B images, S side of an anomaly map, N = rows x columns patches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from finegrain.backbones import RgbImage, encode
from finegrain.decision.regions import Region, find_regions
from finegrain.decision.thresholds import Thresholds
from finegrain.detectors import Detector, Prediction

NEAR_PEAK = 0.9  # of the map's maximum: what counts as its highest place


@dataclass(frozen=True)
class Component:
    """A unit that some patch of the image was matched with; `place` is its own in all units."""

    name: str
    caption: str
    place: int


@dataclass(frozen=True)
class Verdict:
    """What was decided about one image, and why.

    Args:
        score: of the image, higher is worse.
        threshold: of the score; None where the detector was not calibrated.
        rejected: whether the score is above it; None where there is none.
        reason: one sentence for an operator.
        regions: where the map is above `pixel_threshold`, the highest first.
        width: of the image in pixels.
        height: of the image in pixels.
        components: the units that were seen, from detectors that have units.
        pixel_threshold: of the map.
        anomaly_map: (S,S) over the whole image.
        matched: (rows,columns) places of each patch's best unit.
    """

    score: float
    threshold: float | None
    rejected: bool | None
    reason: str
    regions: tuple[Region, ...]
    width: int
    height: int
    components: tuple[Component, ...] = ()
    pixel_threshold: float | None = None
    anomaly_map: npt.NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    matched: npt.NDArray[np.int16] | None = field(default=None, repr=False, compare=False)


def judge(
    detector: Detector, images: Sequence[RgbImage], thresholds: Thresholds | None
) -> list[Verdict]:
    """Score images with a fitted detector and decide on each, as the server does."""
    tokens = encode(detector.backbone, images, windows=detector.windows)
    sizes = [(image.shape[1], image.shape[0]) for image in images]
    prediction = detector.score(tokens)
    return decide(prediction, thresholds, sizes, units=detector.units, grid=tokens.grid)


def decide(
    prediction: Prediction,
    thresholds: Thresholds | None,
    sizes: Sequence[tuple[int, int]],
    *,
    units: Sequence[tuple[str, str]],
    grid: tuple[int, int],
) -> list[Verdict]:
    """The verdicts on the B images of a prediction.

    Args:
        prediction: of a fitted detector.
        thresholds: calibrated on its shots; None leaves the decision open.
        sizes: width and height of each image.
        units: the detector's.
        grid: rows and columns of patches.
    """
    matched: Sequence[npt.NDArray[np.int16] | None] = [None] * len(sizes)
    if prediction.matched is not None:
        matched = list(prediction.matched.reshape(-1, *grid))
    rows = zip(prediction.image_scores, prediction.anomaly_maps, matched, sizes, strict=True)
    return [
        _verdict(float(score), anomaly_map, patches, thresholds, size, units)
        for score, anomaly_map, patches, size in rows
    ]


def _verdict(
    score: float,
    anomaly_map: npt.NDArray[np.float32],
    matched: npt.NDArray[np.int16] | None,
    thresholds: Thresholds | None,
    size: tuple[int, int],
    units: Sequence[tuple[str, str]],
) -> Verdict:
    rejected, regions, suspect = None, [], None
    if thresholds:
        rejected = score > thresholds.image
        regions = find_regions(anomaly_map, thresholds.pixel, size, matched, units)
    if rejected and not regions:
        near_peak = NEAR_PEAK * float(anomaly_map.max())
        suspect = next(iter(find_regions(anomaly_map, near_peak, size, matched, units)), None)
    return Verdict(
        score=score,
        threshold=thresholds.image if thresholds else None,
        rejected=rejected,
        reason=reason(rejected, regions, suspect),
        regions=tuple(regions),
        width=size[0],
        height=size[1],
        components=() if matched is None else _components(matched, units),
        pixel_threshold=thresholds.pixel if thresholds else None,
        anomaly_map=anomaly_map,
        matched=matched,
    )


def _components(
    matched: npt.NDArray[np.integer[Any]], units: Sequence[tuple[str, str]]
) -> tuple[Component, ...]:
    places = np.unique(matched).tolist()
    return tuple(Component(units[place][0], units[place][1], place) for place in places)


def reason(rejected: bool | None, regions: Sequence[Region], suspect: Region | None = None) -> str:
    """One sentence that tells an operator what was decided and why.

    Args:
        rejected: None where there is no threshold.
        regions: above their threshold, the highest first.
        suspect: where the map is highest, of an image that is rejected without a region.
    """
    if rejected is None:
        return "No decision: this checkpoint was not calibrated."
    if not (regions or rejected):
        return "Accepted: nothing stands out."
    if not regions:
        whole = "Rejected: the image as a whole scores above its threshold, though no region does"
        return f"{whole}; the highest is {_centre(suspect)}." if suspect else f"{whole}."
    worst = regions[0]
    place = f" at the {worst.component}" if worst.component else ""
    where = f"{len(regions)} region{'s' * (len(regions) > 1)} above the threshold, the highest"
    start = "Rejected" if rejected else "Accepted, though there is a trace"
    return f"{start}: {where}{place} ({100 * worst.area:.1f} % of the image)."


def _centre(region: Region) -> str:
    left, top, right, bottom = region.box
    component = f" at the {region.component}" if region.component else ""
    return f"around pixel {(left + right) // 2}, {(top + bottom) // 2}{component}"
