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
from tests.faults.nodes import cluster, fell, trial_process


@pytest.fixture(scope="module")
def nodes():
    with cluster(1, 1) as running:
        yield running


def disturbed(nodes, data, directory, fault, begun=3):
    """Run a benchmark, with a fault when some of its trials are done."""
    arguments = grid(data, directory, METHODS, SHOTS, SEEDS)
    with driving(directory / "log", *arguments, address=nodes.address) as driver:
        driver.wait_for(lambda: len(results_on_disk(directory)) >= begun)
        fault()
        left = len(METHODS) * len(SHOTS) * len(SEEDS) * 2 - len(results_on_disk(directory))
        assert left > 0
        status = driver.end()
    print(driver.output)
    return status


def test_a_trials_process_is_killed(nodes, data, undisturbed, tmp_path):
    status = disturbed(nodes, data, tmp_path, lambda: trial_process(nodes.raylets[0]).kill())
    assert status == 0
    assert without_timings(tmp_path) == undisturbed
    check_recorded_once(tmp_path)


def test_a_node_falls(nodes, data, undisturbed, tmp_path):
    assert disturbed(nodes, data, tmp_path, lambda: fell(nodes.raylets[0])) == 0
    assert without_timings(tmp_path) == undisturbed
    check_recorded_once(tmp_path)


def test_the_head_dies(nodes, data, undisturbed, tmp_path):
    import os, time
    t=time.time()
    assert disturbed(nodes, data, tmp_path, lambda: os.kill(nodes.gcs, 9)) == 0
