"""Runs in MLflow: one parent for a benchmark, one nested run for each of its trials.

Written through MlflowClient with explicit run ids, so that nothing depends on an active run of the
process or thread.
"""

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID

from finegrain.data.shots import Shot
from finegrain.errors import ConfigError
from finegrain.tracking.moved import follow_moved

EXPERIMENT = "finegrain"
TRIAL, DIGEST = "finegrain.trial", "finegrain.result_sha256"
# MLflow's own default keeps a caller for four minutes when the server is gone.
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def open_client(uri: str) -> MlflowClient:
    """A client that gives up soon and is quiet about how it makes its tables."""
    for variable, value in PATIENCE.items():
        os.environ.setdefault(variable, value)
    for part in ("mlflow.store", "mlflow.pyfunc"):
        logging.getLogger(part).setLevel(logging.WARNING)
    follow_moved(uri)
    return MlflowClient(uri)


def open_experiment(client: MlflowClient, artifacts: Path) -> str:
    """The id of EXPERIMENT, made if need be, and restored where it was deleted in MLflow.

    Args:
        client: of MLflow.
        artifacts: folder for artifacts of a new experiment in a local database.
    """
    if found := client.get_experiment_by_name(EXPERIMENT):
        if found.lifecycle_stage != "active":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    location = artifacts.as_uri() if client.tracking_uri.startswith("sqlite:") else None
    return client.create_experiment(EXPERIMENT, artifact_location=location)


def trial_runs(client: MlflowClient, benchmark: str) -> list[Run]:
    """The finished trials of the latest benchmark of that name, none where there is none."""
    parent = latest_run(client, benchmark)
    return finished_trials(client, parent) if parent else []


def latest_run(client: MlflowClient, name: str) -> Run | None:
    """The run of that name that was started last, None where there is none."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return None
    if experiment.lifecycle_stage != "active":
        raise ConfigError(
            f"MLflow's experiment {EXPERIMENT} is deleted, and its runs with it; restore it in "
            "MLflow's page, or record a benchmark again with `finegrain record`"
        )
    quote = '"' if "'" in name else "'"  # MLflow knows no escape: one with both is compared here
    query = "" if quote in name else f"attributes.run_name = {quote}{name}{quote}"
    runs = search_all(client, experiment.experiment_id, query, ["start_time DESC"])
    return next((run for run in runs if run.info.run_name == name), None)


def finished_trials(client: MlflowClient, parent: Run) -> list[Run]:
    """The runs that were recorded below a benchmark's and have a result."""
    below = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent.info.run_id}'"
    finished = f"{below} and attributes.status = 'FINISHED'"
    return search_all(client, str(parent.info.experiment_id), finished)


def search_all(
    client: MlflowClient, experiment: str, query: str, order: Sequence[str] = ()
) -> list[Run]:
    """Every active run that the query finds, over all pages of the answer."""
    found: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment], query, max_results=1000, page_token=token, order_by=[*order]
        )
        found += page
        token = page.token
        if not token:
            return found


class BenchmarkRun:
    """The parent run of a benchmark, and what is already recorded below it.

    MlflowException goes up wherever MLflow can't be reached or refuses.

    Args:
        uri: of the tracking server or database.
        artifacts: folder for artifacts of a new experiment in a local database.
        run_id: of the parent where the benchmark was recorded before; None makes a new one.
    """

    def __init__(self, uri: str, name: str, artifacts: Path, run_id: str | None) -> None:
        self._client = open_client(uri)
        self._experiment = open_experiment(self._client, artifacts)
        self.run_id = run_id if run_id and self._exists(run_id) else self._create(name, {})
        self._recorded = self._children()

    def record(
        self,
        name: str,
        digest: str,
        *,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        artifacts: Sequence[Path],
        failed: bool,
        shots: Sequence[Shot] = (),
    ) -> None:
        """Record a trial's result as a nested run, in place of an older or unfinished one."""
        old = self._recorded.get(name)
        if old and old.data.tags.get(DIGEST) == digest and old.info.status != "RUNNING":
            return
        if old:
            self._client.delete_run(old.info.run_id)
        child = self._create(name, {MLFLOW_PARENT_RUN_ID: self.run_id, TRIAL: name, DIGEST: digest})
        self._log(child, params, metrics, tags, artifacts)
        if shots:
            self._client.log_inputs(child, [_dataset(f"{name} shots", shots)])
        self._client.set_terminated(child, "FAILED" if failed else "FINISHED")
        self._recorded[name] = self._client.get_run(child)

    def finish(
        self,
        *,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        artifacts: Sequence[Path],
        failed: bool,
    ) -> None:
        """Record the benchmark's own summary and end the parent run."""
        self._log(self.run_id, params, metrics, tags, artifacts)
        self._client.set_terminated(self.run_id, "FAILED" if failed else "FINISHED")

    def _exists(self, run_id: str) -> bool:
        try:
            return bool(self._client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        run = self._client.create_run(self._experiment, run_name=name, tags=dict(tags))
        return str(run.info.run_id)

    def _children(self) -> dict[str, Run]:
        """The nested runs by trial name; of two of one trial, as lost answers leave, one stays."""
        below = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{self.run_id}'"
        children: dict[str, Run] = {}
        for run in search_all(self._client, self._experiment, below):
            if name := run.data.tags.get(TRIAL):
                children[name] = self._only_one(run, children.get(name))
        return children

    def _only_one(self, run: Run, other: Run | None) -> Run:
        """Whichever has ended; the other is deleted."""
        if other is None:
            return run
        kept, gone = (run, other) if other.info.status == "RUNNING" else (other, run)
        self._client.delete_run(gone.info.run_id)
        return kept

    def _log(
        self,
        run_id: str,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        artifacts: Sequence[Path],
    ) -> None:
        self._client.log_batch(
            run_id,
            [Metric(_allowed(name), value, 0, 0) for name, value in metrics.items()],
            [Param(_allowed(name), str(value)) for name, value in params.items()],
            [RunTag(name, value) for name, value in tags.items()],
        )
        for path in artifacts:
            if path.is_dir():
                self._client.log_artifacts(run_id, str(path), path.name)
            else:
                self._client.log_artifact(run_id, str(path))


def _dataset(name: str, shots: Sequence[Shot]) -> DatasetInput:
    """The photos of a fit as MLflow's input: places and hashes, and one digest of them all."""
    files = [{"path": str(shot.path), "sha256": shot.sha256} for shot in shots]
    digest = sha256("".join(shot.sha256 for shot in shots).encode()).hexdigest()[:36]
    found = Dataset(name, digest, "local", json.dumps(files), profile=f'{{"images": {len(files)}}}')
    return DatasetInput(found, [InputTag(MLFLOW_DATASET_CONTEXT, "fitting")])


def _allowed(name: str) -> str:
    """The name with _ for what MLflow forbids, such as the + of a variant."""
    return re.sub(r"[^/\w.\- :]", "_", name)
