"""Warping against numpy's own quarter turns, and against what it was for calibration."""

import numpy as np
import pytest

from finegrain.data.warping import SIDE, reduced, rotations, to_rgb, warped


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)


def test_quarter_turns_move_pixels_and_nothing_else(image):
    turned = rotations(image, [0, 90, 180, 270])
    for quarter, found in enumerate(turned):
        np.testing.assert_allclose(found, np.rot90(image, quarter), atol=1)
    assert turned[0] is image


def test_a_wide_image_is_turned_in_pixels_not_in_shares():
    image = np.zeros((40, 80, 3), dtype=np.uint8)
    image[19:21, 30:50] = 255  # a bar of 20 pixels around the centre
    (turned,) = rotations(image, [90])
    rows, columns = np.nonzero(turned[:, 20:60, 0] > 127)  # beyond, the image is mirrored
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (20, 2)


def test_a_grey_image_has_no_corners_after_turning():
    image = np.full((30, 50, 3), 90, dtype=np.uint8)
    assert (np.stack(rotations(image, [17, 45, 133])) == 90).all()


def test_a_shift_and_a_zoom_are_shares_of_the_image(image):
    shifted = to_rgb(warped(reduced(image), 0, shift=(0.25, 0)))
    np.testing.assert_allclose(shifted[:, :29], image[:, 10:39], atol=1)
    ramp = np.repeat(np.arange(100, 140, dtype=np.uint8)[None, :, None], 40, 0).repeat(3, 2)
    zoomed = to_rgb(warped(reduced(ramp), 0, zoom=0.5))
    np.testing.assert_allclose(zoomed[20, [0, 39], 0], [110, 130], atol=1)


def test_a_large_image_is_reduced_first():
    assert reduced(np.zeros((2 * SIDE, SIDE, 3), dtype=np.uint8)).shape == (1, 3, SIDE, SIDE // 2)
