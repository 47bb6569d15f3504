"""Runs as MLflow itself gives them back, from a real database."""

import json
import socket
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from finegrain.data.shots import Shot
from finegrain.errors import ConfigError
from finegrain.places import tracking_uri
from finegrain.serving.config import ServingConfig
from finegrain.tracking import BenchmarkRun
from finegrain.tracking.runs import EXPERIMENT, TRIAL, latest_run
from tests.databases import new_database


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    return new_database(folder), folder / "artifacts"


def record(run, name, digest="d1", **changes):
    given = {"params": {"shots": 4}, "metrics": {"image_auroc": 91.5}, "tags": {"host": "h"}}
    run.record(name, digest, **(given | {"artifacts": [], "failed": False} | changes))


def experiment_of(uri):
    return MlflowClient(uri).get_experiment_by_name(EXPERIMENT).experiment_id


def children(uri, run):
    query = f"tags.mlflow.parentRunId = '{run.run_id}'"
    found = MlflowClient(uri).search_runs([experiment_of(uri)], query)
    return {child.info.run_name: child for child in found}


def test_a_trial_is_a_nested_run_with_its_artifacts(store, tmp_path):
    uri, artifacts = store
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "config.json").write_text("{}")
    (tmp_path / "heatmaps.png").write_bytes(b"png")
    run = BenchmarkRun(uri, "first", artifacts, None)
    record(run, "gear", artifacts=[tmp_path / "checkpoint", tmp_path / "heatmaps.png"])
    record(run, "bolt", failed=True, metrics={})
    found = children(uri, run)
    assert found["gear"].data.params == {"shots": "4"}
    assert found["gear"].data.metrics == {"image_auroc": 91.5}
    assert found["gear"].data.tags["host"] == "h"
    assert (found["gear"].info.status, found["bolt"].info.status) == ("FINISHED", "FAILED")
    names = [a.path for a in MlflowClient(uri).list_artifacts(found["gear"].info.run_id)]
    assert names == ["checkpoint", "heatmaps.png"]


def test_nothing_is_counted_twice(store):
    uri, artifacts = store
    run = BenchmarkRun(uri, "second", artifacts, None)
    record(run, "gear")
    record(run, "gear")
    again = BenchmarkRun(uri, "second", artifacts, run.run_id)
    assert again.run_id == run.run_id
    record(again, "gear")
    assert len(children(uri, run)) == 1
    record(again, "gear", digest="d2", metrics={"image_auroc": 80.0})
    assert children(uri, run)["gear"].data.metrics == {"image_auroc": 80.0}
    assert len(children(uri, run)) == 1


def test_a_run_that_was_cut_short_is_recorded_anew(store):
    uri, artifacts = store
    run = BenchmarkRun(uri, "third", artifacts, None)
    record(run, "gear")
    MlflowClient(uri).update_run(children(uri, run)["gear"].info.run_id, status="RUNNING")
    record(BenchmarkRun(uri, "third", artifacts, run.run_id), "gear")
    assert [child.info.status for child in children(uri, run).values()] == ["FINISHED"]


@pytest.mark.parametrize("first", [True, False])
def test_of_two_runs_of_a_trial_the_one_that_ended_stays(store, first):
    """An answer that was lost leaves a run that nobody knows of."""
    uri, artifacts = store
    run = BenchmarkRun(uri, f"lost-{first}", artifacts, None)
    lost = {"mlflow.parentRunId": run.run_id, TRIAL: "gear"}
    client = MlflowClient(uri)
    if first:
        client.create_run(experiment_of(uri), run_name="gear", tags=lost)
    record(run, "gear")
    if not first:
        client.create_run(experiment_of(uri), run_name="gear", tags=lost)
    record(BenchmarkRun(uri, "lost", artifacts, run.run_id), "gear")
    found = client.search_runs([experiment_of(uri)], f"tags.mlflow.parentRunId = '{run.run_id}'")
    assert [child.info.status for child in found] == ["FINISHED"]


def test_a_parent_that_is_gone_is_made_anew(store):
    uri, artifacts = store
    run = BenchmarkRun(uri, "fourth", artifacts, "0" * 32)
    assert MlflowClient(uri).get_run(run.run_id).info.run_name == "fourth"


def test_a_server_that_is_down_is_told_of_soon(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    start = time.monotonic()
    with pytest.raises(MlflowException, match="Max retries"):
        BenchmarkRun(f"http://127.0.0.1:{port}", "fifth", tmp_path, None)
    assert time.monotonic() - start < 15


def test_the_default_store_lies_beside_the_benchmark(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("FINEGRAIN_RUNS", str(tmp_path / "all"))
    assert tracking_uri(tmp_path / "runs") == f"sqlite:///{tmp_path}/runs/mlflow.db"
    assert tracking_uri() == f"sqlite:///{tmp_path}/all/mlflow.db"
    assert ServingConfig().tracking_uri == tracking_uri()
    monkeypatch.delenv("FINEGRAIN_RUNS")
    monkeypatch.chdir(tmp_path)
    assert tracking_uri() == tracking_uri(tmp_path / "runs")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_uri(tmp_path) == tracking_uri() == "http://127.0.0.1:5000"


def test_a_variant_may_have_what_mlflow_forbids_in_a_name(store):
    uri, artifacts = store
    run = BenchmarkRun(uri, "sixth", artifacts, None)
    record(run, "a", params={"m:x+y.k": 1}, metrics={"m:x+y_4shot_image_auroc": 1.0})
    data = children(uri, run)["a"].data
    assert (data.params, data.metrics) == ({"m:x_y.k": "1"}, {"m:x_y_4shot_image_auroc": 1.0})


def test_the_photos_of_a_fit_are_its_input(store):
    """By hash: the same photos have the same digest wherever they lie, others have another."""
    uri, artifacts = store
    run = BenchmarkRun(uri, "inputs", artifacts, None)
    first, second = "a" * 64, "b" * 64
    record(run, "gear", shots=[Shot(Path("x/1.png"), first), Shot(Path("x/2.png"), second)])
    record(run, "moved", shots=[Shot(Path("y/1.png"), first), Shot(Path("y/2.png"), second)])
    record(run, "other", shots=[Shot(Path("x/1.png"), first)])
    record(run, "none")
    inputs = {name: child.inputs.dataset_inputs for name, child in children(uri, run).items()}
    [gear], [moved], [other] = (inputs[name] for name in ("gear", "moved", "other"))
    assert json.loads(gear.dataset.source) == [
        {"path": "x/1.png", "sha256": first},
        {"path": "x/2.png", "sha256": second},
    ]
    assert gear.dataset.digest == moved.dataset.digest != other.dataset.digest
    assert inputs["none"] == []


def test_an_experiment_that_was_deleted_is_restored_by_the_next_record(tmp_path):
    uri = new_database(tmp_path)
    record(BenchmarkRun(uri, "before", tmp_path / "artifacts", None), "gear")
    client = MlflowClient(uri)
    client.delete_experiment(experiment_of(uri))
    with pytest.raises(ConfigError, match=r"experiment finegrain is deleted.*`finegrain record`"):
        latest_run(client, "before")
    record(BenchmarkRun(uri, "after", tmp_path / "artifacts", None), "gear")
    assert latest_run(client, "before")
    assert latest_run(client, "after")
