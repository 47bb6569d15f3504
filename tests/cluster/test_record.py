"""What becomes of results while MLflow fails, with a tracking store that does as it is told."""

import csv
import io

import pytest

from finegrain.benchmark.grid import Grid
from finegrain.benchmark.plan import TrialResult, plan, resolve
from finegrain.benchmark.report import csv_text
from finegrain.cluster import record
from finegrain.cluster.record import Recorder
from finegrain.evaluation.metrics import Scores


class Store:
    """In place of BenchmarkRun."""

    def __init__(self):
        self.away = False
        self.opened = 0
        self.recorded = []
        self.metrics = []
        self.run_id = "parent"

    def open(self, *_):
        self._check()
        self.opened += 1
        return self

    def record(self, name, digest, *, metrics, **_):
        self._check()
        self.recorded.append(name)
        self.metrics.append(metrics)

    def finish(self, **_):
        self._check()

    def _check(self):
        if self.away:
            raise ConnectionError("nobody answers\nin detail")


@pytest.fixture
def store(monkeypatch):
    store = Store()
    monkeypatch.setattr(record, "BenchmarkRun", store.open)
    return store


@pytest.fixture
def benchmark(plates):
    grid = Grid(dataset="folder", data_root=plates, methods=["padim"], shots=[1], seeds=[0])
    return resolve(grid, beside=plates)


def recording(benchmark, directory, store, away):
    """The recorder and what it told, after a result of each trial; `away` sets the store's state.

    Its thread is waited for, so that the state is that of each step.
    """
    told = []
    trials = plan(benchmark)
    results = {
        trial.name: TrialResult(trial=trial, config_hash=trial.config_hash(), status="failed")
        for trial in trials
    }
    for name in ("benchmark.json", "results.csv", "table.md"):
        (directory / name).write_text("")
    recorder = Recorder(benchmark, directory, "http://tracking", told.append)
    for result, state in zip(results.values(), away, strict=False):
        recorder._thread.submit(setattr, store, "away", state)
        recorder.record(result)
    recorder._thread.submit(setattr, store, "away", away[-1])
    recorder.finish(trials, results)
    return recorder, told, list(results)


def test_what_was_missed_is_recorded_at_the_end(benchmark, tmp_path, store):
    recorder, told, names = recording(benchmark, tmp_path, store, [True, True, False])
    assert not recorder.failed
    assert store.recorded == names
    assert [line.partition(". ")[0] for line in told] == [
        "MLflow at http://tracking failed: nobody answers",
        "MLflow at http://tracking answers again, and has all 2",
    ]


def test_after_a_quiet_time_recording_goes_on(benchmark, tmp_path, store, monkeypatch):
    monkeypatch.setattr(record, "QUIET_SECONDS", 0.0)
    recorder, _, names = recording(benchmark, tmp_path, store, [True, False, False])
    assert not recorder.failed
    assert store.recorded == [names[1], *names]  # BenchmarkRun knows what it has by their digests


def test_an_absent_store_is_told_of_twice(benchmark, tmp_path, store):
    recorder, told, _ = recording(benchmark, tmp_path, store, [True, True, True])
    assert recorder.failed
    assert len(told) == 2
    assert f"record them later with `finegrain record {tmp_path}`" in told[1]


def test_shares_are_percent_as_scores_are(benchmark, tmp_path, store):
    trial = plan(benchmark)[0]
    result = TrialResult(
        trial=trial,
        config_hash=trial.config_hash(),
        status="ok",
        scores=Scores(image_auroc=0.5),
        fit_seconds=2.5,
        score_ms=3.0,
        false_alarms=0.25,
        detected=1.0,
    )
    Recorder(benchmark, tmp_path, "http://tracking", print)._record(result)
    shares = {"image_auroc": 50.0, "false_alarms": 25.0, "detected": 100.0}
    expected = shares | {"fit_seconds": 2.5, "score_ms": 3.0}
    assert store.metrics == [expected]
    row = next(csv.DictReader(io.StringIO(csv_text([trial], {trial.name: result}))))
    assert {name: float(row[name]) for name in expected} == expected
