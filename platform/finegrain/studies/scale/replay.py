"""Recorded benchmarks as jobs of a simulation, in every order on every number of workers."""

import time
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from finegrain.benchmark.costs import read_timed
from finegrain.benchmark.order import ORDERS, encoded_key, expectations, image_counts
from finegrain.benchmark.plan import Trial, TrialResult
from finegrain.benchmark.store import MLFLOW, TRIALS, load
from finegrain.benchmark.trial import RESULT
from finegrain.cluster.record import Recorder
from finegrain.decision.calibrate import COPIES
from finegrain.errors import ConfigError
from finegrain.studies.scale.simulate import Job, Outcome, Serial, bounds, limit, simulate

# CPU time of one thread, 2026-11-25: PaDiM and PatchCore on 56 test images of the factory's pcb.
EVALUATE_MS = 4.0  # of all metrics, a test image
SAVE_SECONDS = 0.4  # of a checkpoint, a heatmap sheet and what else a trial does once


class Replayed(NamedTuple):
    """One row: the order that was simulated, and what came of it."""

    order: str
    outcome: Outcome
    ideal: float  # seconds that no order can beat
    limit: str
    speed_up: float  # over one worker in the plan's order


def read_trials(folders: Sequence[Path], repeat: int = 1) -> list[TrialResult]:
    """The timed results of the benchmarks in the plan's order, category by category.

    Repeated, the plan has that many times as many seeds, which take what the recorded ones took.
    """
    found: dict[str, TrialResult] = {}
    for folder in folders:
        results = map(read_timed, sorted(folder.glob(f"{TRIALS}/*/{RESULT}")))
        more = {result.config_hash: result for result in results if result}
        if not more:
            raise ConfigError(f"{folder} holds no timed results of a benchmark")
        found |= more
    if repeat < 1:
        raise ConfigError(f"a plan is repeated once at least; got {repeat}")
    repeated = [_seeded(result, turn) for turn in range(repeat) for result in found.values()]
    return sorted(repeated, key=lambda result: _place(result.trial))


def _seeded(result: TrialResult, turn: int) -> TrialResult:
    """The same with a seed and shots of its own."""
    if not turn:
        return result
    trial = result.trial.model_copy(update={"seed": result.trial.seed + 1000 * turn})
    shots = tuple(replace(shot, sha256=f"{shot.sha256}-{turn}") for shot in result.support)
    return result.model_copy(update={"trial": trial, "support": shots})


def _place(trial: Trial) -> tuple[str, str, str, int, int]:
    return trial.dataset, trial.category, trial.method, trial.shots, trial.seed


def jobs_of(results: Sequence[TrialResult]) -> list[Job]:
    """What each trial took of its worker, by its recorded timings."""
    counts = image_counts(result.trial for result in results)
    jobs = []
    for result in results:
        trial = result.trial
        images = counts[trial.data_fingerprint]
        if not images:
            raise ConfigError(f"{trial.data_root} has no test images of {trial.category} any more")
        jobs.append(_job(result, images))
    return jobs


def _job(result: TrialResult, images: int) -> Job:
    """Calibration encodes the shots again, and scores each left out, and the copies of all."""
    fit, score, encode = (
        value or 0.0 for value in (result.fit_seconds, result.score_ms, result.encode_ms)
    )
    shots, key = len(result.support), encoded_key(result.trial)
    calibration = shots * (encode + (1 + COPIES) * score) / 1000
    measuring = images * (score + EVALUATE_MS) / 1000
    copies: tuple[Hashable, ...] = tuple((key, shot.sha256) for shot in result.support)
    return Job(
        fit + calibration + measuring + SAVE_SECONDS,
        encoded=key,
        encode_seconds=images * encode / 1000,
        copies=copies,
        copies_seconds=COPIES * encode / 1000,
    )


def replay(
    results: Sequence[TrialResult], workers: Sequence[int], serial: Serial, known: bool = False
) -> list[Replayed]:
    """Every order on every number of workers.

    Args:
        known: orders may use what was recorded, as when a benchmark is resumed; otherwise they
            know no more than the methods' defaults, as when it is new.
    """
    jobs = jobs_of(results)
    expected = expectations([result.trial for result in results], results if known else ())
    alone = simulate(jobs, 1, serial).makespan
    rows = []
    for order, arranged in ORDERS.items():
        for count in sorted(set(workers)):
            ordered = [jobs[place] for place in arranged(expected, count)]
            outcome = simulate(ordered, count, serial)
            least = bounds(jobs, count, serial)
            ideal = max(seconds for name, seconds in least.items() if name != "MLflow")
            speed_up = alone / outcome.makespan
            rows.append(Replayed(order, outcome, ideal, limit(outcome, least), speed_up))
    return rows


def bytes_a_trial(results: Sequence[TrialResult]) -> float:
    """What crosses Ray for a trial: its plan as JSON; images, tokens and results never do."""
    return sum(len(r.trial.model_dump_json()) for r in results) / len(results)


def record_seconds(recorded: Path, uri: str, scratch: Path, trials: int) -> float:
    """What MLflow takes to record a trial of the benchmark again, below a folder of its own."""
    scratch.mkdir(parents=True)
    for path in recorded.iterdir():
        if path.name != MLFLOW:
            (scratch / path.name).symlink_to(path)
    results = read_trials([recorded])[:trials]
    said: list[str] = []
    start = time.perf_counter()
    recorder = Recorder(load(recorded), scratch, uri, said.append)
    recorder.finish([r.trial for r in results], {r.trial.name: r for r in results})
    if recorder.failed:
        raise ConfigError(said[0])
    return (time.perf_counter() - start) / len(results)
