"""Champions in a real registry."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from finegrain.checkpoint import read_config, save_detector
from finegrain.clip import RemoteBackbone
from finegrain.decision import Thresholds
from finegrain.detectors import make_detector
from finegrain.errors import CheckpointError, ConfigError
from finegrain.tracking import Registry
from tests.test_decision import tokens


class Place:
    def __init__(self, folder: Path):
        self.folder, self.uri = folder, f"sqlite:///{folder / 'mlflow.db'}"
        self.registry = Registry(self.uri)
        self.client = MlflowClient(self.uri)
        self.experiment = self.client.create_experiment(
            "finegrain", artifact_location=(folder / "artifacts").as_uri()
        )

    def run(self, category="plate", weights="a" * 64, checkpoint=True):
        detector = make_detector("patchcore", RemoteBackbone("bundled", weights))
        detector.fit_tokens(tokens(2, 0.1, seed=1))
        run = self.client.create_run(self.experiment).info.run_id
        if checkpoint:
            saved = self.folder / run
            save_detector(detector, saved, dataset="folder", category=category, shots=[],
                          thresholds=Thresholds(0.5, 0.25))  # fmt: skip
            self.client.log_artifacts(run, str(saved), "checkpoint")
        return run


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("registry"))


def test_promotions_are_remembered_and_taken_back(place):
    registry = place.registry
    assert registry.champion("folder", "plate") is None
    first, second = registry.promote(place.run()), registry.promote(place.run())
    assert (first.version, second.version, second.earlier) == ("1", "2", ("1",))
    assert registry.champions()["folder/plate"] == second
    back = registry.rollback("folder", "plate")
    assert registry.champion("folder", "plate") == back
    assert (back.version, back.earlier) == ("1", ())
    with pytest.raises(ConfigError, match="no earlier champion"):
        registry.rollback("folder", "plate")
    third = registry.promote(place.run())
    assert (third.version, third.earlier) == ("3", ("1",))


def test_a_checkpoint_for_another_backbone_is_refused_and_the_old_one_stays(place):
    registry = place.registry
    before = registry.promote(place.run("washer"))
    other = place.run("washer", weights="b" * 64)
    with pytest.raises(CheckpointError, match=r"bundled \(bbbbbbbbbbbb\).*insist with --other"):
        registry.promote(other)
    assert registry.champion("folder", "washer") == before
    assert registry.promote(other, other_backbone=True).earlier == (before.version,)


def test_a_run_without_a_checkpoint_is_refused(place):
    with pytest.raises(CheckpointError, match="has no checkpoint to promote"):
        place.registry.promote(place.run("nut", checkpoint=False))
    assert place.registry.champion("folder", "nut") is None


def test_a_version_is_downloaded_once_with_its_thresholds(place, tmp_path):
    champion = place.registry.promote(place.run("bolt"))
    folder = place.registry.fetch(champion, champion.version, tmp_path)
    assert read_config(folder).thresholds == Thresholds(0.5, 0.25)
    stamp = (folder / "config.json").stat().st_mtime_ns
    assert place.registry.fetch(champion, champion.version, tmp_path) == folder
    assert (folder / "config.json").stat().st_mtime_ns == stamp


def test_an_unknown_benchmark_is_told(place):
    with pytest.raises(ConfigError, match="no finished trial like that of nothing"):
        place.registry.benchmark_runs("nothing", method=None, shots=None, seed=None)
