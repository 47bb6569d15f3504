"""Thresholds of a fitted detector from its K shots alone: what good parts stay below.

Each shot in turn is left out, and mildly changed copies of it are scored against the others: a new
part, in another light and not quite in its place. One shot alone is scored against itself.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from finegrain.backbones import Backbone, PatchTokens, RgbImage, Windows, encode
from finegrain.data.warping import reduced, to_rgb, warped
from finegrain.decision.regions import Thresholds
from finegrain.detectors import Detector

COPIES = 8  # of a shot
ROTATION_DEGREES, SHIFT, ZOOM, LIGHT = 3.0, 0.02, 0.02, 0.08  # largest changes; the last is a share
SPREADS = 2.0  # standard deviations above the mean
# A memory of one shot fewer is farther from everything, and a shot is nearer to its own copies than
# the next part will be. Both were measured on the factory's rendering with seed 7, as factors of
# distances: what scores squared ones (`score_power`) is corrected by their squares.
SCALING = 0.2  # distances fall with the number of shots to this power
ONE_SHOT = 1.35


def jittered(image: RgbImage, copies: int, generator: np.random.Generator) -> list[RgbImage]:
    """The image turned, shifted, zoomed and lit a little differently, `copies` times."""
    pixels = reduced(image)
    return [_changed(pixels, generator) for _ in range(copies)]


def _changed(pixels: Tensor, generator: np.random.Generator) -> RgbImage:
    degrees = generator.uniform(-ROTATION_DEGREES, ROTATION_DEGREES)
    zoom = 1 + generator.uniform(-ZOOM, ZOOM)
    right, down = generator.uniform(-SHIFT, SHIFT, 2)
    moved = warped(pixels, degrees, zoom, (right, down))
    contrast, brightness = 1 + generator.uniform(-LIGHT, LIGHT, 2)
    return to_rgb(((moved - moved.mean()) * contrast + moved.mean()) * brightness)


def encoded_copies(
    backbone: Backbone, image: RgbImage, seed: int = 0, windows: Windows | None = None
) -> PatchTokens:
    """The tokens of COPIES changed copies of a shot; the same changes at the same seed."""
    copies = jittered(image, COPIES, np.random.default_rng(seed))
    return encode(backbone, copies, windows=windows)


def calibrate(detector: Detector, tokens: PatchTokens, copies: Sequence[PatchTokens]) -> Thresholds:
    """The scores that good parts should not exceed.

    SPREADS standard deviations above the mean of the left-out copies' image scores, and of the
    maxima of their maps, corrected for the size of the memory. K shots support no guarantee at a
    useful level: a conformal bound on false alarms is at best 1 / (K + 1). So the rule is a normal
    tail, and the rate of false alarms is measured.

    Args:
        detector: fitted on the shots.
        tokens: of the K shots.
        copies: tokens of the changed copies of each.
    """
    images, peaks = [], []
    for index, left_out in enumerate(copies):
        prediction = detector.leaving_out(index, tokens).score(left_out)
        images.append(prediction.image_scores)
        peaks.append(prediction.anomaly_maps.max((1, 2)))
    count = len(copies)
    correction = ((count - 1) / count) ** SCALING if count > 1 else ONE_SHOT
    correction **= detector.score_power
    return Thresholds(image=correction * _upper(images), pixel=correction * _upper(peaks))


def _upper(scores: Sequence[npt.NDArray[np.float32]]) -> float:
    values = np.concatenate(scores)
    return float(values.mean() + SPREADS * values.std())
