"""From Python: fit a detector on a few good images, ask it about others, save it, load it again.

    part = fit(["good1.png", "good2.png"], method="patchcore")
    print(part.inspect("new.png").reason)
    part.save("part")
    part = load("part")

The directory is a checkpoint like any other: the benchmark writes it and the server loads it.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from finegrain.backbones import Backbone, RgbImage, check_backbone, encode, load_backbone
from finegrain.captions import Caption
from finegrain.captions.store import read_caption
from finegrain.checkpoint import load_detector, read_config, save_detector
from finegrain.data.images import decode_rgb, read_bytes
from finegrain.data.shots import Shot
from finegrain.decision import Verdict, judge
from finegrain.decision.calibrate import calibrate, encoded_copies
from finegrain.decision.thresholds import FALSE_ALARMS, Thresholds, check_false_alarms
from finegrain.detectors import Detector, Prediction, detector_class, make_detector
from finegrain.errors import ConfigError, ImageFormatError

Source = str | Path | npt.NDArray[np.uint8]  # an image: a file, or its RGB pixels (H,W,3)
DATASET, CATEGORY = "own", "part"


@dataclass(frozen=True)
class FittedDetector:
    """A detector that knows one part, with its thresholds.

    Args:
        detector: fitted.
        thresholds: calibrated on the same shots; None where it was fitted on none.
        shots: what it was fitted on.
        category: what the part is called.
    """

    detector: Detector
    thresholds: Thresholds | None
    shots: tuple[Shot, ...]
    category: str = CATEGORY

    def predict(self, images: Sequence[Source]) -> Prediction:
        """Scores and anomaly maps of B images, higher is worse; errors as for `fit`."""
        pixels = [_read(image)[1] for image in images]
        tokens = encode(self.detector.backbone, pixels, windows=self.detector.windows)
        return self.detector.score(tokens)

    def inspect(self, image: Source) -> Verdict:
        """Whether the part is rejected, where and why, as the server decides it."""
        [verdict] = judge(self.detector, [_read(image)[1]], self.thresholds)
        return verdict

    def save(self, directory: str | Path) -> None:
        """Write a checkpoint; the directory appears whole or not at all."""
        save_detector(
            self.detector,
            Path(directory),
            dataset=DATASET,
            category=self.category,
            shots=self.shots,
            thresholds=self.thresholds,
        )


def fit(
    images: Sequence[Source],
    *,
    method: str = "anomalydino",
    caption: Caption | str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    category: str = CATEGORY,
    backbone: str = "bundled",
    weights: str | None = None,
    device: str = "cpu",
    seed: int = 0,
    false_alarms: float = FALSE_ALARMS,
) -> FittedDetector:
    """Fit a detector on K good images and calibrate its thresholds on them.

    Args:
        images: files, or RGB arrays (H,W,3) of 8 bits.
        method: of `finegrain.detectors.DETECTORS`.
        caption: of the part, or its YAML file; FineGrainedAD needs one.
        options: of the method.
        category: what the part is called.
        backbone: of `finegrain.backbones.BACKBONES`.
        weights: of the backbone: a file, or a tag.
        device: where it computes.
        seed: of all randomness.
        false_alarms: among 100 good parts, that the thresholds are calibrated for.

    Raises:
        ConfigError: an unknown name or option, no image, or a caption that is needed.
        ImageError: a file or an array that is no image within the limits.
    """
    if not images:
        raise ConfigError("fit needs at least one good image; got none")
    kind = detector_class(method)
    check_false_alarms(false_alarms)
    chosen = dict(options or {})
    if kind.needs_caption:
        chosen |= {"caption": _caption(caption, method).model_dump(mode="json")}
    check_backbone(backbone, weights, reads_text=kind.needs_caption or kind.names_object)
    frozen = load_backbone(backbone, device, weights)
    stages = fitting(
        images,
        frozen,
        method=method,
        options=chosen,
        category=category,
        seed=seed,
        false_alarms=false_alarms,
    )
    while True:
        try:
            next(stages)
        except StopIteration as done:
            fitted: FittedDetector = done.value
            return fitted


def fitting(
    images: Sequence[Source],
    backbone: Backbone,
    *,
    method: str,
    options: Mapping[str, Any],
    category: str,
    seed: int,
    false_alarms: float,
) -> Generator[str, None, FittedDetector]:
    """What `fit` does on a loaded backbone: yields the name of each stage as it begins.

    The options hold the caption where the method needs one.
    """
    yield "encoding"
    detector = make_detector(method, backbone, options, seed=seed)
    shots, pixels = zip(*map(_read, images, count()), strict=True)
    copies = [encoded_copies(backbone, one, windows=detector.windows) for one in pixels]
    yield "fitting"
    detector.fit(pixels)
    yield "calibrating"
    tokens = encode(backbone, pixels, windows=detector.windows)
    return FittedDetector(
        detector, calibrate(detector, tokens, copies, false_alarms), shots, category
    )


def load(
    directory: str | Path, *, weights: str | None = None, device: str = "cpu"
) -> FittedDetector:
    """What was saved, or any checkpoint of a benchmark.

    Args:
        directory: of the checkpoint.
        weights: of its backbone, where that does not come with the package.
        device: where it computes.

    Raises:
        CheckpointError: incomplete, damaged, or made with other backbone weights.
    """
    config = read_config(Path(directory))
    detector = load_detector(Path(directory), load_backbone(config.backbone, device, weights))
    return FittedDetector(detector, config.thresholds, config.shots, config.category)


def _caption(caption: Caption | str | Path | None, method: str) -> Caption:
    if caption is None:
        raise ConfigError(f"{method} needs the caption of the part: caption=FILE.yaml")
    return caption if isinstance(caption, Caption) else read_caption(Path(caption))


def _read(image: Source, place: int = 0) -> tuple[Shot, RgbImage]:
    """RGB pixels (H,W,3), and the SHA-256 of the file or of the pixels that they came as."""
    if not isinstance(image, np.ndarray):
        content = read_bytes(Path(image))
        return Shot(Path(image), sha256(content).hexdigest()), decode_rgb(content, str(image))
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageFormatError(
            f"an array must be RGB of 8 bits, (H,W,3) uint8; got {image.shape} {image.dtype}"
        )
    return Shot(Path(f"array-{place}"), sha256(image.tobytes()).hexdigest()), image
