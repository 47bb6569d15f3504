"""What the driver does when things go wrong, without a cluster."""

import errno
from types import SimpleNamespace

import pytest

from finegrain.cluster import bench
from finegrain.cluster.bench import Share, _Reporter, create, load, only_driver, trial_directory
from finegrain.cluster.plan import plan, read_result, resolve
from finegrain.errors import ConfigError


@pytest.fixture
def benchmark(plates):
    return resolve(
        beside=plates, dataset="folder", data_root=plates, methods=["padim"], shots=[1], seeds=[0]
    )


@pytest.fixture
def trial(benchmark):
    return plan(benchmark)[0]


def tune_trial(trial, error=None):
    return SimpleNamespace(config={"trial": trial.model_dump(mode="json")}, get_error=lambda: error)


def test_a_trial_that_never_wrote_a_result_is_given_a_failed_one(trial, tmp_path):
    reported = []
    reporter = _Reporter(tmp_path, reported.append)
    died = RuntimeError("ray::_trainable\nActorDiedError: out of memory")
    reporter.on_trial_error(0, [], tune_trial(trial, died))
    assert reported[0].error == "failed 3 times: ActorDiedError: out of memory"
    assert read_result(trial_directory(tmp_path, trial) / "result.json", trial) == reported[0]


def test_a_result_that_the_driver_cannot_see_is_a_failure(trial, tmp_path):
    reported = []
    _Reporter(tmp_path, reported.append).on_trial_complete(0, [], tune_trial(trial))
    assert reported[0].status == "failed"
    assert "storage all nodes share" in reported[0].error


def test_a_full_disk_does_not_end_the_other_trials(trial, tmp_path, monkeypatch):
    def no_space(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bench, "store", no_space)
    reported = []
    reporter = _Reporter(tmp_path, reported.append)
    reporter.on_trial_error(0, [], tune_trial(trial, RuntimeError("No space left on device")))
    assert reported[0].error == "failed 3 times: No space left on device"


def test_a_benchmark_is_read_back_as_it_was(benchmark, tmp_path):
    create(benchmark, tmp_path)
    assert load(tmp_path) == benchmark
    with pytest.raises(ConfigError, match="already holds a benchmark; continue it with --resume"):
        create(benchmark, tmp_path)
    (tmp_path / "benchmark.json").write_text("{}")
    with pytest.raises(ConfigError, match="is damaged"):
        load(tmp_path)


@pytest.mark.parametrize("share", [(0, 0), (-1, 0), (1, -0.5)])
def test_a_share_must_be_possible(share):
    with pytest.raises(ConfigError, match="more than 0 CPUs and at least 0 GPUs"):
        Share(*share)


def test_two_drivers_of_one_benchmark(tmp_path):
    with (
        only_driver(tmp_path),
        pytest.raises(ConfigError, match="another driver is running"),
        only_driver(tmp_path),
    ):
        pass
    with only_driver(tmp_path):
        pass
