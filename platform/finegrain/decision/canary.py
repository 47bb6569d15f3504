"""One image that is no part, whose score tells whether a detector still is what was calibrated."""

from functools import cache

import numpy as np

from finegrain.backbones import Backbone, PatchTokens, RgbImage, Windows, encode
from finegrain.decision.thresholds import HIGHEST, Thresholds
from finegrain.errors import ScoreError

SIDE = 64  # pixels
FAR = 0.25  # of the score or of the threshold, whichever is higher; fp16 tokens move it by 0.0001


@cache
def canary() -> RgbImage:
    """Red rises to the right, green downwards."""
    ramp = np.linspace(0, 255, SIDE).astype(np.uint8)
    across, down = np.meshgrid(ramp, ramp)
    return np.stack([across, down, np.full_like(across, 128)], axis=-1)


def encoded_canary(backbone: Backbone, windows: Windows | None = None) -> PatchTokens:
    """Its tokens, as `calibrate` takes them."""
    return encode(backbone, [canary()], windows=windows)


def check_canary(score: float, thresholds: Thresholds | None) -> None:
    """ScoreError where the canary's score is not what it was at the calibration.

    Of checkpoints of before, which do not know that, it only has to be one that a part could have.
    """
    if not abs(score) < HIGHEST:
        raise ScoreError(f"the canary scores {score:g}; no part scores near {HIGHEST:g}")
    if thresholds is None or thresholds.canary is None:
        return
    then = thresholds.canary
    if abs(score - then) > FAR * max(abs(then), thresholds.image):
        raise ScoreError(
            f"the canary scores {score:.6g}, and {then:.6g} when the detector was calibrated; "
            "its files, its code or its backbone have changed: fit again"
        )
