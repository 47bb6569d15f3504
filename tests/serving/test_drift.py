"""Drift against drawn scores whose distance is known."""

import numpy as np
import pytest
from scipy import stats

from finegrain.decision import Thresholds, Verdict
from finegrain.decision.thresholds import Expected
from finegrain.serving.drift import FEWEST, KEPT, DriftWatch
from finegrain.serving.messages import Refusal, ScoredImages

EXPECTED = Expected(location=-1.5, scale=0.2, freedom=9.0)
THRESHOLDS = Thresholds.of(EXPECTED, EXPECTED, 5.0)


def scored(scores, thresholds=THRESHOLDS):
    images = tuple(
        Verdict(score, thresholds.image, bool(score > thresholds.image), "", (), 8, 8)
        for score in map(float, scores)
    )
    return ScoredImages(
        images, ({},) * len(images), "1", "patchcore", None, 1.0, 1.0, 1.0, 1, thresholds
    )


def drawn(count, shift=0.0, seed=0):
    """Scores of good parts, shifted by so many scales."""
    values = stats.t.rvs(EXPECTED.freedom, size=count, random_state=np.random.default_rng(seed))
    return np.exp(EXPECTED.location + EXPECTED.scale * (values + shift))


@pytest.mark.parametrize("shift", [-2.5, 0.0, 0.5])
def test_a_shift_of_the_scores_is_found_from_those_that_are_accepted(shift):
    drift = DriftWatch().note("own/plate", scored(drawn(2000, shift)))
    assert drift.images == KEPT
    watch = DriftWatch()
    watch.note("own/plate", scored(drawn(2000, shift)))
    assert np.median(watch.recent("own/plate")) == pytest.approx(drift.deviations, abs=0.01)
    assert drift.deviations == pytest.approx(shift, abs=0.25)
    assert bool(drift.message) == (shift == -2.5)


def test_a_shift_that_rejects_many_is_told_though_only_the_rest_is_seen():
    drift = DriftWatch().note("own/plate", scored(drawn(2000, 2.0)))
    assert 1.0 < drift.deviations < 2.0
    assert "higher than the photos let expect" in drift.message


def test_few_images_rejected_ones_and_refused_ones_say_nothing():
    watch = DriftWatch()
    assert watch.note("own/plate", scored(drawn(FEWEST - 2))) is None
    bad = scored([THRESHOLDS.image * 2] * 50 + [0.0])
    assert watch.note("own/plate", bad) is None
    refused = ScoredImages(
        (Refusal(422, "x", "y"),), ({},), "1", "patchcore", None, 1.0, 1.0, 1.0, 1, THRESHOLDS
    )
    assert watch.note("own/plate", refused) is None
    assert watch.of("own/other") is None
    assert watch.note("own/plate", scored(drawn(5, seed=1))).images >= FEWEST


def test_a_new_version_begins_anew_and_another_threshold_does_not():
    watch = DriftWatch()
    count = watch.note("own/plate", scored(drawn(60))).images
    assert watch.note("own/plate", scored(drawn(5, seed=1), THRESHOLDS.at(20.0))).images > count
    other = Expected(location=-1.0, scale=0.2, freedom=9.0)
    refitted = Thresholds.of(other, other, 5.0)
    assert watch.note("own/plate", scored(drawn(5), refitted)) is None
    assert watch.note("own/plate", scored([0.2], Thresholds(1.0, 1.0))) is None
