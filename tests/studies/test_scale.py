"""Simulated clusters counted by hand, the order of trials, and a recorded benchmark replayed."""

import csv
import io
import json
import random
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import simulate_scale
from finegrain.benchmark.grid import Grid
from finegrain.benchmark.order import ORDERS, Expected, encoded_key, expectations, in_order
from finegrain.benchmark.plan import TrialResult, plan, resolve
from finegrain.benchmark.report import csv_text
from finegrain.benchmark.store import trial_directory
from finegrain.benchmark.trial import RESULT
from finegrain.captions import find_caption
from finegrain.cluster import bench, connect
from finegrain.cluster.bench import run_missing
from finegrain.cluster.connect import Share
from finegrain.data.shots import Shot
from finegrain.errors import ConfigError
from finegrain.files import write_text
from finegrain.studies.scale.replay import jobs_of, read_trials, replay
from finegrain.studies.scale.simulate import Job, Serial, bounds, limit, simulate

FREE = Serial(start=0, finish=0, record=0, load=0)


def makespan(seconds, workers, serial=FREE):
    return simulate([Job(second) for second in seconds], workers, serial).makespan


@pytest.mark.parametrize(("workers", "expected"), [(1, 14.0), (2, 8.0), (3, 5.0), (9, 5.0)])
def test_trials_go_to_whichever_worker_is_free(workers, expected):
    # two: 5 + 1 after it, 3 + 1 + 4; three: 5, 3 + 1, 1 + 4
    assert makespan([5, 3, 1, 4, 1], workers) == expected


def test_what_a_worker_does_is_counted():
    outcome = simulate([Job(4), Job(1), Job(1)], 2, FREE)
    assert outcome.makespan == 4
    assert outcome.utilisation == pytest.approx(6 / 8)
    assert outcome.tail == 2  # the second worker has nothing to do from 2 on
    assert simulate([Job(4)], 3, FREE).tail == 4  # two workers are idle all the time


def test_no_order_beats_the_bounds():
    generator = random.Random(0)
    for _ in range(30):
        jobs = [
            Job(
                generator.uniform(0, 9),
                generator.choice("abcd"),
                2.0,
                (generator.choice("xyz"),),
                1,
            )
            for _ in range(generator.randint(1, 40))
        ]
        for workers in (1, 2, 3, 7, 64):
            serial = Serial(0.1, 0.2, 0.3, 4.0)
            outcome = simulate(jobs, workers, serial)
            least = bounds(jobs, workers, serial)
            assert least.pop("MLflow") <= outcome.makespan + outcome.mlflow_lag + 1e-9
            assert max(least.values()) <= outcome.makespan + 1e-9
            assert 0 < outcome.utilisation <= 1 + 1e-9


@pytest.mark.parametrize("workers", [1, 5, 300])
def test_a_saturated_driver_takes_its_seconds_for_each_trial(workers):
    serial = Serial(start=0.25, finish=0.5, record=0, load=0)
    outcome = simulate([Job(0.0)] * 100, workers, serial)
    assert outcome.makespan == 75.0
    assert outcome.driver_busy == 1.0
    assert limit(outcome, bounds([Job(0.0)] * 100, workers, serial)) == "driver"


def test_mlflow_lags_behind_without_holding_trials_up():
    outcome = simulate([Job(1.0)] * 10, 10, Serial(0, 0, record=2, load=0))
    assert (outcome.makespan, outcome.mlflow_lag) == (1.0, 20.0)
    assert outcome.mlflow_busy == pytest.approx(20 / 21)


def test_a_worker_keeps_two_test_sets_and_loads_once():
    serial = Serial(0, 0, 0, load=10)
    # a, b and c are encoded, b is held, a was dropped for c, b was used last so c goes: 5 times
    jobs = [Job(1.0, key, 100.0) for key in ("a", "b", "c", "b", "a", "b")]
    assert simulate(jobs, 1, serial).makespan == 10 + 6 + 4 * 100
    # one of two encodes a, c and b, the other b and a, as it is free sooner for holding b
    assert simulate(jobs, 2, FREE).makespan == 303
    assert simulate(jobs[:3], 3, serial).makespan == 10 + 1 + 100


def test_copies_of_shots_are_kept_as_well():
    jobs = [
        Job(1.0, copies=("s", "t"), copies_seconds=5),
        Job(1.0, copies=("t",), copies_seconds=5),
    ]
    assert simulate(jobs, 1, FREE).makespan == 1 + 10 + 1
    many = [Job(0.0, copies=(number,), copies_seconds=1) for number in [*range(13), 0]]
    assert simulate(many, 1, FREE).makespan == 14  # 12 are kept, so the first is gone


def test_longest_first_is_shorter_where_a_long_one_comes_last():
    seconds = [1.0] * 8 + [8.0]
    assert makespan(seconds, 2) == 12
    for order in ("longest", "grouped"):
        costs = [Expected(second, "same", 1.0) for second in seconds]
        assert makespan([seconds[place] for place in ORDERS[order](costs, 2)], 2) == 8


def test_short_trials_stay_with_their_test_set():
    costs = [
        Expected(second, key, 4.0)
        for key, second in [("a", 1), ("a", 2), ("a", 50), ("b", 2), ("b", 60), ("b", 1)]
    ]
    assert ORDERS["plan"](costs, 9) == [0, 1, 2, 3, 4, 5]
    assert ORDERS["longest"](costs, 9) == [4, 2, 1, 3, 0, 5]
    assert ORDERS["grouped"](costs, 9) == [2, 4, 0, 1, 3, 5]  # 50 and 60 are of one power of two
    # one worker has 116 s to do: only what takes more than a fifth of it is long
    assert ORDERS["grouped"](costs, 1) == [2, 4, 0, 1, 3, 5]
    even = [Expected(second, key, 4.0) for key in "ab" for second in (1, 2, 3)] * 3
    assert ORDERS["grouped"](even, 2) == list(range(18))


@pytest.fixture
def trials(plates):
    grid = {"methods": ["finegrained", "padim", "winclip"], "shots": [1, 2], "seeds": [0, 1]}
    captions = plates.parent / "captions"
    for name in ("plate_a", "plate_b"):
        caption = find_caption("folder", "magnetic_tile").model_dump(mode="json")
        write_text(captions / f"{name}.json", json.dumps(caption | {"category": name}))
    return plan(
        resolve(Grid(dataset="folder", data_root=plates, captions=captions, **grid), beside=plates)
    )


def result_of(trial, fit_seconds=1.0, score_ms=100.0, encode_ms=1000.0):
    return TrialResult(
        trial=trial, config_hash=trial.config_hash(), status="ok", fit_seconds=fit_seconds,
        score_ms=score_ms, encode_ms=encode_ms, environment={"device": "a GPU"},
        support=tuple(Shot(Path(f"{n}.png"), f"{trial.category}-{n}") for n in range(trial.shots)),
    )  # fmt: skip


def test_a_new_benchmark_starts_with_what_learns(trials):
    ordered = in_order(trials, 8)
    assert [trial.method for trial in ordered[:8]] == ["finegrained"] * 8
    assert sorted(trial.name for trial in ordered) == sorted(trial.name for trial in trials)
    rest = [trial for trial in trials if trial.method != "finegrained"]
    assert ordered[8:] == rest
    changes = sum(a.category != b.category for a, b in pairwise(ordered))
    assert changes == 3  # each of the two categories once among the long and once among the short


def test_recorded_seconds_count_more_than_defaults(trials):
    recorded = [result_of(t, {"padim": 99.0}.get(t.method, 1.0)) for t in trials if t.seed == 0]
    first = in_order(trials, 8, recorded)[0]
    assert first.method == "padim"
    assert expectations([first], recorded)[0].seconds == pytest.approx(99.0 + 0.1 * 8)


def test_windows_of_its_own_are_encoded_for_a_method_alone(trials):
    keys = {(t.method, t.category): encoded_key(t) for t in trials}
    assert keys["padim", "plate_a"] == keys["finegrained", "plate_a"]
    assert keys["winclip", "plate_a"] != keys["padim", "plate_a"]
    assert keys["padim", "plate_a"] != keys["padim", "plate_b"]


def test_the_scheduler_is_given_this_order_and_tables_the_plans(trials, tmp_path, monkeypatch):
    given = {}

    class Tuner:
        def __init__(self, trainable, *, param_space, **_):
            given["trials"] = param_space["trial"]["grid_search"]

        def fit(self):
            pass

    monkeypatch.setattr(bench.tune, "Tuner", Tuner)
    there = {"CPU": 8.0, "GPU": 4.0}
    monkeypatch.setattr(
        connect,
        "ray",
        SimpleNamespace(is_initialized=lambda: True, cluster_resources=lambda: there),
    )
    done = {trials[0].name: result_of(trials[0])}
    run_missing(trials, done, tmp_path, Share(), lambda _: None)
    ordered = in_order(trials[1:], 8, done.values())
    assert given["trials"] == [trial.model_dump(mode="json") for trial in ordered]
    assert ordered != trials[1:]
    text = csv_text(trials, done)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(r["category"], r["method"], int(r["shots"]), int(r["seed"])) for r in rows] == [
        (t.category, t.method, t.shots, t.seed) for t in trials
    ]
    assert connect.slots(Share(cpus=2)) == 4
    assert connect.slots(Share(cpus=1, gpus=0.25)) == 8
    there.pop("GPU")
    assert connect.slots(Share(cpus=1, gpus=0.25)) == 0  # an autoscaler has yet to bring some


@pytest.fixture
def recorded(trials, tmp_path):
    folder = tmp_path / "recorded"
    for trial in trials:
        path = trial_directory(folder, trial) / RESULT
        write_text(path, result_of(trial).model_dump_json())
    return folder


def test_a_recorded_benchmark_is_replayed(recorded, trials):
    results = read_trials([recorded])
    assert [result.trial.name for result in results] == sorted(trial.name for trial in trials)
    job = jobs_of(results)[0]
    # fit, 8 test images scored and evaluated, one shot encoded again, it and its 4 copies scored
    assert job.seconds == pytest.approx(1.0 + 8 * 0.104 + 1.0 + 5 * 0.1 + 0.4)
    assert (job.encode_seconds, job.copies_seconds, len(job.copies)) == (8.0, 4.0, 1)
    rows = replay(results, [1, 2], FREE)
    assert [(row.order, row.outcome.workers) for row in rows] == [
        (order, workers) for order in ORDERS for workers in (1, 2)
    ]
    # two categories, each encoded for WinCLIP and for the others, two shots with copies likewise
    assert rows[0].ideal == pytest.approx(sum(j.seconds for j in jobs_of(results)) + 4 * 8 + 8 * 4)
    assert rows[0].speed_up == 1.0


def test_a_repeated_plan_has_seeds_and_shots_of_its_own(recorded):
    results = read_trials([recorded], repeat=3)
    assert len(results) == 3 * 24
    assert len({result.trial.name for result in results}) == 72
    assert len({key for job in jobs_of(results) for key in job.copies}) == 3 * 8
    with pytest.raises(ConfigError, match="holds no timed results"):
        read_trials([recorded / "trials"])
    with pytest.raises(ConfigError, match="negative"):
        Serial(start=-1)


def test_the_job_writes_tables_and_a_plot(recorded, tmp_path, monkeypatch, capsys):
    output = tmp_path / "scale"
    arguments = [recorded, "--workers", 1, 4, "--output", output]
    monkeypatch.setattr(sys, "argv", ["simulate_scale.py", *map(str, arguments)])
    assert simulate_scale.main() == 0
    said = capsys.readouterr().out
    assert "| workers | least possible | plan | longest | grouped |" in said
    rows = list(csv.DictReader(io.StringIO((output / "scale.csv").read_text())))
    assert [(row["order"], row["workers"]) for row in rows[:2]] == [("plan", "1"), ("plan", "4")]
    assert (output / "scale.png").read_bytes().startswith(b"\x89PNG")
    assert (output / "scale.md").read_text() in said
