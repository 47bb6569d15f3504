"""Masks on the grid of the maps: no region is lost, and each keeps its area."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from finegrain.data.masks import EIGHT_NEIGHBOURS, MAP_SIZE, small_regions, to_map_size


def regions(mask):
    return ndimage.label(mask, structure=EIGHT_NEIGHBOURS)[1]


def test_a_defect_of_six_pixels_stays_one_pixel_wherever_it_lies():
    for row, column in np.random.default_rng(0).integers(0, (2998, 3997), (20, 2)):
        mask = np.zeros((3000, 4000), dtype=bool)
        mask[row : row + 2, column : column + 3] = True
        reduced = to_map_size(mask)
        assert reduced.sum() == 1
        [[found_row, found_column]] = np.argwhere(reduced)
        assert abs(found_row - row * MAP_SIZE / 3000) <= 1
        assert abs(found_column - column * MAP_SIZE / 4000) <= 1
        assert small_regions(mask) == 1


def test_a_disc_keeps_its_area_and_place():
    rows, columns = np.ogrid[:900, :1300]
    disc = (rows - 500) ** 2 + (columns - 700) ** 2 < 200**2
    reduced = to_map_size(disc)
    assert reduced.mean() == pytest.approx(disc.mean(), abs=1 / MAP_SIZE**2)
    share = Image.fromarray(disc.astype(np.float32)).resize(reduced.shape, Image.Resampling.BOX)
    share = np.asarray(share)
    assert reduced[share > 0.9].all()
    assert not reduced[share < 0.1].any()
    assert small_regions(disc) == 0


def test_a_scratch_that_is_thinner_than_a_pixel_keeps_its_area():
    mask = np.zeros((4000, 4000), dtype=bool)
    mask[1234, 100:2100] = True
    reduced = to_map_size(mask)
    assert reduced.sum() == 20  # 2000 of the 100 in a pixel of the map
    assert regions(reduced) == 1


def test_as_many_defects_stay_as_lie_apart():
    mask = np.zeros((2000, 1600), dtype=bool)
    mask[10::100, 7::80] = True
    assert regions(to_map_size(mask)) == regions(mask) == small_regions(mask) == 400


@pytest.mark.parametrize("shape", [(80, 80), (400, 400), (100, 300)])
def test_what_is_smaller_than_the_map_is_the_nearest_pixel(shape):
    mask = np.random.default_rng(0).random(shape) > 0.5
    height, width = shape
    rows, columns = ((np.arange(MAP_SIZE) + 0.5) * side // MAP_SIZE for side in (height, width))
    assert (to_map_size(mask) == mask[rows.astype(int)][:, columns.astype(int)]).all()


def test_a_narrow_image_is_enlarged_across_and_reduced_along():
    mask = np.zeros((3000, 4), dtype=bool)
    mask[1500:1800, 1] = True
    reduced = to_map_size(mask)
    assert reduced.sum() == 40 * 100
    assert reduced[200:240, 100:200].all()
