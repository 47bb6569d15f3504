"""MLflow's server dies while a benchmark runs, and comes back; so does a trial's process."""

from contextlib import contextmanager, suppress

import psutil
import pytest

from finegrain.tracking.server import MlflowServer
from tests.benchmarks import (
    check_recorded_once,
    driving,
    grid,
    results_on_disk,
    without_timings,
)
from tests.faults.conftest import METHODS, SEEDS, SHOTS
from tests.faults.nodes import trial_processes


@pytest.fixture
def mlflow_server(tmp_path):
    server = MlflowServer(tmp_path)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def paused(driver):
    """No trial goes on for the block."""
    processes = trial_processes(driver.process.pid)
    for process in processes:
        process.suspend()
    yield
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.resume()


def test_mlflow_and_a_trials_process_die_and_come_back(mlflow_server, data, undisturbed, tmp_path):
    mlflow_server.wait()
    directory = tmp_path / "runs" / "away"
    arguments = [*grid(data, directory, METHODS, SHOTS, SEEDS), "--tracking-uri", mlflow_server.uri]
    with driving(tmp_path / "log", *arguments) as driver:
        driver.wait_for(lambda: len(results_on_disk(directory)) >= 3)
        mlflow_server.kill()
        trial_processes(driver.process.pid)[0].kill()
        driver.wait_for(lambda: f"MLflow at {mlflow_server.uri} failed" in driver.output)
        with paused(driver):
            mlflow_server.start()
            mlflow_server.wait()
            assert len(results_on_disk(directory)) < len(undisturbed)
        assert driver.end() == 0
    assert "record them later" not in driver.output
    assert f"{mlflow_server.uri} answers again" in driver.output
    assert without_timings(directory) == undisturbed
    check_recorded_once(directory)
