"""A connection to Ray, quietly, and each trial's share of the cluster."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

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
        if self.gpus > 1 and self.gpus % 1:
            raise ConfigError(
                "a trial has a fraction of one GPU, or whole ones; got --gpus-per-trial "
                f"{self.gpus:g}"
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


def check_fits(share: Share) -> None:
    """ConfigError where no node of a cluster that can't grow has what a trial asks for.

    Ray would wait for such a node for ever.
    """
    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    most = {"CPU": there.get("CPU", 0.0), "GPU": there.get("GPU", 0.0)}
    fits = share.cpus <= most["CPU"] and share.gpus <= most["GPU"]
    if fits and (share.cpus > 1 or share.gpus):  # of all nodes; but a trial runs on one
        fits = any(
            share.cpus <= node["Resources"].get("CPU", 0)
            and share.gpus <= node["Resources"].get("GPU", 0)
            for node in ray.nodes()  # type: ignore[no-untyped-call]
            if node["Alive"]
        )
    if not fits and not _may_grow():
        raise ConfigError(
            f"a trial asks for {share.cpus:g} CPUs and {share.gpus:g} GPUs, which no node has; the "
            f"whole cluster has {most['CPU']:g} CPUs and {most['GPU']:g} GPUs. "
            "Lower --cpus-per-trial or --gpus-per-trial, or join a cluster that has more"
        )


def _may_grow() -> bool:
    """Whether an autoscaler may bring nodes: of `ray up`, of KubeRay, or one that Ray knows of."""
    if Path("~/ray_bootstrap_config.yaml").expanduser().exists():
        return True
    known = ray._private.state.state.get_max_resources_from_cluster_config()
    return known is not None or "KUBERAY_GEN_RAY_START_CMD" in os.environ


def slots(share: Share) -> int:
    """How many trials the cluster runs at once; 0 where an autoscaler has yet to bring nodes."""
    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    found = there.get("CPU", 0.0) / share.cpus
    return int(min(found, there.get("GPU", 0.0) / share.gpus) if share.gpus else found)
