"""A fitted detector on a category's test images.

B images, S = MAP_SIZE.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

from finegrain.backbones import Backbone, PatchTokens, RgbImage, Windows, encode
from finegrain.data.images import decode_rgb, read_bytes, read_mask, read_rgb
from finegrain.data.masks import to_map_size
from finegrain.data.samples import Category, Sample
from finegrain.detectors import Detector, Prediction
from finegrain.errors import DatasetError, UndefinedMetricError
from finegrain.evaluation.metrics import Scores, evaluate_images, evaluate_pixels

SCORED = 16  # images that are scored at a time


@dataclass(frozen=True)
class EncodedAnew:
    """Images whose tokens are too large to be kept: they are encoded whenever they are scored."""

    paths: tuple[Path, ...]
    backbone: Backbone
    windows: Windows | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: slice) -> "EncodedAnew":
        """Some of the images."""
        return replace(self, paths=self.paths[rows])

    def encoded(self) -> PatchTokens:
        """The tokens of all of them."""
        return encode(self.backbone, [read_rgb(path) for path in self.paths], windows=self.windows)


@dataclass(frozen=True)
class TestSet:
    """The test images of a category as a detector and the metrics see them.

    Args:
        tokens: of B images, or whence they are to be had.
        labels: (B,) true for anomalous.
        masks: (B,S,S); None where the category has none.
        sha256: of the B files.
        encode_ms: an image, from file to tokens.
    """

    __test__ = False  # not a test class, whatever pytest makes of the name

    tokens: PatchTokens | EncodedAnew
    labels: npt.NDArray[np.bool_]
    masks: npt.NDArray[np.bool_] | None
    sha256: tuple[str, ...] = field(repr=False)
    encode_ms: float | None = None


def load_test_set(
    category: Category,
    backbone: Backbone,
    batch_size: int = 8,
    windows: Windows | None = None,
    keep_bytes: int | None = None,
) -> TestSet:
    """Read, decode and encode every test image once, `batch_size` of them in memory at a time.

    Args:
        category: whose test images they are.
        backbone: frozen.
        batch_size: images that are encoded at a time.
        windows: that the tokens have to come with.
        keep_bytes: tokens that need more are not kept, but encoded whenever they are scored.

    Raises:
        ImageError, DatasetError: of the first file that can't be used, by its name; or there is no
            test image.
    """
    if not category.test:
        raise DatasetError(f"{category.name} has no test image; nothing can be measured on it")
    tokens: list[PatchTokens] = []
    masks: list[npt.NDArray[np.bool_]] = []
    hashes: list[str] = []
    batch: list[RgbImage] = []
    kept = True
    start, encode_ms = time.perf_counter(), 0.0
    for place, sample in enumerate(category.test, start=1):
        data = read_bytes(sample.path)
        image = decode_rgb(data, str(sample.path))
        hashes.append(sha256(data).hexdigest())
        masks.append(to_map_size(sample_mask(sample, image)))
        if not kept:
            continue
        batch.append(image)
        if len(batch) == batch_size or place == len(category.test):
            tokens.append(encode(backbone, batch, windows=windows))
            batch = []
            encode_ms = 1000 * (time.perf_counter() - start) / place
            needed = tokens[0].nbytes / len(tokens[0]) * len(category.test)
            kept = keep_bytes is None or needed <= keep_bytes
    paths = tuple(sample.path for sample in category.test)
    return TestSet(
        PatchTokens.concatenate(tokens) if kept else EncodedAnew(paths, backbone, windows),
        np.array([sample.anomalous for sample in category.test]),
        np.stack(masks) if category.has_masks else None,
        tuple(hashes),
        encode_ms,
    )


def sample_mask(sample: Sample, image: RgbImage) -> npt.NDArray[np.bool_]:
    """The anomalous pixels (H,W) of a test image, none where it has no mask."""
    height, width = image.shape[:2]
    if sample.mask is None:
        return np.zeros((height, width), dtype=bool)
    return read_mask(sample.mask, height, width)


def in_batches(
    tokens: PatchTokens | EncodedAnew, batch_size: int = SCORED
) -> Iterator[PatchTokens]:
    """The tokens of `batch_size` images at a time; of no more are they in memory, if need be."""
    for start in range(0, len(tokens), batch_size):
        some = tokens[start : start + batch_size]
        yield some if isinstance(some, PatchTokens) else some.encoded()


def score_all(detector: Detector, tokens: PatchTokens | EncodedAnew) -> Prediction:
    """The prediction for all images."""
    return Prediction.concatenate([detector.score(batch) for batch in in_batches(tokens)])


def evaluate(prediction: Prediction, test: TestSet) -> Scores:
    """All metrics that are defined on the test set; the others are None."""
    found: dict[str, float] = {}
    with suppress(UndefinedMetricError):
        found |= evaluate_images(prediction.image_scores, test.labels)
    if test.masks is not None:
        with suppress(UndefinedMetricError):
            found |= evaluate_pixels(prediction.anomaly_maps, test.masks)
    return Scores(**found)
