"""How well scores rank anomalies above the normal: AUROC, AUPRO, AP and F1-max, exact.

Every measure here is a step function of the threshold that gains only where an anomalous score
lies. So one sort of the normal scores and one of the anomalous ones, and cumulative sums at the
distinct anomalous scores, give them all exactly; no list of thresholds is chosen.

K distinct anomalous scores, P anomalous and Q normal samples (images or pixels), R regions.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from finegrain.data.masks import EIGHT_NEIGHBOURS
from finegrain.errors import ConfigError, UndefinedMetricError

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scores:
    """Results of one detector on one category, each in [0,1]; None where a metric is undefined."""

    image_auroc: float | None = None
    pixel_auroc: float | None = None
    aupro_30: float | None = None
    aupro_05: float | None = None
    image_ap: float | None = None
    pixel_ap: float | None = None
    image_f1: float | None = None
    pixel_f1: float | None = None

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The metrics in the order in which tables show them."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def check_name(cls, metric: str) -> None:
        """ConfigError where there is no such metric."""
        if metric not in cls.names():
            raise ConfigError(f"no metric {metric!r}; there are {', '.join(cls.names())}")


@dataclass(frozen=True)
class Curve:
    """What is found at each distinct anomalous score t, from the highest down.

    Args:
        false_positives: (K,) normal samples with a score >= t.
        false_positives_above: (K,) normal samples with a score > t.
        found: (K,) share of the weight of anomalous samples with a score >= t, ends at 1.
        positives, negatives: how many samples there are of each class.
    """

    false_positives: Array
    false_positives_above: Array
    found: Array
    positives: int
    negatives: int

    def auroc(self) -> float:
        """Area under found against false positive rate; ties count one half."""
        missed_first = (self.false_positives + self.false_positives_above) / 2
        return float(1 - np.diff(self.found, prepend=0.0) @ missed_first / self.negatives)

    def average_precision(self) -> float:
        """Sum of precision × gain in recall over the thresholds, without interpolation."""
        hits = self.found * self.positives
        precision = hits / (hits + self.false_positives)
        return float(np.diff(self.found, prepend=0.0) @ precision)

    def f1_max(self) -> float:
        """The best F1 over all thresholds."""
        hits = self.found * self.positives
        return float(np.max(2 * hits / (hits + self.false_positives + self.positives)))

    def partial_area(self, max_fpr: float) -> float:
        """Area under found against false positive rate up to `max_fpr`, divided by `max_fpr`."""
        if not 0 < max_fpr <= 1:
            raise ValueError(f"max_fpr must lie in (0, 1]; got {max_fpr}")
        before = np.concatenate([[0.0], self.found[:-1]])
        # Each distinct score adds a diagonal (its ties) after a level stretch: two corners.
        corners_x = np.stack([self.false_positives_above, self.false_positives], 1).ravel()
        corners_y = np.stack([before, self.found], 1).ravel()
        x = np.concatenate([[0.0], corners_x / self.negatives, [1.0]])
        y = np.concatenate([[0.0], corners_y, [1.0]])
        inside = x < max_fpr
        # At a vertical step exactly on the limit the left value belongs to the area.
        last = int(np.searchsorted(x, max_fpr, side="left"))
        width = x[last] - x[last - 1]
        at_limit = y[last - 1] + (y[last] - y[last - 1]) * (max_fpr - x[last - 1]) / width
        area = np.trapezoid(np.append(y[inside], at_limit), np.append(x[inside], max_fpr))
        return float(np.clip(area / max_fpr, 0.0, 1.0))


def curves(anomalous: Floats, normal: Floats, *weights: Array) -> list[Curve]:
    """A Curve for each weighting (P,) of the scores (P,) of anomalous and (Q,) of normal samples.

    Raises:
        UndefinedMetricError: one of the classes is empty.
        ValueError: a score is not finite.
    """
    if anomalous.size == 0 or normal.size == 0:
        raise UndefinedMetricError(
            f"needs anomalous and normal samples; got {anomalous.size} and {normal.size}"
        )
    order = np.argsort(anomalous)[::-1]
    descending = anomalous[order]
    ascending_normal = np.sort(normal)
    for scores, kind in ((descending, "anomalous"), (ascending_normal, "normal")):
        if not np.isfinite(scores[[0, -1]]).all():
            raise ValueError(f"{kind} scores must be finite; found {scores[0]} and {scores[-1]}")
    last_of_tie = np.append(descending[1:] != descending[:-1], True)
    thresholds = descending[last_of_tie][::-1]  # ascending: one walk through the normal scores
    below = np.searchsorted(ascending_normal, thresholds, side="left")[::-1]
    not_above = np.searchsorted(ascending_normal, thresholds, side="right")[::-1]
    found = [np.cumsum(weight[order], dtype=np.float64)[last_of_tie] for weight in weights]
    return [
        Curve(
            false_positives=(normal.size - below).astype(np.float64),
            false_positives_above=(normal.size - not_above).astype(np.float64),
            found=share / share[-1],
            positives=anomalous.size,
            negatives=normal.size,
        )
        for share in found
    ]


def image_curve(scores: npt.ArrayLike, labels: npt.ArrayLike) -> Curve:
    """The Curve over images: scores (B,), labels (B,) true for anomalous."""
    values, anomalous = np.asarray(scores), np.asarray(labels, dtype=bool)
    if values.shape != anomalous.shape or values.ndim != 1:
        raise ValueError(f"scores {values.shape} and labels {anomalous.shape} must both be (B,)")
    return curves(values[anomalous], values[~anomalous], np.ones(anomalous.sum()))[0]


def pixel_curves(maps: Floats, masks: npt.NDArray[np.bool_]) -> list[Curve]:
    """The Curves over pixels of maps (B,H,W) and masks (B,H,W): per pixel, then per region.

    In the second each connected region (8 neighbours) weighs the same, so that its `partial_area`
    is AUPRO: the mean per-region overlap (Bergmann et al., IJCV 2021, section 5) over the rate of
    false positive pixels.
    """
    if maps.shape != masks.shape or maps.ndim != 3:
        raise ValueError(f"maps {maps.shape} and masks {masks.shape} must both be (B,H,W)")
    anomalous = maps[masks]
    return curves(anomalous, maps[~masks], np.ones(anomalous.size), region_weights(masks))


def region_weights(masks: npt.NDArray[np.bool_]) -> Array:  # (B,H,W) -> (P,)
    """1 / area of its region for each anomalous pixel, in the order of maps[masks]."""
    weights = []
    for mask in masks:
        regions, _ = ndimage.label(mask, structure=EIGHT_NEIGHBOURS)
        of_pixel = regions[mask]
        weights.append(1 / np.bincount(of_pixel)[of_pixel] if of_pixel.size else np.empty(0))
    return np.concatenate(weights)


def evaluate_images(scores: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, float]:
    """The image metrics of scores (B,) and labels (B,), true for anomalous."""
    images = image_curve(scores, labels)
    return {
        "image_auroc": images.auroc(),
        "image_ap": images.average_precision(),
        "image_f1": images.f1_max(),
    }


def evaluate_pixels(maps: Floats, masks: npt.NDArray[np.bool_]) -> dict[str, float]:
    """The pixel metrics of maps (B,H,W) and masks (B,H,W)."""
    pixels, regions = pixel_curves(maps, masks)
    return {
        "pixel_auroc": pixels.auroc(),
        "aupro_30": regions.partial_area(0.30),
        "aupro_05": regions.partial_area(0.05),
        "pixel_ap": pixels.average_precision(),
        "pixel_f1": pixels.f1_max(),
    }
