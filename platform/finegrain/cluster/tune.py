"""A run of Ray Tune as a benchmark and a search have it: our files are the state, not Tune's.

Tune schedules, places and restarts; each trainable writes its own results. So what ended is told
by a callback, and Tune's tables, loggers and snapshots are left out.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any, TypeVar, cast

from ray import tune
from ray.tune import Callback, FailureConfig, RunConfig, TuneConfig

from finegrain.cluster.connect import Share, check_fits

Worker = TypeVar("Worker")
Config = dict[str, Any]  # of one of Tune's trials

_workers: dict[tuple[object, str, int], object] = {}


class Endings(Callback):
    """Tells how each of Tune's trials ended.

    Args:
        done: called with its config and what it last reported, where the trainable returned or was
            stopped.
        died: called with its config and its last words, where it raised or its process was killed.
    """

    def __init__(
        self, done: Callable[[Config, Config], None], died: Callable[[Config, str], None]
    ) -> None:
        self._done, self._died = done, died

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune's word that the trainable returned, or was stopped by the scheduler."""
        self._done(trial.config, trial.last_result)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune's word that the trainable raised or its process died, once too often."""
        self._died(trial.config, last_words(trial))

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune's snapshots are never read again."""
        return {}


def run_tune(
    trainable: Callable[[Config], None],
    share: Share,
    endings: Endings,
    plan: TuneConfig,
    *,
    space: Mapping[str, Any] | None = None,
    retries: int = 0,
) -> None:
    """Run Tune to its end, in processes that outlive a trial where `plan` reuses them.

    Args:
        trainable: run in a worker, with a config out of the space.
        share: what each trial gets of the cluster.
        endings: told of each trial.
        plan: which trials, how many, in what order.
        space: name -> value or domain; None where a search algorithm has its own.
        retries: of a trial that died.

    Raises:
        ConfigError: the cluster can never give a trial its share.
    """
    check_fits(share)
    with snapshots() as folder:
        tune.Tuner(
            tune.with_resources(trainable, share.resources),
            param_space=dict(space or {}),
            tune_config=plan,
            run_config=RunConfig(
                name="trials",
                storage_path=folder,
                failure_config=FailureConfig(max_failures=retries),
                callbacks=[endings],
                verbose=0,
            ),
        ).fit()


def process_worker(kind: Callable[[str, int], Worker], device: str, threads: int) -> Worker:
    """This process's own worker, made once: Tune reuses its processes, so it outlives a trial."""
    key = (kind, device, threads)
    if key not in _workers:
        _workers[key] = kind(device, threads)
    return cast("Worker", _workers[key])


def last_line(text: str) -> str:
    """What ended a traceback, empty where there is none."""
    return next(iter(reversed(text.strip().splitlines())), "")


def last_words(trial: Any) -> str:
    """Why one of Tune's trials died, by the driver's own file.

    Tune copies that file to where `get_error` reads only now and then.
    """
    try:
        text = Path(trial.error_file or "").read_text()
    except OSError:
        text = ""
    return shorten(last_line(text) or "its process died", 300)


@contextmanager
def snapshots() -> Iterator[str]:
    """A folder for Tune's snapshots, which nobody reads: what is on disk of ours is the state."""
    folder = tempfile.mkdtemp(prefix="finegrain-tune-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
