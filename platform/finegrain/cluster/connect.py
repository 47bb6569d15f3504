"""What every use of Ray Tune here shares: a connection, each trial's share, and quiet."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import ray
from ray.tune import Callback

from finegrain.errors import ConfigError


@dataclass(frozen=True)
class Share:
    """What each trial is given; fractions of a GPU let several trials share one."""

    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.cpus <= 0 or self.gpus < 0:
            raise ConfigError(
                f"a trial needs more than 0 CPUs and at least 0 GPUs; got {self.cpus}, {self.gpus}"
            )

    @property
    def device(self) -> str:
        """Where a trial computes."""
        return "cuda" if self.gpus else "cpu"

    @property
    def threads(self) -> int:
        """How many a trial's process computes with."""
        return max(1, int(self.cpus))

    @property
    def resources(self) -> dict[str, float]:
        """As Tune asks for them."""
        return {"cpu": self.cpus, "gpu": self.gpus}


def connect() -> None:
    """Join the cluster at $RAY_ADDRESS, or start one here, unless that was done before.

    Our line a trial stands for Tune's tables, and our results for its loggers' files.
    """
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    logging.getLogger("ray.tune").setLevel(logging.WARNING)
    logging.getLogger("ray.tune.analysis").setLevel(logging.ERROR)  # misses those files
    if not ray.is_initialized():
        # "local" even where a cluster's address lies in /tmp/ray: that one may be long dead
        ray.init(os.environ.get("RAY_ADDRESS") or "local", log_to_driver=False)


def slots(share: Share) -> int:
    """How many trials the cluster runs at once; 0 where an autoscaler has yet to bring nodes."""
    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    found = there.get("CPU", 0.0) / share.cpus
    return int(min(found, there.get("GPU", 0.0) / share.gpus) if share.gpus else found)


class Unpickled(Callback):
    """A callback that Tune's snapshots leave out: they are never read again."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing."""
        return {}


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
