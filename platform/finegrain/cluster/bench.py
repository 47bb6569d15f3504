"""A benchmark over Ray Tune: every trial that has no valid result on disk is run."""

import errno
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray import tune
from ray.exceptions import RayError
from ray.tune import TuneConfig, TuneError

from finegrain.benchmark.order import in_order
from finegrain.benchmark.plan import Trial, TrialResult, read_result
from finegrain.benchmark.store import trial_directory
from finegrain.benchmark.trial import RESULT, Worker, failed, store
from finegrain.cluster.connect import Share, connect, slots
from finegrain.cluster.tune import Config, Endings, last_line, process_worker, run_tune

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
    died: dict[str, str] = {}

    def done(config: Config, last: Config) -> None:
        report(_outcome(_trial(config), directory, last.get("full")))

    def dies(config: Config, words: str) -> None:
        died[_trial(config).name] = words

    run_tune(
        _trainable,
        share,
        Endings(done, dies),
        TuneConfig(reuse_actors=True, trial_name_creator=_name, trial_dirname_creator=_name),
        space={
            "trial": tune.grid_search([trial.model_dump(mode="json") for trial in trials]),
            "directory": str(directory),
            "device": share.device,
            "threads": share.threads,
        },
    )
    return died


def _trial(config: Config) -> Trial:
    return Trial.model_validate(config["trial"])


def _outcome(trial: Trial, directory: Path, full: str | None) -> TrialResult:
    """What is on disk of a trial that returned, or why there is nothing."""
    if full:
        return failed(trial, full)
    unseen = "its result.json is not to be seen here: is --output on storage all nodes share?"
    return read_result(trial_directory(directory, trial) / RESULT, trial) or failed(trial, unseen)


def _name(trial: Any) -> str:
    """What Ray's logs and dashboard call one of its trials."""
    return _trial(trial.config).name


def _trainable(config: Config) -> None:
    """Runs in a Ray worker; a trial that was finished before its worker died is not run again."""
    trial = _trial(config)
    directory = trial_directory(Path(config["directory"]), trial)
    result = read_result(directory / RESULT, trial)
    if result is None or result.status != "ok":
        try:
            _check_space(config["directory"])  # before anything is computed for nothing
            worker = process_worker(Worker, config["device"], config["threads"])
            result = worker.run(trial, directory)
        except Exception as error:
            if NO_SPACE not in str(error):
                raise
            tune.report({"full": str(error)})  # no other process would do better
            return
    tune.report({"status": result.status})


def _check_space(directory: str) -> None:
    if shutil.disk_usage(directory).free < SPARE_BYTES:
        raise OSError(errno.ENOSPC, NO_SPACE, directory)
