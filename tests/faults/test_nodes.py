"""Nodes, processes of trials and the head are killed while a benchmark runs."""

import pytest

from tests.benchmarks import (
    check_recorded_once,
    driving,
    grid,
    results_on_disk,
    without_timings,
)
from tests.faults.conftest import METHODS, SEEDS, SHOTS
from tests.faults.nodes import cluster, fell, head_fell, trial_processes

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def nodes():
    with cluster(1, 1) as running:
        yield running


def begin(data, directory, address, **environment):
    """A driver that runs a benchmark of 24 trials."""
    arguments = grid(data, directory, METHODS, SHOTS, SEEDS)
    return driving(directory.with_suffix(".log"), *arguments, address=address, **environment)


def some(directory, count=3):
    return lambda: len(results_on_disk(directory)) >= count


def busy(nodes):
    """The first of the nodes that runs trials."""
    return next((raylet for raylet in nodes.raylets if trial_processes(raylet)), None)


def test_a_trials_process_is_killed(nodes, data, undisturbed, tmp_path):
    directory = tmp_path / "killed"
    with begin(data, directory, nodes.address) as driver:
        driver.wait_for(some(directory))
        trial_processes(busy(nodes))[0].kill()
        assert len(results_on_disk(directory)) < len(undisturbed)
        assert driver.end() == 0
    assert without_timings(directory) == undisturbed
    check_recorded_once(directory)


def test_a_node_falls(nodes, data, undisturbed, tmp_path):
    directory = tmp_path / "fallen"
    with begin(data, directory, nodes.address) as driver:
        driver.wait_for(some(directory))
        fell(busy(nodes))
        assert len(results_on_disk(directory)) < len(undisturbed)
        assert driver.end() == 0
    assert without_timings(directory) == undisturbed
    check_recorded_once(directory)


def test_the_head_falls_and_another_goes_on(data, undisturbed, tmp_path):
    directory = tmp_path / "headless"
    patience = {"RAY_gcs_rpc_server_reconnect_timeout_s": "10"}  # 60 s where nothing is said
    with cluster(1) as nodes, begin(data, directory, nodes.address, **patience) as driver:
        driver.wait_for(some(directory))
        head_fell(nodes)
        assert driver.end(seconds=90) != 0
        assert "GCS may have been killed" in driver.output
        assert f"--resume {directory} runs what is missing" in driver.output
    before = {path: path.stat().st_mtime_ns for path in results_on_disk(directory)}
    assert 3 <= len(before) < len(undisturbed)
    log = tmp_path / "resumed.log"
    with cluster(1) as nodes, driving(log, "--resume", directory, address=nodes.address) as driver:
        assert driver.end() == 0
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    assert without_timings(directory) == undisturbed
    check_recorded_once(directory)
