"""A cluster of several nodes on this machine's loopback, each of them a set of real processes.

Ray's own simulation of a cluster leaves sockets and warnings in its process, so it has one of its
own: `python -m tests.faults.nodes CPUS...` tells the address and the raylets' process ids, and
ends with its standard input.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from finegrain.cluster.head import accepts_jobs, ray_environment


@dataclass(frozen=True)
class Nodes:
    """Where the cluster is, and the process ids of its head and of its nodes' raylets."""

    address: str
    gcs: int
    head: int
    raylets: list[int]


@contextmanager
def cluster(*cpus):
    """A head without CPUs, and a worker node with each of the counts of them."""
    accepts_jobs("http://127.0.0.1:9")  # makes the token where there is none
    scratch = tempfile.mkdtemp(prefix="ray-")  # short: Ray puts sockets in it
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.nodes", *map(str, cpus)],
        env=ray_environment() | {"RAY_TMPDIR": scratch},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield Nodes(**json.loads(process.stdout.readline()))
    finally:
        process.communicate()
        shutil.rmtree(scratch, ignore_errors=True)


def trial_processes(raylet):
    """The processes that run the trials of a node."""
    with suppress(psutil.NoSuchProcess):
        found = psutil.Process(raylet).children(recursive=True)
        return [process for process in found if process.name().startswith("ray::Impl")]
    return []


def fell(raylet):
    """The node loses its power: all of it is killed at once."""
    node = psutil.Process(raylet)
    for process in [node, *node.children(recursive=True)]:
        os.kill(process.pid, signal.SIGKILL)


def head_fell(nodes):
    """The head loses its power."""
    os.kill(nodes.gcs, signal.SIGKILL)
    fell(nodes.head)


def main() -> None:
    from ray.cluster_utils import Cluster

    running = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    nodes = [running.add_node(num_cpus=int(cpus)) for cpus in sys.argv[1:]]
    pid = {node: node.all_processes["raylet"][0].process.pid for node in running.list_all_nodes()}
    told = {
        "address": running.address,
        "gcs": running.head_node.all_processes["gcs_server"][0].process.pid,
        "head": pid[running.head_node],
        "raylets": [pid[node] for node in nodes],
    }
    print(json.dumps(told), flush=True)
    sys.stdin.read()
    running.shutdown()


if __name__ == "__main__":
    main()
