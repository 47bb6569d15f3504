"""AUPRO as its definition reads, and a race of the project's metrics against it.

python -m tests.evaluation.slow_metrics        500 maps of 400 x 400, a few minutes
"""

import time

import numpy as np
from scipy import ndimage

from finegrain.evaluation.metrics import evaluate_pixels


def aupro_by_thresholds(maps, masks, max_fpr, thresholds):
    """At every threshold, the overlap of every region, one after the other."""
    fpr, pro = [0.0], [0.0]
    for threshold in thresholds:
        found = maps >= threshold
        overlaps = []
        for image_found, mask in zip(found, masks, strict=True):
            regions, count = ndimage.label(mask, structure=np.ones((3, 3)))
            overlaps += [image_found[regions == r].mean() for r in range(1, count + 1)]
        fpr.append(found[~masks].mean())
        pro.append(np.mean(overlaps))
    rates = np.array(fpr)
    inside = rates <= max_fpr
    x = np.append(rates[inside], max_fpr)
    y = np.append(np.array(pro)[inside], np.interp(max_fpr, rates, pro))
    return np.trapezoid(y, x) / max_fpr


def blobs(generator, count=6, side=24):
    """Maps that follow, loosely, masks of a few regions; the first two images are good."""
    masks = np.zeros((count, side, side), dtype=bool)
    for mask in masks[2:]:
        for _ in range(3):
            row, column = generator.integers(0, side - 5, 2)
            height, width = generator.integers(1, 5, 2)
            mask[row : row + height, column : column + width] = True
    maps = generator.normal(size=masks.shape) + 1.5 * masks
    return maps, masks


def race(count, side):
    """CPU seconds: all pixel metrics here, and AUPRO alone at 200 thresholds the obvious way."""
    maps, masks = blobs(np.random.default_rng(0), count, side)
    maps = maps.astype(np.float32)
    evaluate_pixels(maps[:9], masks[:9])  # warm-up
    start = time.process_time()
    evaluate_pixels(maps, masks)
    fast = time.process_time() - start
    start = time.process_time()
    aupro_by_thresholds(maps, masks, 0.3, np.linspace(maps.max(), maps.min(), 200))
    return fast, time.process_time() - start


if __name__ == "__main__":
    fast, slow = race(500, 400)
    print(
        f"all pixel metrics {fast:.1f} s, AUPRO by 200 thresholds {slow:.1f} s: {slow / fast:.0f} x"
    )
