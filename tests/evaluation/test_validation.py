"""Painted defects, and the score that is made of them without a test image."""

import numpy as np
import pytest
import torch

from finegrain.backbones import PatchTokens
from finegrain.detectors import Prediction, make_detector
from finegrain.evaluation import synthetic
from finegrain.evaluation.evaluate import TestSet
from finegrain.evaluation.synthetic import KINDS, VISIBLE, with_defect
from finegrain.evaluation.validation import BAD, GOOD, HeldOut, hold_out, validate
from tests.conftest import striped


@pytest.fixture
def image():
    return striped(np.random.default_rng(0))[0]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_mask_is_where_the_image_changed(image, kind):
    for seed in range(5):
        changed, mask = with_defect(image, kind, np.random.default_rng(seed))
        difference = np.abs(changed.astype(int) - image.astype(int)).max(-1)
        np.testing.assert_array_equal(mask, difference >= VISIBLE)
        assert 4 <= mask.sum() < 0.2 * mask.size
        again, _ = with_defect(image, kind, np.random.default_rng(seed))
        np.testing.assert_array_equal(changed, again)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("area", [0.01, 0.03])
def test_a_defect_has_about_the_size_that_is_asked_for(kind, area):
    plain = np.full((300, 200, 3), 128, np.uint8)
    plain[::7] = 40
    shown = [
        with_defect(plain, kind, np.random.default_rng(seed), area)[1].mean() for seed in range(12)
    ]
    assert 0.5 * area < np.median(shown) < 1.6 * area


def test_a_defect_that_never_shows_is_an_error(image, monkeypatch):
    monkeypatch.setitem(
        synthetic.KINDS, "stain", lambda plain, *_: (plain, np.ones(plain.shape[:2], np.float32))
    )
    with pytest.raises(ValueError, match="did not show"):
        with_defect(image, "stain", np.random.default_rng(0))


def test_copies_are_the_same_at_the_same_seed(image, backbone):
    one, other, third = (hold_out(backbone, [image], seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one.copies.tokens.patches, other.copies.tokens.patches)
    assert not torch.equal(one.copies.tokens.patches, third.copies.tokens.patches)
    assert list(one.copies.labels) == [True] * BAD + [False] * GOOD
    shown = one.copies.masks.any((1, 2))
    np.testing.assert_array_equal(shown, one.copies.labels)


class Oracle:
    """Scores an image by the number in its class token, and notes what it was fitted without."""

    def __init__(self, without=()):
        self.without = without

    def leaving_out(self, index, shots):
        return Oracle((*self.without, index))

    def score(self, tokens):
        assert len(self.without) == 1
        scores = tokens.image[:, 0].numpy() + 10 * self.without[0]
        return Prediction(scores, np.zeros((len(scores), 400, 400), np.float32))


def numbered(*scores):
    count = len(scores)
    patches = torch.zeros(count, 1, 1)
    return PatchTokens(torch.tensor(scores)[:, None], patches, (patches,), (1, 1))


def test_every_copy_is_scored_without_its_shot_and_all_are_ranked_together():
    """Shot 0: bad 1 and 3, good 2. Shot 1: bad 11, good 10 and 12."""
    masks = np.zeros((6, 400, 400), dtype=bool)
    labels = np.array([True, True, False, True, False, False])
    copies = TestSet(numbered(1.0, 3.0, 2.0, 1.0, 0.0, 2.0), labels, masks, ())
    scores = validate(Oracle(), HeldOut(numbered(0.0, 0.0), copies))
    # 1 beats none, 3 beats 2, 11 beats 2 and 10: 3 of 9
    assert scores.image_auroc == pytest.approx(3 / 9)
    assert scores.pixel_auroc is None


def test_a_detector_does_better_than_chance(backbone):
    generator = np.random.default_rng(1)
    shots = [striped(generator)[0] for _ in range(2)]
    held_out = hold_out(backbone, shots, seed=0)
    knowing, guessing = (
        validate(make_detector(name, backbone).fit(shots), held_out)
        for name in ("patchcore", "chance")
    )
    assert knowing.pixel_auroc > 0.75 > 0.65 > guessing.pixel_auroc
    assert knowing.image_auroc > guessing.image_auroc
