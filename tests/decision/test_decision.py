"""Regions and thresholds against hand-made maps and plain invariances."""

import math

import numpy as np
import pytest
import torch

from finegrain.backbones import PatchTokens
from finegrain.decision.calibrate import COPIES, calibrate, expected, jittered
from finegrain.decision.regions import MOST_REGIONS, find_regions
from finegrain.detectors import make_detector
from finegrain.errors import CalibrationError, InputError

UNITS = (("image", "a plate"), ("bore", "one bore"), ("stripes", "grey stripes"))


def test_regions_are_the_connected_areas_above_the_threshold():
    anomaly_map = np.zeros((8, 10), np.float32)
    anomaly_map[1:3, 1:4] = 0.5
    anomaly_map[2, 3] = 0.9
    anomaly_map[6:8, 7:10] = 0.6
    matched = np.array([[1, 2], [1, 2]], np.int16)  # left bore, right stripes
    first, second = find_regions(anomaly_map, 0.4, (100, 40), matched, UNITS)
    assert (first.box, first.score) == ((10, 5, 40, 15), pytest.approx(0.9))
    assert first.area == pytest.approx(6 / 80)
    assert (first.component, first.caption) == ("bore", "one bore")
    assert (second.box, second.component) == ((70, 30, 100, 40), "stripes")
    assert find_regions(anomaly_map, 0.9, (100, 40), matched, UNITS) == []


def test_a_region_belongs_to_the_component_that_holds_most_of_its_score():
    anomaly_map = np.full((4, 4), 0.5, np.float32)
    anomaly_map[:, 3] = 0.9
    matched = np.array([[1, 1, 1, 2]] * 4, np.int16)
    assert find_regions(anomaly_map, 0.1, (4, 4), matched, UNITS)[0].component == "bore"
    anomaly_map[:, 3] = 5
    assert find_regions(anomaly_map, 0.1, (4, 4), matched, UNITS)[0].component == "stripes"


def test_the_background_owns_only_what_no_component_is_in():
    anomaly_map = np.full((4, 4), 0.5, np.float32)
    units = (("image", ""), ("background", "grey"), ("bore", ""))
    mostly = np.array([[1, 1, 1, 2]] * 4, np.int16)
    assert find_regions(anomaly_map, 0.1, (4, 4), mostly, units)[0].component == "bore"
    only = np.ones((4, 4), np.int16)
    assert find_regions(anomaly_map, 0.1, (4, 4), only, units)[0].component == "background"


def test_without_units_a_region_has_no_component_and_there_are_never_too_many():
    anomaly_map = np.zeros((40, 40), np.float32)
    anomaly_map[::4, ::4] = np.linspace(1, 2, 100).reshape(10, 10)
    found = find_regions(anomaly_map, 0.5, (40, 40))
    assert len(found) == MOST_REGIONS
    assert found[0].component is None
    assert [r.score for r in found] == sorted((r.score for r in found), reverse=True)
    assert found[0].score == 2


def test_changed_copies_are_near_the_shot_and_decided_by_the_seed():
    image = np.tile(np.linspace(0, 255, 700).astype(np.uint8)[None, :, None], (600, 1, 3))
    first = jittered(image, 3, np.random.default_rng(1))
    again = jittered(image, 3, np.random.default_rng(1))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[0] != first[1]).any()
    for copy in first:
        assert copy.shape == (439, 512, 3)
        assert abs(float(copy.mean()) - image.mean()) < 0.1 * 255
        assert np.corrcoef(copy[200, :, 0], np.linspace(0, 1, 512))[0, 1] > 0.98


class Tokens:
    """A backbone of random tokens."""

    name, weights_hash, device = "none", "", torch.device("cpu")


def tokens(count, spread, seed):
    generator = torch.Generator().manual_seed(seed)
    base = torch.linspace(0, 1, 12 * 3).view(1, 12, 3)
    memory = base + spread * torch.randn(count, 12, 3, generator=generator)
    unit = torch.nn.functional.normalize(memory, dim=-1)
    return PatchTokens(unit.mean(1), unit, (memory,), (3, 4))


def logarithms(other, some):
    prediction = other.score(some)
    return [
        (math.log(score), math.log(anomaly_map.max()))
        for score, anomaly_map in zip(prediction.image_scores, prediction.anomaly_maps, strict=True)
    ]


def memory_of(shots, *kept):
    other = make_detector("patchcore", Tokens())
    other.fit_tokens(PatchTokens.concatenate([shots[i : i + 1] for i in kept]))
    return other


@pytest.mark.parametrize("asked", [1.0, 10.0])
def test_thresholds_are_quantiles_of_a_new_part_given_the_left_out_shots(asked):
    shots = tokens(4, 0.1, seed=1)
    copies = [shots[i : i + 1] for i in range(4)]  # which score next to nothing
    found = calibrate(memory_of(shots, 0, 1, 2, 3), shots, copies, asked)

    others = [memory_of(shots, *({0, 1, 2, 3} - {i})) for i in range(4)]
    left_out = [logarithms(other, shots[i : i + 1])[0] for i, other in enumerate(others)]
    images, peaks = zip(*left_out, strict=True)
    for threshold, values in ((found.image, images), (found.pixel, peaks)):
        # Drawn from the posterior of a normal sample's variance and mean, one after the other.
        generator = np.random.default_rng(0)
        squares = 6 * 0.12**2 + 2 * np.var(values, ddof=1)  # 3 distances
        variances = squares / generator.chisquare(6 + 2, 400_000)
        means = np.mean(values) + np.sqrt(variances / 3) * generator.normal(size=400_000)
        next_part = means + np.sqrt(variances) * generator.normal(size=400_000)
        expected = np.quantile(next_part, 1 - asked / 100) + 0.15 * math.log(3 / 4)
        assert math.log(threshold) == pytest.approx(expected, abs=0.01)


def test_one_shot_is_calibrated_on_its_copies_and_the_prior():
    shots, copies = tokens(1, 0.1, seed=1), tokens(COPIES, 0.1, seed=10)
    detector = memory_of(shots, 0)
    found = calibrate(detector, shots, [copies], 5)
    images, peaks = np.mean(logarithms(detector, copies), axis=0) + 0.15
    upper = 0.2 * 1.9431803  # Student's t with 6 degrees of freedom, of a table
    assert found.image == pytest.approx(math.exp(images + upper), rel=1e-5)
    assert found.pixel == pytest.approx(math.exp(peaks + upper), rel=1e-5)


def test_a_double_tells_nothing_of_the_next_part():
    own = np.log([0.1, 0.1, 0.1, 0.1])
    two = expected(np.log([0.2, 0.3]), own[:2])
    assert expected(np.log([1e-30, 0.2, 1e-30, 0.3]), own) == two
    one = expected(np.array([-np.inf]), own[:1])
    assert expected(np.log([1e-30] * 4), own) == one
    assert one.location == pytest.approx(math.log(0.1) + 0.15)


def test_without_a_positive_score_there_is_no_threshold():
    nothing = np.full(2, math.log(1e-45))
    with pytest.raises(CalibrationError, match="no score of a shot is positive"):
        expected(nothing, nothing)


def test_scores_that_are_not_finite_are_refused():
    shots = tokens(2, 0.1, seed=1)
    broken = PatchTokens(shots.image, shots.patches, (shots.memories[0] * torch.nan,), shots.grid)
    with pytest.raises(InputError, match="patchcore gives scores that are not finite"):
        calibrate(memory_of(shots, 0, 1), shots, [broken[:1], broken[1:]])


def test_calibration_leaves_the_detector_as_it_was():
    shots = tokens(3, 0.1, seed=1)
    detector = make_detector("patchcore", Tokens())
    detector.fit_tokens(shots)
    before = detector.state()["bank"].clone()
    calibrate(detector, shots, [tokens(4, 0.1, seed=i) for i in range(3)])
    assert torch.equal(detector.state()["bank"], before)
