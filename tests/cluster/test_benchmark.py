"""Whole benchmarks on a real local Ray, the results and what MLflow has of them."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from safetensors.torch import load_file

from finegrain.cluster.local import local_head, ray_environment
from tests.conftest import write_category

JOBS = Path(__file__).parents[2] / "jobs"


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    with local_head(log=tmp_path_factory.mktemp("head") / "head.log", cpus=2) as address:
        yield address


def submit(head, *arguments):
    command = ["ray", "job", "submit", "--address", head, "--", sys.executable, *arguments]
    return subprocess.run(
        list(map(str, command)), env=ray_environment(), capture_output=True, text=True, timeout=240
    )


def rows(directory):
    with (directory / "results.csv").open() as stream:
        return list(csv.DictReader(stream))


def without_timings(directory):
    """The rows without what the clock and the folder decide."""
    moving = ("fit_seconds", "score_ms", "checkpoint")
    return [{k: v for k, v in row.items() if k not in moving} for row in rows(directory)]


def grid(plates, output):
    return ["--dataset", "folder", "--data-root", plates, "--methods", "spade", "padim",
            "--shots", 1, 2, "--seeds", 0, "--output", output]  # fmt: skip


@pytest.fixture(scope="module")
def finished(head, tmp_path_factory):
    """An undisturbed benchmark of 8 trials, submitted as a job."""
    folder = tmp_path_factory.mktemp("finished")
    for seed, name in enumerate(["plate_a", "plate_b"]):
        write_category(folder / "data", name, seed)
    done = submit(
        head, JOBS / "full_benchmark.py", *grid(folder / "data", folder / "runs" / "eight")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_a_job_leaves_table_and_results(finished):
    folder, output = finished
    directory = folder / "runs" / "eight"
    found = rows(directory)
    assert [row["status"] for row in found] == ["ok"] * 8
    assert all(0 <= float(row["pixel_auroc"]) <= 100 for row in found)
    assert all(Path(row["checkpoint"], "detector.safetensors").is_file() for row in found)
    table = (directory / "table.md").read_text()
    assert table in output
    assert "| spade  |     2 |" in table
    assert (directory / "heatmaps_spade.png").stat().st_size > 1000
    assert not (directory / "tune").exists()


def test_mlflow_has_the_parent_and_its_trials(finished):
    folder, _ = finished
    directory = folder / "runs" / "eight"
    where = json.loads((directory / "mlflow.json").read_text())
    client = MlflowClient(where["tracking_uri"])
    parent = client.get_run(where["run_id"])
    children = client.search_runs(
        [parent.info.experiment_id], f"tags.mlflow.parentRunId = '{where['run_id']}'"
    )
    assert parent.info.status == "FINISHED"
    assert {a.path for a in client.list_artifacts(where["run_id"])} >= {"table.md", "results.csv"}
    assert len(children) == 8
    by_name = {
        f"{r['category']}_{r['method']}_{r['shots']}shot_seed{r['seed']}": r
        for r in rows(directory)
    }
    for child in children:
        row = by_name[child.info.run_name]
        assert child.data.metrics["image_auroc"] == pytest.approx(
            float(row["image_auroc"]), abs=1e-3
        )
        assert child.data.params["category"] == row["category"]
        assert child.data.metrics["values"] == sum(
            tensor.numel()
            for tensor in load_file(Path(row["checkpoint"], "detector.safetensors")).values()
        )
        assert len(child.data.tags["git_commit"]) in (7, 40)


def test_killed_and_resumed_gives_the_same_table(head, finished, tmp_path):
    folder, _ = finished
    directory = tmp_path / "runs" / "killed"
    environment = ray_environment() | {"RAY_ADDRESS": ""}
    command = [sys.executable, JOBS / "full_benchmark.py", *grid(folder / "data", directory)]
    with (tmp_path / "driver.log").open("w") as log:
        driver = subprocess.Popen(
            list(map(str, command)), env=environment, stdout=log, stderr=log, start_new_session=True
        )
        while len(list(directory.glob("trials/*/result.json"))) < 3:
            assert driver.poll() is None, (tmp_path / "driver.log").read_text()
            time.sleep(0.05)
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    before = {p: p.stat().st_mtime_ns for p in directory.glob("trials/*/result.json")}
    assert 3 <= len(before) < 8
    resumed = submit(head, JOBS / "full_benchmark.py", "--resume", directory)
    assert resumed.returncode == 0, resumed.stdout
    kept = re.search(r"8 trials, (\d) of them done before", resumed.stdout)
    assert kept
    assert int(kept[1]) >= len(before)  # a worker may finish its trial after its driver's death
    assert all(p.stat().st_mtime_ns == then for p, then in before.items())
    assert without_timings(directory) == without_timings(folder / "runs" / "eight")


def test_a_bad_category_is_named_and_the_rest_goes_on(head, plates, tmp_path):
    (plates / "plate_a" / "test" / "good" / "001.png").write_bytes(b"spoilt")
    directory = tmp_path / "runs" / "spoilt"
    # MLflow is away as well: nobody listens on this port of the loopback.
    done = submit(
        head, JOBS / "full_benchmark.py", *grid(plates, directory),
        "--tracking-uri", "http://127.0.0.1:9",
    )  # fmt: skip
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert "001.png is not an image" in done.stdout
    assert "* 4 trials are missing:\nplate_a spade 1-shot seed 0" in done.stdout
    assert "record them later with `python jobs/record_benchmark.py" in done.stdout
    assert [row["status"] for row in rows(directory)] == ["failed"] * 4 + ["ok"] * 4
    recorded = subprocess.run(
        [sys.executable, JOBS / "record_benchmark.py", directory, "--tracking-uri",
         f"sqlite:///{tmp_path}/mlflow.db"], capture_output=True, text=True
    )  # fmt: skip
    assert recorded.returncode == 0, recorded.stderr
    where = json.loads((directory / "mlflow.json").read_text())
    parent = MlflowClient(where["tracking_uri"]).get_run(where["run_id"])
    assert parent.info.status == "FAILED"


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
def test_wrong_arguments_end_at_once(tmp_path, arguments, message):
    command = [sys.executable, str(JOBS / "full_benchmark.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
