"""Trials as they are read back from a real database, by name and by id."""

import pytest
from mlflow import MlflowClient

from finegrain.errors import ConfigError
from finegrain.evaluation.compare import Expense
from finegrain.tracking import BenchmarkRun, recorded_trials
from finegrain.tracking import runs as runs_module
from finegrain.tracking.runs import trial_runs
from tests.databases import new_database

PARAMS = {"dataset": "folder", "method": "spade", "shots": 2, "seed": 1, "backbone": "bundled",
          "weights": None}  # fmt: skip


def record(run, category, failed=False):
    run.record(
        category,
        "d1",
        params=PARAMS | {"category": category, "spade.nearest_patches": 3},
        metrics={"image_auroc": 91.5, "fit_seconds": 2.0, "score_ms": 3.0, "values": 1200},
        tags={"data_fingerprint": "f1", "shot_0_sha256": "b", "shot_1_sha256": "a"},
        artifacts=[],
        failed=failed,
    )


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    uri = new_database(folder)
    for name in ("old", "mine", "mine"):  # the later one of the name counts
        run = BenchmarkRun(uri, name, folder / "artifacts", None)
        for category in ("bolt", "gear"):
            record(run, category)
        record(run, "pcb", failed=True)
        run.finish(params={"seeds": [1]}, metrics={}, tags={}, artifacts=[], failed=True)
    BenchmarkRun(uri, "empty", folder / "artifacts", None)
    published = BenchmarkRun(uri, "published", folder / "artifacts", None)
    published.record("finegrained_4-shot", "d", params={"method": "finegrained"}, tags={},
                     metrics={"image_auroc": 86.95}, artifacts=[], failed=False)  # fmt: skip
    return uri


def test_a_benchmark_gives_its_finished_trials_by_name_and_by_id(uri):
    found = recorded_trials(uri, ["mine"])
    assert sorted(trial.category for trial in found) == ["bolt", "gear"]
    again = recorded_trials(uri, [found[0].benchmark_id])
    assert again == found
    assert recorded_trials(uri, ["old"])[0].benchmark_id != found[0].benchmark_id


def test_a_trial_has_what_was_recorded_and_nothing_where_nothing_was(uri):
    trial = next(t for t in recorded_trials(uri, ["mine"]) if t.category == "gear")
    assert (trial.benchmark, trial.dataset, trial.method) == ("mine", "folder", "spade")
    assert (trial.shots, trial.seed, trial.backbone) == (2, 1, "bundled")
    assert trial.options == {"spade.nearest_patches": "3"}
    assert (trial.data_fingerprint, trial.support) == ("f1", ("a", "b"))
    assert (trial.scores["image_auroc"], trial.scores["pixel_auroc"]) == (91.5, None)
    assert trial.cost == Expense(2.0, None, 3.0, 1200.0)


def test_a_single_trial_is_had_by_its_id_and_knows_its_benchmark(uri):
    old, mine = (recorded_trials(uri, [name])[0] for name in ("old", "mine"))
    found = recorded_trials(uri, [mine.run_id, old.run_id])
    assert [(trial.run_id, trial.benchmark) for trial in found] == [
        (mine.run_id, "mine"), (old.run_id, "old")
    ]  # fmt: skip


def test_what_is_no_benchmark_is_told(uri):
    with pytest.raises(ConfigError, match=r"no benchmark or run 'yours' .* benchmarks: mine, old$"):
        recorded_trials(uri, ["yours"])
    with pytest.raises(ConfigError, match=r"run empty has no finished trial to compare$"):
        recorded_trials(uri, ["empty"])
    with pytest.raises(ConfigError, match="published numbers are no trials"):
        recorded_trials(uri, ["published"])


def test_a_deleted_run_is_gone(uri):
    client = MlflowClient(uri)
    run_id = recorded_trials(uri, ["old"])[0].run_id
    client.delete_run(run_id)
    with pytest.raises(ConfigError, match="no benchmark or run"):
        recorded_trials(uri, [run_id])
    client.restore_run(run_id)
    assert len(recorded_trials(uri, [run_id])) == 1


def test_many_trials_come_over_several_pages(uri, monkeypatch):
    client = MlflowClient(uri)
    whole = {run.info.run_id for run in trial_runs(client, "mine")}
    search = client.search_runs
    monkeypatch.setattr(
        client, "search_runs", lambda *a, **k: search(*a, **(k | {"max_results": 1}))
    )
    assert {run.info.run_id for run in runs_module.trial_runs(client, "mine")} == whole
    assert len(whole) == 2
