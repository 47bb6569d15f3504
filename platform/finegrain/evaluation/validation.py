"""How well a setting does, told from the shots alone: no test image, no real defect.

Each shot is left out of the memory in turn, and changed copies of it are scored, good ones and ones
with a painted defect. K shots, B images for each, S = MAP_SIZE.

Departure from leaving a shot out altogether: prompts are learned once, on all K shots, which the
copies differ from by pose, light and defect. One shot alone is scored against itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finegrain.calibration import jittered
from finegrain.clip import Backbone, PatchTokens, RgbImage, Windows, encode
from finegrain.detectors import Detector, Prediction
from finegrain.errors import ImageError
from finegrain.evaluation.evaluate import TestSet, evaluate, score_all, to_map_size
from finegrain.evaluation.metrics import Scores
from finegrain.evaluation.synthetic import KINDS, with_defect

GOOD, BAD = 4, 6  # copies of a shot; two of each kind of defect


@dataclass(frozen=True)
class HeldOut:
    """What stands in for a test set.

    Args:
        shots: tokens of the K shots.
        copies: of each shot, B images.
    """

    shots: PatchTokens
    copies: tuple[TestSet, ...]


def hold_out(
    backbone: Backbone, images: Sequence[RgbImage], *, seed: int, windows: Windows | None = None
) -> HeldOut:
    """Encode the shots and their copies; the same at the same seed.

    Raises:
        ImageError: no defect can be painted on a shot.
    """
    generator = np.random.default_rng(seed)
    copies = tuple(_copies(backbone, image, generator, windows) for image in images)
    return HeldOut(encode(backbone, images, windows=windows), copies)


def validate(detector: Detector, held_out: HeldOut) -> Scores:
    """The metrics of a detector fitted on the shots, over the copies of all of them."""
    parts = [
        score_all(detector.leaving_out(index, held_out.shots), copies.tokens)
        for index, copies in enumerate(held_out.copies)
    ]
    pooled = Prediction(
        np.concatenate([part.image_scores for part in parts]),
        np.concatenate([part.anomaly_maps for part in parts]),
    )
    return evaluate(pooled, _pooled(held_out.copies))


def _copies(
    backbone: Backbone,
    image: RgbImage,
    generator: np.random.Generator,
    windows: Windows | None,
) -> TestSet:
    changed = jittered(image, GOOD + BAD, generator)
    masks = [np.zeros(copy.shape[:2], dtype=bool) for copy in changed]
    kinds = list(KINDS)
    for place in range(BAD):
        try:
            changed[place], masks[place] = with_defect(
                changed[place], kinds[place % len(kinds)], generator
            )
        except ValueError as error:
            raise ImageError(f"no validation from this shot: {error}") from error
    return TestSet(
        encode(backbone, changed, windows=windows),
        np.arange(len(changed)) < BAD,
        np.stack([to_map_size(mask) for mask in masks]),
        (),
    )


def _pooled(parts: Sequence[TestSet]) -> TestSet:
    masks = [part.masks for part in parts if part.masks is not None]
    return TestSet(
        PatchTokens.concatenate([part.tokens for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate(masks),
        (),
    )
