"""Where a fitted FineGrainedAD sees a part's components (figure 6)."""

from collections.abc import Sequence

import numpy as np

from finegrain.backbones import RgbImage, encode
from finegrain.data.images import read_rgb
from finegrain.data.samples import Category
from finegrain.detectors.finegrained import FineGrained
from finegrain.evaluation.evaluate import sample_mask
from finegrain.evaluation.figures import Picture, sheet
from finegrain.evaluation.regions import matching_strip, region_rows


def component_picture(
    detector: FineGrained, images: Sequence[RgbImage], category: Category, title: str
) -> Picture:
    """The regions on its K shots, then K test images with the unit that Eq. 4 finds for a token."""
    chosen = np.linspace(0, len(category.test) - 1, min(len(images), len(category.test)))
    samples = [category.test[index] for index in np.unique(chosen.round().astype(int))]
    tests = [read_rgb(sample.path) for sample in samples]
    tokens = encode(detector.backbone, tests)
    owners = detector.owners.view(len(images), *tokens.grid).cpu().numpy()
    masks = [sample_mask(sample, image) for sample, image in zip(samples, tests, strict=True)]
    found = detector.best_units(tokens).view(len(tests), *tokens.grid).cpu().numpy()
    names = [name for name, _ in detector.units]
    strip = matching_strip(tests, masks, found, names)
    return sheet([*region_rows(images, {"regions": owners}), ("matching", strip)], title)
