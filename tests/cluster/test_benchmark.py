"""Whole benchmarks on a real local Ray, the results and what MLflow has of them."""

import errno
import json
import re
from pathlib import Path

import pytest
from mlflow import MlflowClient
from safetensors.torch import load_file

from finegrain.benchmark.grid import Grid
from finegrain.cli.main import main
from finegrain.cluster import full
from finegrain.cluster.bench import RunEndedError
from finegrain.cluster.head import local_head
from finegrain.evaluation.metrics import Scores
from finegrain.studies.search.choice import SearchChoice
from finegrain.studies.search.job import start_searches
from finegrain.studies.search.run import store_setting
from finegrain.studies.search.spec import Setting, Step, read_settings, setting_key
from tests.benchmarks import (
    FULL,
    JOBS,
    check_recorded_once,
    driving,
    grid,
    one_after_the_other,
    results_on_disk,
    rows,
    run_here,
    submit,
    undisturbed_rows,
    without_timings,
)
from tests.conftest import write_category
from tests.databases import new_database

METHODS, SHOTS, SEEDS = ("spade", "padim"), (1, 2), (0,)


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    with local_head(log=tmp_path_factory.mktemp("head") / "head.log", cpus=2) as address:
        yield address


@pytest.fixture(scope="module")
def resumed(head, tmp_path_factory):
    """A benchmark of 8 trials whose driver was killed, resumed as a job; and that job's output."""
    folder = tmp_path_factory.mktemp("resumed")
    for seed, name in enumerate(["plate_a", "plate_b"]):
        write_category(folder / "data", name, seed)
    directory = folder / "runs" / "eight"
    new_database(directory.parent)
    arguments = grid(folder / "data", directory, METHODS, SHOTS, SEEDS)
    with driving(folder / "driver.log", *arguments) as driver:
        driver.wait_for(lambda: len(results_on_disk(directory)) >= 3)
        driver.kill()
    before = {path: path.stat().st_mtime_ns for path in results_on_disk(directory)}
    assert 3 <= len(before) < 8
    done = submit(head, FULL, "--resume", directory)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = re.search(r"8 trials, (\d) of them done before", done.stdout)
    assert kept
    assert int(kept[1]) >= len(before)  # a worker may finish its trial after its driver's death
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    return directory, done.stdout


def test_a_killed_and_resumed_one_gives_the_same_rows(resumed, tmp_path):
    directory, _ = resumed
    data = directory.parents[1] / "data"
    expected = undisturbed_rows(data, tmp_path / "runs" / "undisturbed", METHODS, SHOTS, SEEDS)
    assert without_timings(directory) == expected


def test_a_job_leaves_table_and_results(resumed):
    directory, output = resumed
    found = rows(directory)
    assert [row["status"] for row in found] == ["ok"] * 8
    assert all(0 <= float(row["pixel_auroc"]) <= 100 for row in found)
    assert all(Path(row["checkpoint"], "detector.safetensors").is_file() for row in found)
    table = (directory / "table.md").read_text()
    assert table in output
    assert "| spade  |     2 |" in table
    assert (directory / "heatmaps_spade.png").stat().st_size > 1000


def test_mlflow_has_the_parent_and_its_trials(resumed):
    directory, _ = resumed
    parent, children = check_recorded_once(directory)
    assert parent.info.status == "FINISHED"
    client = MlflowClient(f"sqlite:///{directory.parent / 'mlflow.db'}")
    files = {artifact.path for artifact in client.list_artifacts(parent.info.run_id)}
    assert files >= {"table.md", "results.csv"}
    for child in children:
        assert child.info.run_name.startswith(child.data.params["category"])
        stored = directory / "trials" / child.info.run_name / "checkpoint" / "detector.safetensors"
        count = sum(tensor.numel() for tensor in load_file(stored).values())
        assert child.data.metrics["values"] == count
        assert len(child.data.tags["git_commit"]) in (7, 40)


def test_a_bad_category_is_named_and_the_rest_goes_on(plates, tmp_path, monkeypatch, capsys):
    (plates / "plate_a" / "test" / "good" / "001.png").write_bytes(b"spoilt")
    directory = tmp_path / "runs" / "spoilt"
    # MLflow is away as well: nobody listens on this port of the loopback.
    away = ("--tracking-uri", "http://127.0.0.1:9")
    assert run_here(monkeypatch, FULL, *grid(plates, directory, METHODS, [1], SEEDS), *away) == 1
    told = capsys.readouterr().out
    assert "FAILED" in told
    assert "001.png is not an image" in told
    assert "* 2 trials are missing:\nplate_a spade 1-shot seed 0" in told
    assert told.count("MLflow at http://127.0.0.1:9 failed") == 2  # the first time, and the last
    assert told.count("record them later with `finegrain record ") == 1
    assert [row["status"] for row in rows(directory)] == ["failed"] * 2 + ["ok"] * 2
    here = ("--tracking-uri", new_database(tmp_path))
    assert main(["record", str(directory), *here]) == 0
    parent, _ = check_recorded_once(directory)
    assert parent.info.status == "FAILED"
    assert json.loads((directory / "mlflow.json").read_text())["tracking_uri"] == here[1]


def test_a_run_that_ends_early_says_what_is_missing(plates, tmp_path, monkeypatch, capsys):
    def one_then_full(trials, results, *rest):
        one_after_the_other(trials[:1], results, *rest)
        raise RunEndedError("No space left on device: 'result.json'")

    def no_space(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(full, "write_report", no_space)
    directory = tmp_path / "runs" / "early"
    new_database(directory.parent)
    arguments = grid(plates, directory, ["padim"], [1], SEEDS)
    assert run_here(monkeypatch, FULL, *arguments, runner=one_then_full) == 1
    told = capsys.readouterr().out
    assert "The run ended early: No space left on device: 'result.json'" in told
    missing = "plate_b_padim_1shot_seed0: not run to its end: No space left on device"
    assert missing in told
    assert "The report could not be written: [Errno 28]" in told
    assert f"Run what is missing with --resume {directory}" in told
    monkeypatch.undo()
    assert run_here(monkeypatch, FULL, "--resume", directory) == 0
    assert [row["status"] for row in rows(directory)] == ["ok"] * 2
    check_recorded_once(directory)


def test_a_job_that_is_applied_again_runs_what_is_missing(plates, tmp_path, monkeypatch, capsys):
    """As KubeRay does with deploy/benchmark/rayjob.yaml: the same command, whatever lies there."""
    given = []

    def noting(trials, results, *rest):
        given.append(set(results))
        one_after_the_other(trials, results, *rest)

    directory = tmp_path / "runs" / "again"
    new_database(directory.parent)
    command = [*grid(plates, directory, ["padim"], [1]), "--start-or-resume"]
    for _ in range(2):
        assert run_here(monkeypatch, FULL, *command, runner=noting) == 0
    assert [len(results) for results in given] == [0, 2]
    check_recorded_once(directory)
    other = [*grid(plates, directory, ["padim"], [2]), "--start-or-resume"]
    assert run_here(monkeypatch, FULL, *other) == 2
    assert "holds a benchmark with other shots; resume it as it began" in capsys.readouterr().err
    assert run_here(monkeypatch, FULL, "--start-or-resume") == 2
    assert "--start-or-resume needs the folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--methods", "patchcor"],
            "error: no method 'patchcor'; known: anomalib, anomalydino, chance",
        ),
        (["--resume", "absent", "--shots", "1"], "leave out shots"),
    ],
)
def test_wrong_arguments_end_at_once(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run_here(monkeypatch, FULL, *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_search_goes_on_with_what_is_missing(head, plates, tmp_path):
    grid = Grid(dataset="folder", data_root=plates, methods=["padim"], shots=[2], seeds=[0])
    chosen = SearchChoice(samples=5)
    folder = tmp_path / "runs" / "five"
    new_database(folder.parent)
    start_searches(grid, chosen, per_category=False, output=folder)
    known = {"features": "levels", "levels": "[1]", "dimensions": 50, "epsilon": 0.01}
    scores = {name: Scores(pixel_auroc=1.0) for name in ("plate_a", "plate_b")}
    step = Step(epoch=1, seconds=1.0, validation=scores)
    store_setting(Setting(options=known, status="ok", steps=(step,)), folder)

    done = submit(head, JOBS / "search.py", "--resume", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of them done before" in done.stdout
    settings = read_settings(folder)
    assert len(settings) == 5
    assert settings[setting_key(known)].steps == (step,)
    assert all(0 < s.steps[-1].validation["plate_a"].pixel_auroc <= 1 for s in settings.values())
    assert "--set padim.levels=[1]" in (folder / "search.md").read_text()
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    ids = [client.get_experiment_by_name("finegrain").experiment_id]
    [parent] = client.search_runs(ids, "attributes.run_name = 'five'")
    below = client.search_runs(ids, f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert {run.info.run_name for run in below} == {f"five_{key}" for key in settings}
    assert parent.data.tags["finegrain.leaks_test"] == "false"
    assert parent.data.metrics["best_pixel_auroc"] == pytest.approx(100)
    assert "importance.png" in {a.path for a in client.list_artifacts(parent.info.run_id)}
