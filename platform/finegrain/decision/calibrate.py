"""What good parts are expected to score, from the K shots of a fitted detector alone.

How good parts spread shows between photos, not within copies of one. So each shot in turn is left
out and scored against the others: K scores of good parts. They are few, so a prior is mixed in: how
far good parts spread elsewhere. One shot alone is scored against itself, by copies that are changed
more than parts of a line are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from torch import Tensor

from finegrain.backbones import Backbone, PatchTokens, RgbImage, Windows, encode
from finegrain.data.warping import reduced, to_rgb, warped
from finegrain.decision.thresholds import FALSE_ALARMS, Expected, Thresholds
from finegrain.detectors import Detector
from finegrain.errors import CalibrationError

COPIES = 4  # of a shot
SMALLEST = float(np.finfo(np.float32).tiny)  # what a score of 0 or less counts as

# The prior, in natural logarithms of scores, as measured on four sets of photographs with
# AnomalyDINO, PatchCore and FineGrainedAD; docs/serving.md says what each gives when left out.
SPREAD, FREEDOM = 0.12, 6.0  # of good parts; it counts as much as so many more shots
SCALING = 0.15  # scores fall with the number of shots to this power
DOUBLE = 0.5  # of its own copies' score; below that a shot is another once more
# The next part above the clearly changed copies of a single shot, and what it spreads around that.
ONE_SHOT, ONE_SHOT_SPREAD = 0.15, 0.2


@dataclass(frozen=True)
class Changes:
    """The largest changes of a copy: degrees, and shares of the sides and of the light."""

    degrees: float
    shift: float
    zoom: float
    light: float


SLIGHT = Changes(3.0, 0.02, 0.02, 0.08)  # a part that lies as the others do
CLEAR = Changes(10.0, 0.06, 0.06, 0.2)


def jittered(
    image: RgbImage, copies: int, generator: np.random.Generator, changes: Changes = SLIGHT
) -> list[RgbImage]:
    """The image turned, shifted, zoomed and lit a little differently, `copies` times."""
    pixels = reduced(image)
    return [_changed(pixels, generator, changes) for _ in range(copies)]


def _changed(pixels: Tensor, generator: np.random.Generator, most: Changes) -> RgbImage:
    degrees = generator.uniform(-most.degrees, most.degrees)
    zoom = 1 + generator.uniform(-most.zoom, most.zoom)
    right, down = generator.uniform(-most.shift, most.shift, 2)
    moved = warped(pixels, degrees, zoom, (right, down))
    contrast, brightness = 1 + generator.uniform(-most.light, most.light, 2)
    return to_rgb(((moved - moved.mean()) * contrast + moved.mean()) * brightness)


def encoded_copies(
    backbone: Backbone, image: RgbImage, seed: int = 0, windows: Windows | None = None
) -> PatchTokens:
    """The tokens of COPIES clearly changed copies of a shot; the same ones at the same seed."""
    copies = jittered(image, COPIES, np.random.default_rng(seed), CLEAR)
    return encode(backbone, copies, windows=windows)


def calibrate(
    detector: Detector,
    tokens: PatchTokens,
    copies: Sequence[PatchTokens],
    false_alarms: float = FALSE_ALARMS,
    *,
    canary: PatchTokens | None = None,
) -> Thresholds:
    """The scores that so many of 100 good parts are expected to exceed; no guarantee.

    A conformal bound on false alarms is at best 1 / (K + 1) with K shots, which is of no use.

    Args:
        detector: fitted on the shots.
        tokens: of the K shots.
        copies: tokens of clearly changed copies of each.
        false_alarms: that are asked for.
        canary: tokens of the canary, whose score is kept beside them.

    Raises:
        ConfigError: a number of false alarms out of its range.
        ScoreError: a score is not finite.
        CalibrationError: no score is positive, so that none has a logarithm.
    """
    own = np.stack([logarithms(detector, some).mean(0) for some in copies])  # (K,2)
    if len(copies) == 1:
        left_out = np.full_like(own, -np.inf)
    else:
        left_out = np.concatenate([
            logarithms(detector.leaving_out(index, tokens), tokens[index : index + 1])
            for index in range(len(copies))
        ])  # fmt: skip
    scores, peaks = (expected(left_out[:, kind], own[:, kind]) for kind in (0, 1))
    thresholds = Thresholds.of(scores, peaks, false_alarms)
    if canary is None:
        return thresholds
    return replace(thresholds, canary=float(detector.score(canary).image_scores[0]))


def expected(left_out: npt.NDArray[np.float64], own: npt.NDArray[np.float64]) -> Expected:
    """What good parts are expected to score: the predictive distribution of a normal sample.

    The variance has a scaled inverse chi-squared prior, SPREAD² with FREEDOM (Gelman et al.,
    Bayesian Data Analysis, section 3.3). Two shots against each other are one distance seen from
    both sides, so that K scores count as K - 1.

    A shot that is much nearer to another shot than to its own copies is a double of it, and says
    nothing of the next part: it is not counted.

    Args:
        left_out: (K,) logarithms of the shots' scores against the other shots.
        own: (K,) mean logarithms of their copies' scores against all shots.
    """
    values = left_out[left_out > own + math.log(DOUBLE)]
    highest = float(max(own.max(), left_out.max()))
    if highest <= math.log(SMALLEST):
        raise CalibrationError(
            "no threshold can be set: no score of a shot is positive. Either the photos show "
            "nothing, or the method's scores are no distances"
        )
    if len(values) < 2:
        return Expected(highest + ONE_SHOT, ONE_SHOT_SPREAD, FREEDOM)
    count = len(values) - 1
    freedom = FREEDOM + count - 1
    variance = (FREEDOM * SPREAD**2 + (count - 1) * float(values.var(ddof=1))) / freedom
    location = float(values.mean()) + SCALING * math.log(count / (count + 1))
    return Expected(location, math.sqrt(variance * (1 + 1 / count)), freedom)


def logarithms(detector: Detector, tokens: PatchTokens) -> npt.NDArray[np.float64]:  # (B,2)
    """Of the image scores and of the maps' maxima."""
    prediction = detector.score(tokens)
    found = np.stack([prediction.image_scores, prediction.anomaly_maps.max((1, 2))], -1)
    return np.log(np.maximum(found.astype(np.float64), SMALLEST))
