"""Champions in a real registry."""

import json
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from finegrain import fit
from finegrain.backbones import RemoteBackbone, framed
from finegrain.checkpoint import count_values, read_config, save_detector
from finegrain.decision.thresholds import Thresholds
from finegrain.detectors import make_detector
from finegrain.errors import CheckpointError, ConfigError, ImageError
from finegrain.tracking import BenchmarkRun, Registry
from finegrain.tracking.runs import latest_run
from tests.databases import new_database
from tests.decision.test_decision import tokens


class Gridded(RemoteBackbone):
    grid = (15, 15)


class Place:
    """A registry, and a folder for what is promoted in it; a database there, unless it has one."""

    def __init__(self, folder: Path, artifacts: str | None = None, uri: str | None = None):
        folder.mkdir(exist_ok=True)
        self.folder, self.uri = folder, uri or new_database(folder)
        self.registry = Registry(self.uri)
        self.client = MlflowClient(self.uri)
        self.experiment = self.client.create_experiment(
            "finegrain",
            artifact_location=None if uri else artifacts or (folder / "artifacts").as_uri(),
        )

    def run(self, category="plate", weights="a" * 64, checkpoint=True, aspect=None):
        backbone = RemoteBackbone("bundled", weights)
        if aspect:  # RemoteBackbone encodes nothing, so that it has no grid to frame
            backbone = framed(Gridded("bundled", weights), aspect)
        detector = make_detector("patchcore", backbone)
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


def test_an_alias_that_was_deleted_is_appointed_again(place):
    registry, client = place.registry, place.client
    first, second = registry.promote(place.run("bolt")), registry.promote(place.run("bolt"))
    client.delete_registered_model_alias(second.model, "champion")
    assert registry.champion("folder", "bolt") is None
    assert registry.rollback("folder", "bolt") == second
    client.delete_registered_model_alias(second.model, "champion")
    third = registry.promote(place.run("bolt"))  # its history was not lost
    assert (third.version, third.earlier) == ("3", ("1", "2"))
    client.delete_model_version(third.model, "2")
    client.delete_model_version(third.model, "3")  # and its alias
    assert registry.rollback("folder", "bolt") == first
    client.delete_model_version(third.model, "1")
    with pytest.raises(ConfigError, match="versions 1 were deleted in MLflow, so promote a run"):
        registry.rollback("folder", "bolt")


def test_a_champion_by_hand_or_cut_short_is_taken_back_to_the_one_before(place):
    registry, client = place.registry, place.client
    first, second = registry.promote(place.run("pin")), registry.promote(place.run("pin"))
    made = client.create_model_version(first.model, f"runs:/{place.run('pin')}/checkpoint")
    client.set_registered_model_alias(first.model, "champion", made.version)
    assert registry.champion("folder", "pin").earlier == ("1", "2")
    assert registry.rollback("folder", "pin") == second
    client.set_registered_model_alias(first.model, "champion", "1")
    assert registry.champion("folder", "pin").earlier == ()


def test_a_narrow_part_s_shape_goes_with_its_version(place):
    registry = place.registry
    squashed, narrow = registry.promote(place.run("rail")), place.run("rail", aspect=7.3)
    assert squashed.aspect is None
    registry.promote(narrow)
    assert registry.champion("folder", "rail").aspect == 7.3
    assert registry.rollback("folder", "rail").aspect is None
    assert registry.champions()["folder/rail"].aspect is None


@pytest.mark.parametrize(
    "name", ["螺母 #1", "50% off?", "it's", 'a "b"', "M8:20", "a+b&c=d;é", "."]
)
def test_a_category_of_any_name_has_its_champion(place, tmp_path, name):
    champion = place.registry.promote(place.run(name))
    assert place.registry.champion("folder", name) == champion
    assert place.registry.champions()[f"folder/{name}"] == champion
    fetched = place.registry.fetch(champion, champion.version, tmp_path)
    assert read_config(fetched).category == name


@pytest.mark.parametrize("name", ["it's", 'say "nut"', 'it\'s "both"', "50% #1", "螺母", "a\\b"])
def test_a_benchmark_of_any_name_is_found(place, name):
    for other in (name, "other", name):
        last = place.client.create_run(place.experiment, run_name=other).info.run_id
    found = latest_run(place.client, name)
    assert (found.info.run_id, found.info.run_name) == (last, name)
    assert latest_run(place.client, f"{name}!") is None


def test_a_checkpoint_for_another_backbone_is_refused_and_the_old_one_stays(place):
    registry = place.registry
    before = registry.promote(place.run("washer"))
    other = place.run("washer", weights="b" * 64)
    with pytest.raises(CheckpointError, match=r"bundled \(bbbbbbbbbbbb\).*insist with --other"):
        registry.promote(other)
    assert registry.champion("folder", "washer") == before
    assert registry.promote(other, other_backbone=True).earlier == (before.version,)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"detector": "winclip"}, "winclip needs windows of the image"),
        ({"detector": "patchcore", "backbone": "pixels-256"}, r"the image itself \(pixels-256\)"),
        ({"thresholds": {"image": float("nan"), "pixel": 1.0}}, "got nan of the image"),
    ],
)
def test_what_no_server_can_score_with_is_not_promoted(place, changed, told):
    run = place.run("bolt")
    config = json.loads((place.folder / run / "config.json").read_text()) | changed
    (place.folder / run / "config.json").write_text(json.dumps(config))
    place.client.log_artifacts(run, str(place.folder / run), "checkpoint")
    with pytest.raises(CheckpointError, match=told):
        place.registry.promote(run)
    assert place.registry.champion("folder", "bolt") is None


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


def test_mlflow_itself_loads_a_champion_and_judges_with_it(place, plates, tmp_path):
    """No pickle: the model is the checkpoint, and its verdicts are those of `finegrain.load`."""
    good = sorted((plates / "plate_a" / "train" / "good").iterdir())
    bad = next((plates / "plate_a" / "test" / "hole").iterdir())
    part = fit(good, method="anomalydino", category="pyfunc")
    part.save(tmp_path / "part")
    run = place.client.create_run(place.experiment).info.run_id
    place.client.log_artifacts(run, str(tmp_path / "part"), "checkpoint")
    champion = place.registry.promote(run)
    mlflow.set_tracking_uri(place.uri)
    model = mlflow.pyfunc.load_model(f"models:/{champion.model}@champion")
    rows = model.predict(pd.DataFrame({"image": [good[0].read_bytes(), bad.read_bytes()]}))
    expected = [part.inspect(good[0]), part.inspect(bad)]
    assert rows["score"].tolist() == pytest.approx([v.score for v in expected], abs=1e-5)
    assert rows["rejected"].tolist() == [v.rejected for v in expected] == [False, True]
    assert rows["reason"].tolist() == [v.reason for v in expected]
    with pytest.raises(ImageError, match="row 1 is not an image"):
        model.predict(pd.DataFrame({"image": [bad.read_bytes(), b"no"]}))
    kept = place.registry.fetch(champion, champion.version, tmp_path / "cache")
    assert not [path for path in kept.rglob("*") if path.suffix in (".pkl", ".pickle")]
    assert (
        "models:/finegrain-own-pyfunc@champion"
        in place.client.get_registered_model(champion.model).description
    )


def test_a_store_that_was_moved_whole_finds_its_artifacts(tmp_path):
    before = Place(tmp_path / "before")
    champion = before.registry.promote(before.run("nut"))
    (tmp_path / "before").rename(tmp_path / "after")
    moved = new_registry(tmp_path / "after")
    assert read_config(moved.fetch(champion, "1", tmp_path / "cache")).category == "nut"
    (tmp_path / "after/artifacts").rename(tmp_path / "elsewhere")
    alone = new_registry(tmp_path / "after")
    with pytest.raises(CheckpointError, match="put its folder of artifacts beside its database"):
        alone.fetch(champion, "1", tmp_path / "other cache")
    (tmp_path / "elsewhere").rename(tmp_path / "after/artifacts")
    third = new_registry(tmp_path / "after").fetch(champion, "1", tmp_path / "third cache")
    assert read_config(third).category == "nut"


def new_registry(folder):
    return Registry(f"sqlite:///{next(folder.glob('*.db'))}")
