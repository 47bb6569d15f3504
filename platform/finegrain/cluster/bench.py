"""A benchmark over Ray Tune: every trial that has no valid result on disk is run."""

import errno
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from ray import tune
from ray.exceptions import RayError
from ray.tune import FailureConfig, RunConfig, TuneConfig, TuneError

from finegrain.benchmark.order import in_order
from finegrain.benchmark.plan import Trial, TrialResult, read_result
from finegrain.benchmark.store import trial_directory
from finegrain.benchmark.trial import RESULT, Worker, failed, store
from finegrain.cluster.connect import (
    Share,
    Unpickled,
    connect,
    last_line,
    last_words,
    slots,
    snapshots,
)

SPARE_BYTES = 1 << 20
NO_SPACE = "No space left on device"  # in OSError as in what safetensors raises
ATTEMPTS = 3  # at a trial whose process dies, or raises what is not an InputError


class RunEndedError(Exception):
    """Not every trial was run, and none that is left could be."""


def run_missing(
    trials: Sequence[Trial],
    results: Mapping[str, TrialResult],
    directory: Path,
    share: Share,
    report: Callable[[TrialResult], None],
) -> None:
    """Run each trial without an "ok" result, in the order of order.py; report each as it comes.

    Raises:
        RunEndedError: the cluster is lost; what is on disk stays valid.
    """
    missing = [t for t in trials if t.name not in results or results[t.name].status != "ok"]
    if not missing:
        return
    connect()
    missing = in_order(missing, slots(share) or len(missing), results.values())
    for _ in range(ATTEMPTS):
        try:
            died = _run_round(missing, directory, share, report)
        except (RayError, TuneError, OSError, RuntimeError) as error:
            raise RunEndedError(last_line(str(error)) or type(error).__name__) from error
        missing = [trial for trial in missing if trial.name in died]
        if not missing:
            return
    for trial in missing:
        result = failed(trial, f"failed {ATTEMPTS} times: {died[trial.name]}")
        with suppress(OSError):  # the disk may be full
            store(result, trial_directory(directory, trial))
        report(result)


def _run_round(
    trials: Sequence[Trial], directory: Path, share: Share, report: Callable[[TrialResult], None]
) -> dict[str, str]:
    """Run each trial once; gives the last words of those that died, by name.

    Tune's own retries are off: a process that is killed between two trials fails the next one
    twice, and Tune then gives up whatever is left of its retries.
    """
    reporter = _Reporter(directory, report)
    with snapshots() as folder:
        tune.Tuner(
            tune.with_resources(_trainable, share.resources),
            param_space={
                "trial": tune.grid_search([trial.model_dump(mode="json") for trial in trials]),
                "directory": str(directory),
                "device": share.device,
                "threads": share.threads,
            },
            tune_config=TuneConfig(
                reuse_actors=True, trial_name_creator=_name, trial_dirname_creator=_name
            ),
            run_config=RunConfig(
                name="trials",
                storage_path=folder,
                failure_config=FailureConfig(max_failures=0),
                callbacks=[reporter],
                verbose=0,
            ),
        ).fit()
    return reporter.died


def _name(trial: Any) -> str:
    """What Ray's logs and dashboard call one of its trials."""
    return Trial.model_validate(trial.config["trial"]).name


def _trainable(config: dict[str, Any]) -> None:
    """Runs in a Ray worker; a trial that was finished before its worker died is not run again."""
    trial = Trial.model_validate(config["trial"])
    directory = trial_directory(Path(config["directory"]), trial)
    result = read_result(directory / RESULT, trial)
    if result is None or result.status != "ok":
        try:
            _check_space(config["directory"])  # before anything is computed for nothing
            result = _worker(config["device"], config["threads"]).run(trial, directory)
        except Exception as error:
            if NO_SPACE not in str(error):
                raise
            tune.report({"full": str(error)})  # no other process would do better
            return
    tune.report({"status": result.status})


def _check_space(directory: str) -> None:
    if shutil.disk_usage(directory).free < SPARE_BYTES:
        raise OSError(errno.ENOSPC, NO_SPACE, directory)


@cache
def _worker(device: str, threads: int) -> Worker:
    """The process's own: it outlives a trial, since Tune reuses its processes."""
    return Worker(device, threads)


class _Reporter(Unpickled):
    """Hands every result on, and keeps the last words of trials that never came to write one."""

    def __init__(self, directory: Path, report: Callable[[TrialResult], None]) -> None:
        self.died: dict[str, str] = {}
        self._directory = directory
        self._report = report

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune's word that the trainable returned."""
        ours = Trial.model_validate(trial.config["trial"])
        result = read_result(trial_directory(self._directory, ours) / RESULT, ours)
        unseen = "its result.json is not to be seen here: is --output on storage all nodes share?"
        full = trial.last_result.get("full")
        self._report(failed(ours, full) if full else result or failed(ours, unseen))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune's word that the trainable raised, or its process died."""
        ours = Trial.model_validate(trial.config["trial"])
        self.died[ours.name] = last_words(trial)
