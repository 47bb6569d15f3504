"""What the driver does when things go wrong, without a cluster."""

import errno
from types import SimpleNamespace

import pytest
from ray.tune import TuneError

from finegrain.benchmark.grid import Grid
from finegrain.benchmark.plan import plan, read_result, resolve
from finegrain.benchmark.store import create, load, only_driver, trial_directory
from finegrain.cluster import bench
from finegrain.cluster.bench import RunEndedError, run_missing
from finegrain.cluster.connect import Share
from finegrain.cluster.tune import Endings, process_worker
from finegrain.errors import ConfigError


@pytest.fixture
def benchmark(plates):
    grid = Grid(dataset="folder", data_root=plates, methods=["padim"], shots=[1], seeds=[0])
    return resolve(grid, beside=plates)


@pytest.fixture
def trial(benchmark):
    return plan(benchmark)[0]


@pytest.fixture
def rounds(monkeypatch):
    """What died in each round, in place of rounds over Ray."""
    outcomes = []
    monkeypatch.setattr(bench, "_run_round", lambda *_: outcomes.pop(0))
    monkeypatch.setattr(bench, "connect", lambda: None)
    monkeypatch.setattr(bench, "slots", lambda _: 2)
    return outcomes


def test_a_trial_that_dies_each_time_is_given_a_failed_result(trial, tmp_path, rounds):
    rounds += [{trial.name: "out of memory"}] * 3
    reported = []
    run_missing([trial], {}, tmp_path, Share(), reported.append)
    assert reported[0].error == "failed 3 times: out of memory"
    assert read_result(trial_directory(tmp_path, trial) / "result.json", trial) == reported[0]


def test_a_trial_that_dies_is_run_again(trial, tmp_path, rounds):
    rounds += [{trial.name: "its process died"}, {}]
    run_missing([trial], {}, tmp_path, Share(), lambda result: pytest.fail(str(result)))
    assert not rounds


def test_the_last_words_of_a_trial(tmp_path):
    died = []
    endings = Endings(pytest.fail, lambda *given: died.append(given))
    tune_trial = SimpleNamespace(config={"x": 1}, error_file=tmp_path / "error.txt")
    endings.on_trial_error(0, [], tune_trial)
    (tmp_path / "error.txt").write_text("ray::_trainable\nActorDiedError: out of memory\n\n")
    endings.on_trial_error(0, [], tune_trial)
    assert died == [({"x": 1}, "its process died"), ({"x": 1}, "ActorDiedError: out of memory")]


def test_a_worker_is_kept_by_its_process():
    made = []

    def kind(device, threads):
        made.append((device, threads))
        return made[-1]

    first, again = (process_worker(kind, "cpu", 1) for _ in range(2))
    assert first is again
    assert process_worker(kind, "cpu", 2) == ("cpu", 2)
    assert made == [("cpu", 1), ("cpu", 2)]


@pytest.fixture
def ended(trial, tmp_path, monkeypatch):
    """What is reported of a trial whose trainable returned, by what it reported last."""

    def report_of(**last_result):
        def run_tune(_trainable, _share, endings, *_, **__):
            config = {"trial": trial.model_dump(mode="json")}
            endings.on_trial_complete(
                0, [], SimpleNamespace(config=config, last_result=last_result)
            )

        monkeypatch.setattr(bench, "run_tune", run_tune)
        reported = []
        assert bench._run_round([trial], tmp_path, Share(), reported.append) == {}
        return reported[0]

    return report_of


def test_a_result_that_the_driver_cannot_see_is_a_failure(ended):
    result = ended()
    assert result.status == "failed"
    assert "storage all nodes share" in result.error


def test_a_failed_result_that_cannot_be_written_is_told_of(
    benchmark, tmp_path, monkeypatch, rounds
):
    def no_space(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bench, "store", no_space)
    trials, reported = plan(benchmark), []
    rounds += [{trial.name: "No space left on device" for trial in trials}] * 3
    run_missing(trials, {}, tmp_path, Share(), reported.append)
    assert [r.error for r in reported] == ["failed 3 times: No space left on device"] * 2


def test_a_trial_without_space_says_so(ended):
    full = "[Errno 28] No space left on device: 'a'"
    assert ended(full=full).error == full


def test_a_worker_without_space_computes_nothing(trial, tmp_path, monkeypatch):
    reported = []
    monkeypatch.setattr(bench.tune, "report", reported.append)
    monkeypatch.setattr(bench.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    monkeypatch.setattr(bench, "process_worker", lambda *_: pytest.fail("it computes"))
    given = {"trial": trial.model_dump(mode="json"), "directory": str(tmp_path)}
    bench._trainable(given | {"device": "cpu", "threads": 1})
    assert reported == [{"full": f"[Errno 28] No space left on device: '{tmp_path}'"}]


@pytest.mark.usefixtures("rounds")
def test_a_lost_cluster_ends_the_run(trial, tmp_path, monkeypatch):
    def lost(*_):
        raise TuneError("Traceback:\nRaySystemError: the head is gone")

    monkeypatch.setattr(bench, "_run_round", lost)
    with pytest.raises(RunEndedError, match=r"^RaySystemError: the head is gone$"):
        run_missing([trial], {}, tmp_path, Share(), pytest.fail)


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


@pytest.mark.parametrize("error", [NotImplementedError("no flock"), OSError(errno.ENOLCK, "none")])
def test_a_file_system_without_locks_is_named(error, tmp_path, monkeypatch):
    def refuse(*_):
        raise error

    monkeypatch.setattr("filelock.UnixFileLock._acquire", refuse)
    with (
        pytest.raises(ConfigError, match=r"has no file locks .*give an --output elsewhere"),
        only_driver(tmp_path),
    ):
        pass
    full = OSError(errno.ENOSPC, "no space")
    monkeypatch.setattr("finegrain.benchmark.store.FileLock.acquire", lambda _: _raise(full))
    with pytest.raises(OSError, match="no space"), only_driver(tmp_path):
        pass


def _raise(error):
    raise error


def test_a_benchmark_that_was_moved_with_its_data_finds_both(plates, tmp_path):
    runs = tmp_path / "runs"
    (runs / "data").mkdir(parents=True)
    plates.rename(runs / "data/folder")
    grid = Grid(
        dataset="folder", data_root=runs / "data/folder", methods=("patchcore",), seeds=(0,)
    )
    create(resolve(grid, beside=runs), runs / "first")
    runs.rename(tmp_path / "elsewhere")
    moved = load(tmp_path / "elsewhere/first")
    assert moved.data_root == tmp_path / "elsewhere/data/folder"
    assert moved.files_of("plate_a").train
