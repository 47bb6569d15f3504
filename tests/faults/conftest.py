"""A benchmark that nothing disturbs, to compare with."""

import pytest

from tests.benchmarks import undisturbed_rows
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
    directory = tmp_path_factory.mktemp("runs") / "undisturbed"
    return undisturbed_rows(data, directory, METHODS, SHOTS, SEEDS)
