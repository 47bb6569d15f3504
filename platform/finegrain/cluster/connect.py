"""A connection to Ray, quietly, and each trial's share of the cluster."""

import logging
import os
from dataclasses import dataclass

import ray

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
