"""Whole benchmarks as a user starts them, and what they leave on disk and in MLflow."""

import csv
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient

from finegrain.benchmark.grid import Grid
from finegrain.benchmark.plan import plan, resolve
from finegrain.benchmark.report import write_report
from finegrain.benchmark.store import stored_results, trial_directory
from finegrain.benchmark.trial import Worker
from finegrain.cluster import full
from finegrain.cluster.connect import Share
from finegrain.cluster.head import ray_environment

JOBS = Path(__file__).parents[1] / "jobs"
FULL = JOBS / "full_benchmark.py"


def grid(data, output, methods=("spade", "padim"), shots=(1, 2), seeds=(0,)):
    """Arguments of a benchmark on plates, in the MVTec-AD layout, as `write_category` makes them"""
    return ["--dataset", "folder", "--data-root", data, "--methods", *methods,
            "--shots", *shots, "--seeds", *seeds, "--output", output]  # fmt: skip


def one_after_the_other(trials, results, directory, share, report):
    """In place of `run_missing`: the same without Ray, in this process."""
    worker = Worker(share.device, threads=1)
    for trial in trials:
        if trial.name not in results or results[trial.name].status != "ok":
            report(worker.run(trial, trial_directory(directory, trial)))


def undisturbed_rows(data, directory, methods, shots, seeds):
    """The rows of results.csv as one process makes them, without timings."""
    grid = Grid(dataset="folder", data_root=data, methods=methods, shots=shots, seeds=seeds)
    benchmark = resolve(grid, beside=directory)
    trials = plan(benchmark)
    one_after_the_other(trials, {}, directory, Share(), lambda _: None)
    write_report(benchmark, trials, stored_results(directory, trials), directory)
    return without_timings(directory)


def run_here(monkeypatch, script, *arguments, runner=one_after_the_other):
    """The exit status of a script that is run in this process, without Ray."""
    monkeypatch.setattr(full, "run_missing", runner)
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    return ended.value.code


def submit(head, *arguments):
    """Run a Python script as a job of the head, to its end."""
    command = ["ray", "job", "submit", "--address", head, "--", sys.executable, *arguments]
    return subprocess.run(
        list(map(str, command)), env=ray_environment(), capture_output=True, text=True, timeout=240
    )


class Driver:
    """A driver that runs as a process of its own, in its own process group."""

    def __init__(self, process, log):
        self.process = process
        self._log = log

    @property
    def output(self):
        return self._log.read_text()

    def wait_for(self, happened, seconds=240):
        """Until `happened()` is true while the driver runs."""
        deadline = time.monotonic() + seconds
        while not happened():
            assert self.process.poll() is None, f"ended too early: {self.output}"
            assert time.monotonic() < deadline, f"did not happen: {self.output}"
            time.sleep(0.05)

    def end(self, seconds=240):
        """The exit status, once it has ended by itself."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {seconds} s: {self.output}") from None

    def kill(self):
        """The driver and all that it started, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def driving(log, *arguments, address="", **environment):
    """A driver in the background, on the cluster at `address` or on a Ray of its own."""
    variables = ray_environment() | {"RAY_ADDRESS": address} | environment
    command = [sys.executable, FULL, *arguments]
    with log.open("a") as stream:
        process = subprocess.Popen(
            list(map(str, command)),
            env=variables, stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip
    driver = Driver(process, log)
    try:
        yield driver
    finally:
        driver.kill()


def results_on_disk(directory):
    return sorted(directory.glob("trials/*/result.json"))


def rows(directory):
    with (directory / "results.csv").open() as stream:
        return list(csv.DictReader(stream))


def without_timings(directory):
    """The rows without what the clock and the folder decide."""
    moving = ("fit_seconds", "score_ms", "checkpoint")
    return [{k: v for k, v in row.items() if k not in moving} for row in rows(directory)]


def name_of(row):
    return f"{row['category']}_{row['method']}_{row['shots']}shot_seed{row['seed']}"


def recorded(directory):
    """What MLflow has of a benchmark: its run, and the nested runs."""
    where = json.loads((directory / "mlflow.json").read_text())
    client = MlflowClient(where["tracking_uri"])
    parent = client.get_run(where["run_id"])
    children = client.search_runs(
        [parent.info.experiment_id], f"tags.mlflow.parentRunId = '{where['run_id']}'"
    )
    return parent, children


def check_recorded_once(directory):
    """Every trial of results.csv is one nested run with the scores of that row."""
    parent, children = recorded(directory)
    by_name = {name_of(row): row for row in rows(directory)}
    assert Counter(child.info.run_name for child in children) == Counter(by_name.keys())
    for child in children:
        row = by_name[child.info.run_name]
        ok = row["status"] == "ok"
        assert child.info.status == ("FINISHED" if ok else "FAILED")
        if ok:
            score = child.data.metrics["image_auroc"]
            assert abs(score - float(row["image_auroc"])) < 1e-3
    return parent, children
