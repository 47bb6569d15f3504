"""From Python: fit a detector on a few good images, ask it about others, save it, load it again.

    part = fit(["good1.png", "good2.png"], method="patchcore")
    print(part.inspect("new.png").reason)
    part.save("part")
    part = load("part")

The directory is a checkpoint like any other: the benchmark writes it and the server loads it.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from finegrain.backbones import (
    Backbone,
    FrozenClip,
    Resize,
    RgbImage,
    check_backbone,
    encode,
    framed,
    load_backbone,
    shots_aspect,
)
from finegrain.captions import Caption
from finegrain.captions.from_photos import caption_from_photos
from finegrain.captions.store import read_caption
from finegrain.checkpoint import load_detector, read_config, save_detector
from finegrain.data.images import decode_rgb, read_bytes
from finegrain.data.shots import Shot
from finegrain.decision import Verdict, judge
from finegrain.decision.calibrate import calibrate, encoded_copies
from finegrain.decision.canary import encoded_canary
from finegrain.decision.thresholds import FALSE_ALARMS, Thresholds, check_false_alarms
from finegrain.detectors import (
    Detector,
    Prediction,
    detector_class,
    make_detector,
    method_options,
)
from finegrain.errors import ConfigError, ImageError, ImageFormatError

Source = str | Path | npt.NDArray[np.uint8]  # an image: a file, or its RGB pixels (H,W,3)
DATASET, CATEGORY = "own", "part"
BATCH = 4  # images that are decoded at a time


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

    def inspect_each(self, images: Iterable[Source]) -> Iterator[Verdict | ImageError]:
        """The verdict on each image in turn, or why it can't be read; BATCH are in memory."""
        left = iter(images)
        while batch := list(islice(left, BATCH)):
            readings = [_try_read(image) for image in batch]
            pixels = [found for found in readings if not isinstance(found, ImageError)]
            verdicts = iter(judge(self.detector, pixels, self.thresholds) if pixels else ())
            for found in readings:
                yield found if isinstance(found, ImageError) else next(verdicts)

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
    resize: Resize = "auto",
) -> FittedDetector:
    """Fit a detector on K good images and calibrate its thresholds on them.

    Args:
        images: files, or RGB arrays (H,W,3) of 8 bits.
        method: of `finegrain.detectors.DETECTORS`.
        caption: of the part, or its YAML file, for FineGrainedAD; None to make it from the images.
        options: of the method.
        category: what the part is called.
        backbone: of `finegrain.backbones.BACKBONES`.
        weights: of the backbone: a file, or a tag.
        device: where it computes.
        seed: of all randomness.
        false_alarms: among 100 good parts, that the thresholds are calibrated for.
        resize: "fit": images keep the aspect ratio of the shots, "squash": they become squares;
            "auto": "fit" where the shots are four times as long as wide.

    Raises:
        ConfigError: an unknown name or option, no image, or a caption that is none.
        ImageError: a file or an array that is no image within the limits.
    """
    if not images:
        raise ConfigError("fit needs at least one good image; got none")
    kind = detector_class(method)
    check_false_alarms(false_alarms)
    chosen = dict(options or {})
    check_backbone(backbone, weights, reads_text=kind.needs_caption or kind.names_object)
    kind.Config.from_options(method_options(method, chosen))  # before images are read
    own = read_caption(Path(caption)) if isinstance(caption, str | Path) else caption
    if kind.needs_caption and own:
        chosen |= {"caption": own.model_dump(mode="json")}
    frozen = load_backbone(backbone, device, weights)
    stages = fitting(
        images,
        frozen,
        method=method,
        options=chosen,
        category=category,
        seed=seed,
        false_alarms=false_alarms,
        resize=resize,
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
    dataset: str = DATASET,
    resize: Resize = "auto",
) -> Generator[str, None, FittedDetector]:
    """What `fit` does on a loaded backbone: yields the name of each stage as it begins.

    A caption that the method needs and the options lack is made from the images.
    """
    yield "encoding"
    shots, pixels = zip(*map(_read, images, count()), strict=True)
    backbone = framed(backbone, shots_aspect(resize, pixels))
    needs_caption = detector_class(method).needs_caption and "caption" not in options
    if needs_caption and isinstance(backbone, FrozenClip):
        hashes = [shot.sha256 for shot in shots]
        made = caption_from_photos(dataset, category, pixels, backbone, hashes).caption
        options = {**options, "caption": made.model_dump(mode="json")}
    detector = make_detector(method, backbone, options, seed=seed)
    copies = [encoded_copies(backbone, one, windows=detector.windows) for one in pixels]
    yield "fitting"
    detector.fit(pixels)
    yield "calibrating"
    tokens = encode(backbone, pixels, windows=detector.windows)
    canary = encoded_canary(backbone, detector.windows)
    thresholds = calibrate(detector, tokens, copies, false_alarms, canary=canary)
    return FittedDetector(detector, thresholds, shots, category)


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


def _try_read(image: Source) -> RgbImage | ImageError:
    try:
        return _read(image)[1]
    except ImageError as error:
        return error


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
