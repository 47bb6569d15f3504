"""The metrics against hand-computed values, scikit-learn, and the definitions written slowly."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from finegrain.errors import UndefinedMetricError
from finegrain.evaluation.metrics import (
    evaluate_images,
    evaluate_pixels,
    image_curve,
    pixel_curves,
)
from tests.evaluation.slow_metrics import aupro_by_thresholds, blobs, race


def test_image_metrics_by_hand():
    # Ranked: + (.9), - (.8), + (.7), - (.1): 3 of 4 pairs are in order.
    metrics = evaluate_images([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0])
    assert metrics["image_auroc"] == pytest.approx(0.75)
    assert metrics["image_ap"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert metrics["image_f1"] == pytest.approx(2 * 2 / (3 + 2))


def test_a_tie_counts_half():
    assert image_curve([1.0, 1.0], [True, False]).auroc() == 0.5


@pytest.mark.parametrize("levels", [3, 20, 10**9])
def test_agrees_with_scikit_learn(levels):
    generator = np.random.default_rng(levels)
    labels = generator.random(500) < 0.2
    scores = np.round((generator.normal(size=500) + labels) * levels) / levels
    metrics = evaluate_images(scores, labels)
    precision, recall, _ = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    assert metrics["image_auroc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert metrics["image_ap"] == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    assert metrics["image_f1"] == pytest.approx(f1.max(), abs=1e-12)


def test_pixel_metrics_agree_with_scikit_learn():
    maps, masks = blobs(np.random.default_rng(1))
    metrics = evaluate_pixels(maps, masks)
    labels, scores = masks.ravel(), maps.ravel()
    assert metrics["pixel_auroc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert metrics["pixel_ap"] == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize("max_fpr", [0.05, 0.30, 1.0])
def test_aupro_agrees_with_its_definition_at_every_threshold(max_fpr):
    maps, masks = blobs(np.random.default_rng(2), side=16)
    every = np.unique(maps)[::-1]
    _, regions = pixel_curves(maps, masks)
    slow = aupro_by_thresholds(maps, masks, max_fpr, every)
    assert regions.partial_area(max_fpr) == pytest.approx(slow, abs=1e-12)


def test_aupro_by_hand():
    # Two regions: one of a single pixel, found first, and one of four, found after 2 of 8 normal.
    mask = np.zeros((1, 3, 5), dtype=bool)
    mask[0, 0, 0] = True
    mask[0, 1:, 3:] = True
    scores = np.zeros((1, 3, 5))
    scores[mask] = [0.9, 0.5, 0.5, 0.5, 0.5]
    scores[0, 2, 0], scores[0, 2, 1] = 0.7, 0.6
    _, regions = pixel_curves(scores, mask)
    # Overlap: 1/2 up to a rate of 2/10, then 1.
    assert regions.partial_area(0.2) == pytest.approx(0.5)
    assert regions.partial_area(0.3) == pytest.approx((0.2 * 0.5 + 0.1) / 0.3)


def test_full_area_under_the_pixel_curve_is_its_auroc():
    maps, masks = blobs(np.random.default_rng(3))
    pixels, _ = pixel_curves(np.round(maps, 1), masks)
    assert pixels.partial_area(1.0) == pytest.approx(pixels.auroc(), abs=1e-12)


def test_perfect_and_inverted_maps_reach_the_ends_of_the_range():
    _, masks = blobs(np.random.default_rng(4))
    assert all(value == 1.0 for value in evaluate_pixels(masks.astype(float), masks).values())
    inverted = evaluate_pixels(1.0 - masks, masks)
    assert inverted["pixel_auroc"] == inverted["aupro_30"] == inverted["aupro_05"] == 0.0


def test_only_the_order_of_scores_matters():
    maps, masks = blobs(np.random.default_rng(5))
    assert evaluate_pixels(maps, masks) == evaluate_pixels(np.exp(maps), masks)


def test_diagonal_pixels_are_one_region():
    mask = np.eye(4, dtype=bool)[None]
    scores = np.zeros((1, 4, 4))
    scores[0, 0, 0] = 1.0
    _, regions = pixel_curves(scores, mask)
    assert regions.found[0] == pytest.approx(0.25)


def test_one_class_is_undefined():
    with pytest.raises(UndefinedMetricError, match="got 0 and 3"):
        evaluate_images([1.0, 2.0, 3.0], [0, 0, 0])
    with pytest.raises(UndefinedMetricError):
        evaluate_pixels(np.zeros((1, 2, 2)), np.zeros((1, 2, 2), dtype=bool))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, 1])
def test_scores_that_are_not_finite_are_refused(bad, position):
    scores = [0.1, 0.2, 0.3, 0.4]
    scores[position] = bad
    with pytest.raises(ValueError, match="finite"):
        evaluate_images(scores, [1, 0, 1, 0])


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(B,H,W\)"):
        evaluate_pixels(np.zeros((2, 3, 3)), np.zeros((2, 4, 4), dtype=bool))
    with pytest.raises(ValueError, match=r"\(B,\)"):
        evaluate_images([0.1, 0.2], [True])


def test_much_faster_than_two_hundred_thresholds():
    fast, slow = race(count=12, side=100)
    assert slow > 10 * fast  # measured at full size by `make bench-metrics`
