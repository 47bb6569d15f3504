"""From results on disk to runs in MLflow, while the benchmark runs or after."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import fmean

from finegrain.benchmark.plan import Benchmark, Trial, TrialResult
from finegrain.benchmark.report import rows_of
from finegrain.benchmark.store import MLFLOW, trial_directory
from finegrain.benchmark.trial import CHECKPOINT, HEATMAPS, environment
from finegrain.checkpoint import count_values
from finegrain.errors import CheckpointError, first_line
from finegrain.evaluation.metrics import Scores
from finegrain.files import write_json
from finegrain.tables import means
from finegrain.tracking import BenchmarkRun

QUIET_SECONDS = 30.0  # after a failure nothing is tried, so that no attempt follows on another


def open_run(directory: Path, uri: str, run_id: str | None = None) -> BenchmarkRun:
    """The parent run of what lies in a directory: the one that mlflow.json there names, or new.

    Args:
        directory: of a benchmark or a search.
        uri: of MLflow.
        run_id: of the parent, where mlflow.json does not know it.
    """
    path = directory / MLFLOW
    known = json.loads(path.read_text()) if path.is_file() else {}
    before = known.get("run_id") if known.get("tracking_uri") == uri else run_id
    run = BenchmarkRun(uri, directory.name, directory.parent / "mlflow-artifacts", before)
    if before != run.run_id or not known:
        write_json(path, {"tracking_uri": uri, "run_id": run.run_id})
    return run


class Recorder:
    """Records results one after the other, in a thread of its own.

    A failure is told once and never ends the benchmark: the results are on disk. After a quiet
    time recording is tried again with the results that come then, and at the end with all that is
    missing; if that fails too, `finegrain record` records them when MLflow is back.
    """

    def __init__(
        self, benchmark: Benchmark, directory: Path, uri: str, tell: Callable[[str], None]
    ) -> None:
        self._benchmark = benchmark
        self._directory = directory
        self._uri = uri
        self._tell = tell
        self._run: BenchmarkRun | None = None  # None: to be opened, for the first time or anew
        self._run_id: str | None = None
        self._quiet_until = 0.0
        self._told = False
        self.failed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mlflow")
        self._thread.submit(self._try, self._open)

    def record(self, result: TrialResult) -> None:
        """Record one result soon; returns at once."""
        self._thread.submit(self._try, partial(self._record, result))

    def finish(self, trials: Sequence[Trial], results: Mapping[str, TrialResult]) -> None:
        """Record whatever was not yet, then the summary, and wait for it."""
        self._thread.submit(self._finish, trials, results)
        self._thread.shutdown(wait=True)

    def _try(self, step: Callable[[], object]) -> None:
        if time.monotonic() < self._quiet_until:
            return
        try:
            step()
        except Exception as error:  # whatever MLflow raises, the benchmark must go on
            self._run = None  # what it knew of MLflow may be wrong: an answer can be lost
            self._quiet_until = time.monotonic() + QUIET_SECONDS
            if not self._told:
                self._tell(
                    f"MLflow at {self._uri} failed: {first_line(error)}. The benchmark goes on, "
                    "and what is missing there is recorded at its end"
                )
            self._told = True

    def _finish(self, trials: Sequence[Trial], results: Mapping[str, TrialResult]) -> None:
        try:
            self._run = None  # reads again what MLflow has
            for result in results.values():
                self._record(result)
            self._summarize(trials, results)
        except Exception as error:
            self.failed = True
            self._tell(
                f"MLflow at {self._uri} failed: {first_line(error)}. The results are safe in "
                f"{self._directory}; record them later with "
                f"`finegrain record {self._directory}`"
            )
        else:
            if self._told:
                self._tell(f"MLflow at {self._uri} answers again, and has all {len(results)}")

    def _open(self) -> BenchmarkRun:
        if self._run is None:
            self._run = open_run(self._directory, self._uri, self._run_id)
            self._run_id = self._run.run_id
        return self._run

    def _record(self, result: TrialResult) -> None:
        trial = result.trial
        directory = trial_directory(self._directory, trial)
        metrics = _metrics(result)
        if result.status == "ok":
            metrics |= _values(directory / CHECKPOINT)
        params = trial.model_dump(
            include={"dataset", "category", "method", "shots", "seed", "backbone", "weights"}
        )
        options = _flat(trial.method, trial.options)
        shots = {f"shot_{i}_sha256": shot.sha256 for i, shot in enumerate(result.support)}
        error = {"error": result.error} if result.error else {}
        notes = {"notes": "\n".join(result.notes)} if result.notes else {}
        self._open().record(
            trial.name,
            hashlib.sha256(result.model_dump_json().encode()).hexdigest(),
            params=params | options,
            metrics=metrics,
            tags=result.environment
            | {"data_fingerprint": trial.data_fingerprint, "config_hash": result.config_hash}
            | shots
            | notes
            | error,
            artifacts=[p for p in (directory / CHECKPOINT, directory / HEATMAPS) if p.exists()]
            if result.status == "ok"
            else [],
            failed=result.status == "failed",
            shots=result.support,
        )

    def _summarize(self, trials: Sequence[Trial], results: Mapping[str, TrialResult]) -> None:
        complete = all(t.name in results and results[t.name].status == "ok" for t in trials)
        written = ["benchmark.json", "results.csv", "table.md"]
        sheets = sorted(self._directory.glob("heatmaps_*.png"))
        self._open().finish(
            params=self._benchmark.model_dump(mode="json", exclude={"captions"}),
            metrics=_summary_metrics(trials, results),
            tags=environment("cpu"),
            artifacts=[self._directory / name for name in written] + sheets,
            failed=not complete,
        )


def _metrics(result: TrialResult) -> dict[str, float]:
    """Its timings, and its scores and shares in percent, as far as it has them."""
    timings = {name: getattr(result, name) for name in ("fit_seconds", "score_ms", "encode_ms")}
    alarms = {name: getattr(result, name) for name in ("false_alarms", "detected")}
    shares = asdict(result.scores) | alarms
    found = timings | {name: 100 * share for name, share in shares.items() if share is not None}
    return {name: float(value) for name, value in found.items() if value is not None}


def _flat(name: str, value: object) -> dict[str, object]:
    """Nested options by their dotted names; a caption, too long for a parameter, by its hash."""
    if name.endswith(".caption"):
        return {f"{name}_sha256": hashlib.sha256(json.dumps(value).encode()).hexdigest()}
    if not isinstance(value, Mapping):
        return {name: value}
    return {k: v for key, inner in value.items() for k, v in _flat(f"{name}.{key}", inner).items()}


def _values(checkpoint: Path) -> dict[str, int]:
    """The count of a checkpoint's numbers, nothing where it is gone or damaged."""
    try:
        return {"values": count_values(checkpoint)}
    except CheckpointError:
        return {}


def _summary_metrics(
    trials: Sequence[Trial], results: Mapping[str, TrialResult]
) -> dict[str, float]:
    """Means over categories and seeds, named METHOD_SHOTSshot_METRIC."""
    rows = rows_of(trials, results)
    found = {}
    for method, shots in sorted({(row.method, row.shots) for row in rows}):
        group = [row for row in rows if (row.method, row.shots) == (method, shots)]
        for metric in Scores.names():
            if values := means(group, metric):
                found[f"{method}_{shots}shot_{metric}"] = fmean(values)
    return found
