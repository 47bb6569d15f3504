"""In which precision a server's backbone computes: the faster, if it scores alike."""

import logging
import math
import time
from statistics import median

import numpy as np
import torch

from finegrain.backbones import Backbone, RgbImage, encode, load_backbone
from finegrain.backbones.clip.bundled import BundledClip
from finegrain.detectors import make_detector
from finegrain.errors import ScoreError
from finegrain.factory import render
from finegrain.serving.config import ServingConfig
from finegrain.serving.examples import INDIVIDUAL

log = logging.getLogger("ray.serve")
# What bfloat16 may change a score by: a third of how good parts of a category differ. On a CPU
# it was 1 % in the mean and 3 % at most.
TOLERANCE = 0.05
PROBE, DEFECT = "gear", "broken_tooth"
SHOTS, PARTS = 2, 2


def load_serving_backbone(config: ServingConfig) -> Backbone:
    """The config's backbone on the device they give it, in the precision they ask for.

    "auto" compares float32 and bfloat16 on a GPU. A CPU keeps float32: detectors are fitted in
    it, and convolutions gain nothing from bfloat16 there.
    """
    device = "cuda" if config.encoder_gpus else "cpu"

    def load(dtype: torch.dtype) -> Backbone:
        return load_backbone(config.backbone, device, config.backbone_weights, dtype)

    if config.precision == "bfloat16":
        return load(torch.bfloat16)
    exact = load(torch.float32)
    if config.precision == "auto" and device == "cuda" and config.backbone == BundledClip.name:
        return preferred(exact, load(torch.bfloat16), config.max_batch_images)
    return exact


def preferred(exact: Backbone, short: Backbone, batch_images: int) -> Backbone:
    """`short` if it is the faster of both and scores within TOLERANCE of `exact`."""
    change = largest_change(exact, short)
    if change > TOLERANCE:
        text = "bfloat16 changes scores by %.1f %%, above the %.0f %% taken: float32 it is"
        log.warning(text, 100 * change, 100 * TOLERANCE)
        return exact
    faster = encode_ms(short, batch_images) < encode_ms(exact, batch_images)
    return short if faster else exact


def largest_change(exact: Backbone, short: Backbone) -> float:
    """The largest share of its score that tokens of `short` change on a part of the factory.

    PatchCore scores, fitted on tokens of `exact`: its score is the distance of one patch to the
    nearest, so nothing averages the error away.
    """
    detector = make_detector("patchcore", exact).fit(_parts("train", SHOTS))
    parts = [*_parts("test", PARTS), *_parts("test", PARTS, DEFECT)]
    try:
        scores, others = (
            detector.score(encode(backbone, parts)).image_scores for backbone in (exact, short)
        )
    except ScoreError:  # its tokens are no numbers
        return math.inf
    return float(np.abs(others / scores - 1).max())


def _parts(split: str, count: int, defect: str | None = None) -> list[RgbImage]:
    return [render(PROBE, split, defect, INDIVIDUAL + i, 0).image for i in range(count)]


def encode_ms(backbone: Backbone, images: int, repeats: int = 5) -> float:
    """Median time of encoding a batch, after a warm-up."""
    pixels = backbone.preprocess([np.zeros((256, 256, 3), np.uint8)] * images)
    times = []
    with torch.no_grad():
        for _ in range(repeats + 1):
            start = time.perf_counter()
            backbone.encode_images(pixels).image.cpu()
            times.append(1000 * (time.perf_counter() - start))
    return median(times[1:])
