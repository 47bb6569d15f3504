"""The trials of recorded benchmarks, read back from MLflow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from finegrain.errors import ConfigError
from finegrain.evaluation.compare import Expense
from finegrain.evaluation.metrics import Scores
from finegrain.tracking.runs import (
    EXPERIMENT,
    TRIAL,
    finished_trials,
    latest_run,
    open_client,
    search_all,
)

GIVEN = ("dataset", "category", "method", "shots", "seed", "backbone", "weights")


@dataclass(frozen=True)
class RecordedTrial:
    """A finished trial as it was recorded; scores in percent, None where undefined."""

    run_id: str
    benchmark: str  # its name
    benchmark_id: str
    dataset: str
    category: str
    method: str
    shots: int
    seed: int
    backbone: str
    weights: str
    options: Mapping[str, str]
    data_fingerprint: str
    support: tuple[str, ...]  # SHA-256 of the shots
    scores: Mapping[str, float | None]
    cost: Expense


def recorded_trials(uri: str, wanted: Sequence[str]) -> list[RecordedTrial]:
    """All finished trials of what is wanted: in the order given, those of a benchmark by method.

    Args:
        uri: of the tracking server or database.
        wanted: a benchmark's name (its latest run) or run id, or a single trial's run id, each.

    Raises:
        ConfigError: there is no such run, it is no benchmark, or has no finished trial.
    """
    client = open_client(uri)
    return [trial for name in wanted for trial in _trials(client, name)]


def _trials(client: MlflowClient, wanted: str) -> list[RecordedTrial]:
    run = latest_run(client, wanted) or _by_id(client, wanted)
    parent_id = run.data.tags.get(MLFLOW_PARENT_RUN_ID)
    parent = client.get_run(parent_id) if parent_id else run
    if not parent_id:
        runs = finished_trials(client, run)
    else:
        runs = [run] if run.info.status == "FINISHED" else []
    found = [run for run in runs if TRIAL in run.data.tags and run.data.params.keys() >= {*GIVEN}]
    if not found:
        published = ": published numbers are no trials" if runs else ""
        raise ConfigError(f"run {wanted} has no finished trial to compare{published}")
    trials = [_trial(run, parent) for run in found]
    return sorted(trials, key=lambda trial: (trial.method, trial.category, trial.shots, trial.seed))


def _by_id(client: MlflowClient, run_id: str) -> Run:
    try:
        run = client.get_run(run_id)
        if run.info.lifecycle_stage == "active":
            return run
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
    known = ", ".join(_benchmarks(client)) or "none"
    raise ConfigError(
        f"no benchmark or run {run_id!r} at {client.tracking_uri}; finished benchmarks: {known}"
    )


def _benchmarks(client: MlflowClient) -> list[str]:
    """The names of the benchmarks that were recorded whole."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return []
    runs = search_all(client, str(experiment.experiment_id), "params.seeds LIKE '%'")
    return sorted({str(run.info.run_name) for run in runs})


def _trial(run: Run, parent: Run) -> RecordedTrial:
    params, metrics, tags = run.data.params, run.data.metrics, run.data.tags
    return RecordedTrial(
        run_id=run.info.run_id,
        benchmark=str(parent.info.run_name),
        benchmark_id=parent.info.run_id,
        dataset=params["dataset"],
        category=params["category"],
        method=params["method"],
        shots=int(params["shots"]),
        seed=int(params["seed"]),
        backbone=params["backbone"],
        weights=params["weights"],
        options={name: value for name, value in params.items() if name not in GIVEN},
        data_fingerprint=tags.get("data_fingerprint", ""),
        support=tuple(sorted(v for k, v in tags.items() if k.startswith("shot_"))),
        scores={name: metrics.get(name) for name in Scores.names()},
        cost=Expense(
            fit_seconds=metrics.get("fit_seconds"),
            encode_ms=metrics.get("encode_ms"),
            score_ms=metrics.get("score_ms"),
            values=metrics.get("values"),
        ),
    )
