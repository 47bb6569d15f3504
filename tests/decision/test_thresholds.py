"""Thresholds follow from what good parts are expected to score, and refuse what is no number."""

import json
import math

import numpy as np
import pytest

from finegrain.checkpoint import CheckpointConfig, read_config
from finegrain.decision.thresholds import FALSE_ALARMS, Expected, Thresholds
from finegrain.errors import CheckpointError, ConfigError

SCORES, PEAKS = Expected(-1.0, 0.2, 5.0), Expected(0.5, 0.1, 5.0)


def test_so_many_good_parts_are_above_as_were_asked_for():
    drawn = np.exp(-1.0 + 0.2 * np.random.default_rng(0).standard_t(5, 200_000))
    for asked in (1.0, 5.0, 20.0):
        came = 100 * (drawn > SCORES.exceeded_by(asked)).mean()
        assert came == pytest.approx(asked, rel=0.05)
        assert SCORES.false_alarms(SCORES.exceeded_by(asked)) == pytest.approx(asked)


def test_deviations_are_counted_from_the_middle():
    assert SCORES.deviations(np.exp([-1.0, -0.6, -1.2])) == pytest.approx([0, 2, -1])


def test_another_number_of_false_alarms_needs_no_fit():
    five = Thresholds.of(SCORES, PEAKS, 5.0)
    one = five.at(1.0)
    assert one == Thresholds.of(SCORES, PEAKS, 1.0)
    assert (one.image > five.image, one.pixel > five.pixel) == (True, True)
    assert one.at(5.0) == five


@pytest.mark.parametrize("asked", [0.0, -5.0, 60.0, math.nan, math.inf])
def test_a_number_out_of_its_range_is_refused(asked):
    with pytest.raises(ConfigError, match=r"ask for 0.1 to 50; got"):
        Thresholds.of(SCORES, PEAKS, asked)


def test_older_thresholds_say_that_they_know_no_spread():
    with pytest.raises(ConfigError, match="older version"):
        Thresholds(0.5, 0.4).at(5.0)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 0.0, -1.0])
def test_thresholds_reject_some_part_and_not_every(wrong):
    for pair in [(wrong, 1.0), (1.0, wrong)]:
        with pytest.raises(ConfigError, match="thresholds must lie above 0"):
            Thresholds(*pair)
    with pytest.raises(ConfigError, match="must be finite"):
        Expected(0.0, wrong, 1.0)


def test_what_a_checkpoint_keeps(tmp_path):
    kept = Thresholds.of(SCORES, PEAKS, FALSE_ALARMS)
    config = CheckpointConfig(
        format=1, finegrain="0", dataset="d", category="c", detector="patchcore", options={},
        seed=0, backbone="none", backbone_sha256="0", shots=(), thresholds=kept,
    )  # fmt: skip
    stored = config.model_dump(mode="json")
    (tmp_path / "config.json").write_text(json.dumps(stored))
    assert read_config(tmp_path).thresholds == kept
    stored["thresholds"] = {"image": 0.5, "pixel": 0.25}  # as 0.2.0 wrote it
    (tmp_path / "config.json").write_text(json.dumps(stored))
    assert read_config(tmp_path).thresholds == Thresholds(0.5, 0.25)
    stored["thresholds"]["image"] = math.nan
    (tmp_path / "config.json").write_text(json.dumps(stored))
    with pytest.raises(CheckpointError, match=r"thresholds must lie above 0 and below .*; got nan"):
        read_config(tmp_path)
