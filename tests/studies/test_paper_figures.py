"""Figures 5 and 6 from strips and detectors whose pixels are known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from finegrain.backbones import encode
from finegrain.data import load_category
from finegrain.data.images import read_rgb
from finegrain.detectors import make_detector
from finegrain.evaluation.evaluate import sample_mask
from finegrain.evaluation.figures import LABEL, TILE, compared
from finegrain.evaluation.regions import matching_strip
from finegrain.studies.paper.components import component_picture
from tests.conftest import PLATE, write_category


def strip(title, heat):
    """What `heatmap_strip` draws of two images, each part in one grey."""
    parts = [(LABEL, title), (TILE, 7), (TILE, heat)]
    return np.concatenate(
        [np.full((height, 2 * TILE, 3), grey, np.uint8) for height, grey in parts]
    )


def test_methods_are_compared_below_the_same_images():
    picture = compared({"padim": strip(1, 10), "spade": strip(2, 20)}, "gear")
    # title; name and images; name, scores and map of each method
    assert picture.shape == (LABEL + LABEL + TILE + 2 * (2 * LABEL + TILE), 2 * TILE, 3)
    middle = picture[:, TILE, 0]
    images = 2 * LABEL
    assert (middle[images : images + TILE] == 7).all()
    first = images + TILE + LABEL
    assert (middle[first : first + LABEL] == 1).all()
    assert (middle[first + LABEL : first + LABEL + TILE] == 10).all()
    assert (middle[-TILE:] == 20).all()
    assert (middle == 7).sum() == TILE


@pytest.fixture(scope="module")
def fitted(backbone, tmp_path_factory):
    """`finegrained:paper` on two shots, as it is before it learns; and its category."""
    root = write_category(tmp_path_factory.mktemp("figure"), "plate", seed=1)
    category = load_category("folder", root, "plate")
    shots = [read_rgb(path) for path in category.train[:2]]
    options = {"caption": PLATE, "training": {"epochs": 0}, "regions": {"fine_resolution": False}}
    return make_detector("finegrained:paper", backbone, options, seed=0).fit(shots), category


def by_equation_4(detector, tokens):
    """u*: of the components and the background the unit whose q has the largest cosine."""
    q, names = detector.features.queries, [name for name, _ in detector.units]
    local = [names.index(name) for name in ("stripes", "bore", "background")]
    z = F.normalize(tokens.patches, dim=-1)
    cosines = torch.stack([z @ q[unit] / q[unit].norm() for unit in local])
    return torch.tensor(local)[cosines.argmax(0)]


def test_components_are_shown_on_shots_and_test_images(fitted):
    """The last strip is Eq. 4's matching, which is not what the memory says of the same tokens."""
    detector, category = fitted
    shots = [read_rgb(path) for path in category.train[:2]]
    picture = component_picture(detector, shots, category, "plate")
    samples = category.test[0], category.test[-1]
    tests = [read_rgb(sample.path) for sample in samples]
    tokens = encode(detector.backbone, tests)
    expected = by_equation_4(detector, tokens)
    assert (detector.score(tokens).matched != expected.numpy()).any()
    masks = [sample_mask(sample, image) for sample, image in zip(samples, tests, strict=True)]
    names = [name for name, _ in detector.units]
    strip = matching_strip(tests, masks, expected.view(2, *tokens.grid).numpy(), names)
    assert picture.shape[1] == 2 * TILE
    np.testing.assert_array_equal(picture[-len(strip) :], strip)
    # above it: titles of four strips with the picture's own, shots and their regions
    assert len(picture) == 4 * LABEL + 2 * TILE + len(strip)
