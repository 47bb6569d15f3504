"""The application on this machine's loopback, for laptops, tests and measurements."""

import atexit
import logging
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finegrain.errors import ConfigError
from finegrain.loopback import ENVIRONMENT, free_ports, is_free
from finegrain.serving.config import ServingConfig

LEAN = {
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",  # one loop a replica; what computes has its own threads
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(2**31 - 1),  # of 4 MiB, no large image came
    "RAY_SERVE_ENABLE_DIRECT_INGRESS": "0",  # it would open a port for every ingress replica
    "RAY_worker_niceness": "0",  # the 15 of batch work would put answers behind everything else
}


@contextmanager
def served(config: ServingConfig, *, port: int = 0, nodes: int = 1) -> Iterator[str]:
    """A Ray of its own with the application for the block; gives the address.

    Args:
        config: of the application.
        port: of HTTP; 0 takes a free one.
        nodes: above 1, a simulated cluster of that many with one CPU each.

    Raises:
        ConfigError: the port is taken.
    """
    if port and not is_free(port):
        raise ConfigError(f"port {port} is taken; choose another with --port")
    port = port or free_ports(1)[0]
    os.environ.update(ENVIRONMENT | LEAN)  # Ray reads them when it is imported
    import ray
    from ray import serve

    from finegrain.serving.app import build

    # "local" even where another cluster's address lies in /tmp/ray
    address = _simulated_cluster(nodes) if nodes > 1 else "local"
    # an enrolment has its place however many encoders there are
    needed = math.ceil(config.encoder_max_replicas * config.encoder_cpus + config.enrol_cpus)
    cpus = None if nodes > 1 else max(needed, os.cpu_count() or 1)
    ray.init(address, num_cpus=cpus, logging_level=logging.WARNING)
    try:
        serve.start(
            http_options={"host": "127.0.0.1", "port": port, "location": "HeadOnly"},
            logging_config={"enable_access_log": False},
        )
        serve.run(build(config), name="scoring", route_prefix="/")
        yield f"http://127.0.0.1:{port}"
    finally:
        serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()


def _simulated_cluster(nodes: int) -> str:
    """Nodes of one CPU each on this machine; they end with the driver's `ray.shutdown`."""
    from ray.cluster_utils import Cluster

    (Path(tempfile.gettempdir()) / "ray").mkdir(exist_ok=True)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    for _ in range(nodes - 1):
        cluster.add_node(num_cpus=1)
    atexit.register(cluster.shutdown)
    return str(cluster.address)
