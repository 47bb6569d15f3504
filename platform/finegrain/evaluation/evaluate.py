"""A fitted detector on a category's test images.

B images, S = MAP_SIZE.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from finegrain.backbones import Backbone, PatchTokens, RgbImage, Windows, encode
from finegrain.data.images import decode_rgb, read_bytes, read_mask
from finegrain.data.masks import to_map_size
from finegrain.data.samples import Category, Sample
from finegrain.detectors import Detector, Prediction
from finegrain.errors import DatasetError, UndefinedMetricError
from finegrain.evaluation.metrics import Scores, evaluate_images, evaluate_pixels


@dataclass(frozen=True)
class TestSet:
    """The test images of a category as a detector and the metrics see them.

    Args:
        tokens: of B images.
        labels: (B,) true for anomalous.
        masks: (B,S,S); None where the category has none.
        sha256: of the B files.
    """

    __test__ = False  # not a test class, whatever pytest makes of the name

    tokens: PatchTokens
    labels: npt.NDArray[np.bool_]
    masks: npt.NDArray[np.bool_] | None
    sha256: tuple[str, ...] = field(repr=False)


def load_test_set(
    category: Category,
    backbone: Backbone,
    batch_size: int = 8,
    windows: Windows | None = None,
) -> TestSet:
    """Read, decode and encode every test image once, `batch_size` of them in memory at a time.

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
    for sample in category.test:
        data = read_bytes(sample.path)
        image = decode_rgb(data, str(sample.path))
        hashes.append(sha256(data).hexdigest())
        masks.append(to_map_size(sample_mask(sample, image)))
        batch.append(image)
        if len(batch) == batch_size:
            tokens.append(encode(backbone, batch, windows=windows))
            batch = []
    if batch:
        tokens.append(encode(backbone, batch, windows=windows))
    return TestSet(
        PatchTokens.concatenate(tokens),
        np.array([sample.anomalous for sample in category.test]),
        np.stack(masks) if category.has_masks else None,
        tuple(hashes),
    )


def sample_mask(sample: Sample, image: RgbImage) -> npt.NDArray[np.bool_]:
    """The anomalous pixels (H,W) of a test image, none where it has no mask."""
    height, width = image.shape[:2]
    if sample.mask is None:
        return np.zeros((height, width), dtype=bool)
    return read_mask(sample.mask, height, width)


def score_all(detector: Detector, tokens: PatchTokens, batch_size: int = 16) -> Prediction:
    """The prediction for all images, `batch_size` at a time."""
    parts = [
        detector.score(tokens[start : start + batch_size])
        for start in range(0, len(tokens), batch_size)
    ]
    return Prediction.concatenate(parts)


def evaluate(prediction: Prediction, test: TestSet) -> Scores:
    """All metrics that are defined on the test set; the others are None."""
    found: dict[str, float] = {}
    with suppress(UndefinedMetricError):
        found |= evaluate_images(prediction.image_scores, test.labels)
    if test.masks is not None:
        with suppress(UndefinedMetricError):
            found |= evaluate_pixels(prediction.anomaly_maps, test.masks)
    return Scores(**found)
