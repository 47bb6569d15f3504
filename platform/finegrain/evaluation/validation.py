"""How well a setting does, told from the shots alone: no test image, no real defect.

Each shot is left out of the memory in turn, and changed copies of it are scored, good ones and ones
with a painted defect. K shots, B images for each, S = MAP_SIZE.

Departure from leaving a shot out altogether: prompts are learned once, on all K shots, which the
copies differ from by pose, light and defect. One shot alone is scored against itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from finegrain.backbones import Backbone, PatchTokens, RgbImage, Windows, encode
from finegrain.data.masks import to_map_size
from finegrain.decision.calibrate import jittered
from finegrain.detectors import Detector, Prediction
from finegrain.errors import ImageError
from finegrain.evaluation.evaluate import TestSet, evaluate, score_all
from finegrain.evaluation.metrics import Scores
from finegrain.evaluation.synthetic import KINDS, with_defect

GOOD, BAD = 4, 6  # copies of a shot; two of each kind of defect


@dataclass(frozen=True)
class HeldOut:
    """What stands in for a test set.

    Args:
        shots: tokens of the K shots.
        copies: K·B images, those of the first shot first.
    """

    shots: PatchTokens
    copies: TestSet


def hold_out(
    backbone: Backbone, images: Sequence[RgbImage], *, seed: int, windows: Windows | None = None
) -> HeldOut:
    """Encode the shots and their copies; the same at the same seed.

    Raises:
        ImageError: no defect can be painted on a shot.
    """
    generator = np.random.default_rng(seed)
    tokens, masks = [], []
    for image in images:
        changed, painted = _copies(image, generator)
        tokens.append(encode(backbone, changed, windows=windows))
        masks += [to_map_size(mask) for mask in painted]
    labels = np.tile(np.arange(GOOD + BAD) < BAD, len(images))
    copies = TestSet(PatchTokens.concatenate(tokens), labels, np.stack(masks), ())
    return HeldOut(encode(backbone, images, windows=windows), copies)


def validate(detector: Detector, held_out: HeldOut) -> Scores:
    """The metrics of a detector fitted on the shots, over the copies of all of them."""
    tokens, shots = held_out.copies.tokens, held_out.shots
    count = len(tokens) // len(shots)
    parts = [
        score_all(detector.leaving_out(index, shots), tokens[index * count : (index + 1) * count])
        for index in range(len(shots))
    ]
    return evaluate(Prediction.concatenate(parts), held_out.copies)


def _copies(
    image: RgbImage, generator: np.random.Generator
) -> tuple[list[RgbImage], list[npt.NDArray[np.bool_]]]:
    """BAD copies with a defect, then GOOD ones without; and where each is painted."""
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
    return changed, masks
