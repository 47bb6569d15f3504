"""Verdicts of hand-made predictions, and of a fitted detector without any server."""

import numpy as np
import pytest

from finegrain.backbones import encode
from finegrain.decision import Component, Region, Thresholds, decide, judge
from finegrain.decision.verdict import reason
from finegrain.detectors import Prediction, make_detector
from finegrain.errors import InputError, ScoreError
from tests.conftest import striped

SPOT = Region(box=(10, 20, 31, 40), area=0.013, score=0.4, component="bolts", caption="four bolts")
PLAIN = Region(box=(0, 0, 4, 4), area=0.0, score=0.3)


@pytest.mark.parametrize(
    ("rejected", "regions", "suspect", "told"),
    [
        (None, [], None, "No decision: this checkpoint was not calibrated."),
        (False, [], None, "Accepted: nothing stands out."),
        (False, [SPOT], None, "Accepted, though there is a trace: 1 region above the threshold, "
                              "the highest at the bolts (1.3 % of the image)."),
        (True, [SPOT, PLAIN], None, "Rejected: 2 regions above the threshold, "
                                    "the highest at the bolts (1.3 % of the image)."),
        (True, [], SPOT, "Rejected: the image as a whole scores above its threshold, though no "
                         "region does; the highest is around pixel 20, 30 at the bolts."),
        (True, [], PLAIN, "Rejected: the image as a whole scores above its threshold, though no "
                          "region does; the highest is around pixel 2, 2."),
    ],
)  # fmt: skip
def test_a_decision_is_told_with_its_place(rejected, regions, suspect, told):
    assert reason(rejected, regions, suspect) == told


UNITS = (("image", "a plate"), ("bore", "one bore"), ("stripes", "grey stripes"))


def hand_made():
    """Two images: one with a bright spot at the lower right, one without any."""
    maps = np.zeros((2, 4, 4), np.float32)
    maps[0, 2:, 3] = (0.6, 0.9)
    matched = np.array([[1, 1, 1, 2], [1, 1, 1, 1]], np.int16)
    return Prediction(np.array([0.7, 0.2], np.float32), maps, matched)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["score", "map"])
def test_what_is_not_finite_is_no_prediction(value, place):
    """Each comparison with NaN is false, so that such a part would be accepted."""
    whole = hand_made()
    scores, maps = whole.image_scores.copy(), whole.anomaly_maps.copy()
    if place == "score":
        scores[1] = value
    else:
        maps[1, 3, 3] = value
    with pytest.raises(ScoreError, match=r"the score or the map of image 2 of 2 is no finite"):
        Prediction(scores, maps, whole.matched)
    assert issubclass(ScoreError, InputError)  # a benchmark's trial fails by it, and isn't retried


def test_each_image_gets_its_own_decision_regions_and_components():
    bad, good = decide(
        hand_made(), Thresholds(0.5, 0.4), [(40, 80), (8, 8)], units=UNITS, grid=(2, 2)
    )
    assert (bad.rejected, bad.threshold, bad.pixel_threshold) == (True, 0.5, 0.4)
    assert bad.score == pytest.approx(0.7)
    [region] = bad.regions
    assert (region.box, region.component) == ((30, 40, 40, 80), "stripes")
    assert bad.components == (Component("bore", "one bore", 1), Component(*UNITS[2], 2))
    assert bad.reason.startswith("Rejected: 1 region above the threshold")
    assert bad.matched.tolist() == [[1, 1], [1, 2]]
    assert (good.rejected, good.regions, good.width, good.height) == (False, (), 8, 8)
    assert good.components == (Component("bore", "one bore", 1),)


def test_without_thresholds_nothing_is_decided():
    bad, good = decide(hand_made(), None, [(4, 4)] * 2, units=UNITS, grid=(2, 2))
    assert (bad.rejected, bad.threshold, bad.regions) == (None, None, ())
    assert "not calibrated" in good.reason


def test_an_image_that_is_rejected_as_a_whole_says_where_it_is_worst():
    bad, _ = decide(hand_made(), Thresholds(0.5, 1.0), [(40, 80)] * 2, units=UNITS, grid=(2, 2))
    assert bad.regions == ()
    assert "the highest is around pixel 35, 70 at the stripes" in bad.reason


def test_a_size_too_few_is_an_error():
    with pytest.raises(ValueError, match="shorter"):
        decide(hand_made(), None, [(4, 4)], units=UNITS, grid=(2, 2))


def test_a_fitted_detector_judges_without_a_server(backbone):
    generator = np.random.default_rng(0)
    shots = [striped(generator)[0] for _ in range(2)]
    detector = make_detector("patchcore", backbone).fit(shots)
    images = [striped(generator)[0], striped(generator, defect=True)[0][:48]]
    scores = detector.score(encode(backbone, images)).image_scores
    between = Thresholds(image=float(scores.mean()), pixel=1e5)
    verdicts = judge(detector, images, between)
    assert [v.score for v in verdicts] == pytest.approx(scores.tolist())
    assert [v.rejected for v in verdicts] == [bool(s > scores.mean()) for s in scores]
    assert [(v.width, v.height) for v in verdicts] == [(64, 64), (64, 48)]
