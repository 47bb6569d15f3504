"""Figures 5 and 6 from strips and detectors whose pixels are known."""

import numpy as np

from finegrain.data import load_category
from finegrain.data.images import read_rgb
from finegrain.detectors.finegrained import FineGrained
from finegrain.evaluation.figures import LABEL, TILE, compared
from finegrain.studies.paper.components import component_picture
from tests.conftest import PLATE


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


def test_components_are_shown_on_shots_and_test_images(backbone, plates):
    category = load_category("folder", plates, "plate_a")
    shots = [read_rgb(path) for path in category.train[:2]]
    options = {"caption": PLATE, "training": {"epochs": 0}, "regions": {"fine_resolution": False}}
    detector = FineGrained(backbone, options, seed=0).fit(shots)
    picture = component_picture(detector, shots, category, "plate_a")
    # titles of four strips; shots, regions, test images and matching; at least one legend line
    assert picture.shape[1] == 2 * TILE
    legend = picture.shape[0] - 4 * LABEL - 4 * TILE
    assert legend >= LABEL
    assert legend % LABEL == 0
