"""Champions in a real registry."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from finegrain.backbones import RemoteBackbone
from finegrain.checkpoint import count_values, read_config, save_detector
from finegrain.decision.thresholds import Thresholds
from finegrain.detectors import make_detector
from finegrain.errors import CheckpointError, ConfigError
from finegrain.tracking import BenchmarkRun, Registry
from tests.databases import new_database
from tests.decision.test_decision import tokens


class Place:
    def __init__(self, folder: Path):
        self.folder, self.uri = folder, new_database(folder)
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
    asked = registry.ask(third, 2.5)
    assert registry.champion("folder", "plate") == asked
    assert registry.rollback("folder", "plate").version == "1"
    assert registry.champion("folder", "plate").false_alarms is None  # it is the third's
    registry.withdraw("folder", "plate")
    assert registry.champion("folder", "plate") is None
    with pytest.raises(ConfigError, match="no champion to withdraw"):
        registry.withdraw("folder", "plate")
    fourth = registry.promote(place.run())
    assert (fourth.version, fourth.earlier) == ("4", ())


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


def test_a_checkpoint_says_how_many_numbers_it_holds(tmp_path):
    detector = make_detector("patchcore", RemoteBackbone("bundled", "a" * 64))
    detector.fit_tokens(tokens(2, 0.1, seed=1))
    save_detector(detector, tmp_path / "saved", dataset="folder", category="plate", shots=[])
    assert count_values(tmp_path / "saved") == sum(t.numel() for t in detector.state().values())
    (tmp_path / "saved" / "detector.safetensors").write_bytes(b"spoilt")
    for gone in ("saved", "nowhere"):
        with pytest.raises(CheckpointError, match="can't be read"):
            count_values(tmp_path / gone)


def test_a_version_is_downloaded_once_with_its_thresholds(place, tmp_path):
    champion = place.registry.promote(place.run("bolt"))
    folder = place.registry.fetch(champion, champion.version, tmp_path)
    assert read_config(folder).thresholds == Thresholds(0.5, 0.25)
    stamp = (folder / "config.json").stat().st_mtime_ns
    assert place.registry.fetch(champion, champion.version, tmp_path) == folder
    assert (folder / "config.json").stat().st_mtime_ns == stamp


@pytest.fixture(scope="module")
def benchmark(place):
    """Two categories, each won by another method in pixel AUROC; its best seed is not its first."""
    run = BenchmarkRun(place.uri, "grid", place.folder / "artifacts", None)
    scores = {
        ("plate", "spade", 1): (80, 81, 85),
        ("plate", "spade", 2): (90, 91, 92),  # mean 91
        ("plate", "padim", 2): (70, 99, 99),  # mean 89.3
        ("bolt", "spade", 2): (60, 60, 60),
        ("bolt", "padim", 1): (95, 96, 97),
        ("bolt", "padim", 2): (96, 96, 96),  # the same mean
    }
    for (category, method, shots), values in scores.items():
        for seed, value in reversed(list(enumerate(values))):
            run.record(
                f"{category}_{method}_{shots}_{seed}", "d",
                params={"dataset": "folder", "category": category, "method": method,
                        "shots": shots, "seed": seed},
                metrics={"pixel_auroc": value, "fit_seconds": 1.0},
                tags={}, artifacts=[], failed=False,
            )  # fmt: skip
    return place


def best(place, metric="pixel_auroc", **wanted):
    return place.registry.best_runs(
        "grid", metric, **({"method": None, "shots": None, "seed": None} | wanted)
    )


def test_the_best_by_a_metric_is_a_mean_and_stands_by_its_lowest_seed(benchmark):
    found = best(benchmark)
    plate, bolt = found["folder/plate"], found["folder/bolt"]
    assert set(found) == {"folder/plate", "folder/bolt"}
    assert (plate.method, plate.shots, plate.seed, plate.mean, plate.seeds) == (
        "spade",
        2,
        0,
        91,
        3,
    )
    assert (bolt.method, bolt.shots, bolt.seed, bolt.mean) == ("padim", 1, 0, 96)
    run = benchmark.client.get_run(plate.run_id)
    assert run.info.run_name == "plate_spade_2_0"


def test_the_choice_of_the_best_can_be_narrowed(benchmark):
    assert {one.method for one in best(benchmark, method="padim").values()} == {"padim"}
    late = best(benchmark, shots=2, seed=1)
    assert (late["folder/plate"].method, late["folder/plate"].seed) == ("padim", 1)
    assert late["folder/bolt"].shots == 2
    with pytest.raises(ConfigError, match="no finished trial like that"):
        best(benchmark, method="winclip")


def test_a_metric_that_is_unknown_or_that_no_trial_has_is_told(benchmark):
    with pytest.raises(ConfigError, match="no metric 'auroc'; there are image_auroc, pixel_auroc"):
        best(benchmark, "auroc")
    with pytest.raises(ConfigError, match="no metric 'fit_seconds'"):  # the highest is not the best
        best(benchmark, "fit_seconds")
    with pytest.raises(
        ConfigError, match=r"no trial of folder/\w+ has aupro_30; they have pixel_au"
    ):
        best(benchmark, "aupro_30")


def test_an_unknown_benchmark_is_told(place):
    with pytest.raises(ConfigError, match="no finished trial like that of nothing"):
        place.registry.benchmark_runs("nothing", method=None, shots=None, seed=None)
