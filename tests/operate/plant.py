"""A head and a worker on machines of their own: network namespaces behind a bridge, with Redis.

Ray runs here as in deploy/rayservice.yaml: the head without CPUs, a token, metrics on port 8080,
what the head knows in Redis. It needs root, and is skipped without.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import yaml

from finegrain.cluster.head import ray_environment
from tests.operate.services import DEPLOY, Service, program, running

NETWORK = "10.77.3"
BRIDGE, HEAD, WORKER = (f"{NETWORK}.{i}" for i in (1, 2, 3))
KEY = "a-key-of-the-plant"
TOKEN = "0123456789abcdef" * 4


def ip(*arguments):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr)


@contextmanager
def network(*addresses):
    """A namespace named `finegrain-ADDRESS` for each; skips where none can be made."""
    if os.getuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    try:
        ip("link", "add", "fg-bridge", "type", "bridge")
    except OSError as error:
        pytest.skip(f"no network namespaces here: {error}")
    try:
        ip("addr", "add", f"{BRIDGE}/24", "dev", "fg-bridge")
        ip("link", "set", "fg-bridge", "up")
        for number, address in enumerate(addresses):
            name, link = f"finegrain-{address}", f"fg-veth{number}"
            ip("netns", "add", name)
            ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", link, "master", "fg-bridge", "up")
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                ip("-n", name, "link", "set", device, "up")
        yield
    finally:
        for number, address in enumerate(addresses):
            with suppress(OSError):
                ip("link", "del", f"fg-veth{number}")  # a namespace takes its end only later
            with suppress(OSError):
                ip("netns", "del", f"finegrain-{address}")
        ip("link", "del", "fg-bridge")


class Node(Service):
    """Ray in a namespace; it falls with all that runs there, as a pod does."""

    def __init__(self, address, log, environment, options):
        self._namespace = f"finegrain-{address}"
        alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        inside = ["ip", "netns", "exec", self._namespace, *alone]
        command = [*inside, "ray", "start", f"--node-ip-address={address}", *options]
        super().__init__(command, log, environment)

    def stop(self, how=signal.SIGKILL):
        listed = subprocess.run(
            ["ip", "netns", "pids", self._namespace], capture_output=True, text=True
        )
        for pid in map(int, listed.stdout.split()):
            with suppress(ProcessLookupError):
                os.kill(pid, how)
        super().stop(how)


class Plant:
    """The two nodes, and the application of deploy/rayservice.yaml on them."""

    def __init__(self, folder, uri, redis_port):
        service = next(yaml.safe_load_all((DEPLOY / "rayservice.yaml").read_text()))["spec"]
        self.config = yaml.safe_load(service["serveConfigV2"])
        [application] = self.config["applications"]
        application["args"] |= {
            "encoder_gpus": 0, "encoder_max_replicas": 1, "cache": str(folder / "cache"),
            "tracking_uri": uri,
        }  # fmt: skip
        cluster = service["rayClusterConfig"]
        [container] = cluster["headGroupSpec"]["template"]["spec"]["containers"]
        settings = {v["name"]: v["value"] for v in container["env"] if "KEYS" not in v["name"]}
        environment = ray_environment() | settings | {
            "FINEGRAIN_API_KEY": KEY, "RAY_AUTH_TOKEN": TOKEN, "OMP_NUM_THREADS": "1",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",  # nodes may join
        }  # fmt: skip
        self.scratch = tempfile.mkdtemp(prefix="ray-")  # short: Ray puts sockets in it
        common = ["--block", "--metrics-export-port=8080", "--object-store-memory=200000000"]
        [group] = cluster["workerGroupSpecs"]
        resources = group["rayStartParams"]["resources"].strip('"').replace("\\", "")
        self.head = Node(
            HEAD, folder / "head.log",
            environment | {
                "RAY_REDIS_ADDRESS": f"{BRIDGE}:{redis_port}",
                "RAY_external_storage_namespace": "plant",
            },
            ["--head", "--port=6379", "--num-cpus=0", "--dashboard-host=0.0.0.0",
             "--redis-password=secret", f"--temp-dir={self.scratch}", *common],
        )  # fmt: skip
        self.worker = Node(
            WORKER, folder / "worker.log",
            environment | {"RAY_gcs_rpc_server_reconnect_timeout_s": "600"},
            [f"--address={HEAD}:6379", "--num-cpus=3", f"--resources={resources}", *common],
        )  # fmt: skip

    def dashboard(self, method, path, **options):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx.request(
            method, f"http://{HEAD}:8265{path}", headers=headers, timeout=30, **options
        )

    def answers(self):
        with suppress(httpx.TransportError):
            return self.dashboard("GET", "/api/version").status_code == 200
        return False

    def score(self, category, image, **headers):
        url = f"http://{WORKER}:8000/v1/categories/{category}/score"
        given = {"X-API-Key": KEY, "Content-Type": "image/png"} | headers
        return httpx.post(url, content=image, headers=given, timeout=60)

    def logs(self):
        return sorted(Path(self.scratch).glob("session_2*/logs/serve/*.log"))


@contextmanager
def plant(folder, uri, category, image):
    """The plant for the block, once it scores."""
    redis = Service(
        [program("redis-server"), "--bind", BRIDGE, "--port", 6399, "--requirepass", "secret",
         "--dir", folder, "--appendonly", "yes"],
        folder / "redis.log",
    )  # fmt: skip
    with network(HEAD, WORKER), running(redis, lambda: "Ready to accept" in redis.log.read_text()):
        made = Plant(folder, uri, 6399)
        try:
            made.head.start()
            made.head.wait(made.answers, 120)
            made.worker.start()
            asked = made.dashboard("PUT", "/api/serve/applications/", json=made.config)
            assert asked.status_code == 200, asked.text

            def scores():
                with suppress(httpx.TransportError):
                    return made.score(category, image).status_code == 200
                return False

            made.worker.wait(scores, 240)
            yield made
        finally:
            made.worker.stop()
            made.head.stop()
            shutil.rmtree(made.scratch, ignore_errors=True)
