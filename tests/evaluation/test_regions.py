"""Overlaps counted by hand, and pictures that show what they are told."""

import numpy as np

from finegrain.evaluation.figures import LABEL, TILE
from finegrain.evaluation.regions import (
    HUES,
    enlarged,
    intersection_over_union,
    legend,
    matching_strip,
    tinted,
)


def test_overlap_by_hand():
    labels = np.array([[0, 0], [1, -1]])  # each block is 2 x 2 pixels of a 4 x 4 image
    left = np.zeros((4, 4), bool)
    left[:, :2] = True  # 8 pixels, 4 of them labelled 0; label 0 has 8 pixels
    corner = np.zeros((4, 4), bool)
    corner[2:, :2] = True  # exactly the block of label 1
    unseen = np.zeros((4, 4), bool)
    found = intersection_over_union(labels, [left, corner, unseen])
    np.testing.assert_allclose(found, [4 / 12, 1.0, np.nan])


def test_labels_grow_in_blocks():
    large = enlarged(np.array([[0, 1, 2]]), 2, 6)
    assert large.tolist() == [[0, 0, 1, 1, 2, 2]] * 2


def test_background_keeps_its_pixels_and_regions_take_their_hue():
    image = np.full((4, 4, 3), 100, np.uint8)
    shown = tinted(image, np.array([[-1, 1]]))
    assert (shown[:, :2] == 100).all()
    toward = np.sign(HUES[1] - 100)
    assert (np.sign(shown[0, 3].astype(int) - 100) == toward).all()


def test_a_matching_strip_names_only_the_units_it_shows():
    images = [np.zeros((8, 8, 3), np.uint8)] * 2
    masks = [np.zeros((8, 8), bool)] * 2
    matched = np.array([[[0, 2]], [[2, 2]]])
    strip = matching_strip(images, masks, matched, ["image", "bolt", "washer"])
    assert strip.shape == (2 * TILE + 2 * LABEL, 2 * TILE, 3)
    assert (legend(["bolt"], [0], 50)[8, 8] == HUES[0]).all()
