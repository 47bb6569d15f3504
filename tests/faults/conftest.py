"""A benchmark that nothing disturbs, to compare with."""

import pytest

from finegrain.cluster.bench import create, stored_results, trial_directory
from finegrain.cluster.plan import plan, resolve
from finegrain.cluster.report import write_report
from finegrain.cluster.trial import Worker
from tests.benchmarks import without_timings
from tests.conftest import write_category

METHODS, SHOTS, SEEDS = ("spade", "padim"), (1, 2), (0, 1, 2)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Two categories."""
    root = tmp_path_factory.mktemp("data")
    write_category(root, "plate_a", seed=1)
    return write_category(root, "plate_b", seed=2)


@pytest.fixture(scope="session")
def undisturbed(data, tmp_path_factory):
    """The rows of results.csv when one process runs the trials one after the other."""
    directory = tmp_path_factory.mktemp("undisturbed")
    benchmark = resolve(
        beside=directory, dataset="folder", data_root=data, methods=METHODS, shots=SHOTS,
        seeds=SEEDS,
    )  # fmt: skip
    create(benchmark, directory)
    trials, worker = plan(benchmark), Worker("cpu", threads=1)
    for trial in trials:
        assert worker.run(trial, trial_directory(directory, trial)).status == "ok"
    write_report(benchmark, trials, stored_results(directory, trials), directory)
    return without_timings(directory)
