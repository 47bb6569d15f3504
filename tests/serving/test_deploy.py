"""`serve build` and `serve deploy` with the shipped YAML, on a cluster that was started before."""

import time
import warnings
from pathlib import Path

import httpx
import yaml
from click.testing import CliRunner

from finegrain.cluster.head import local_head
from finegrain.loopback import free_ports
from tests.serving.champions import PIXELS
from tests.serving.conftest import Champions

ROOT = Path(__file__).parents[2]


def serve(*arguments):
    """What the command `serve` prints, run here: a process of its own imports for seconds."""
    with warnings.catch_warnings():  # Ray's own classes are of an older pydantic
        warnings.simplefilter("ignore", DeprecationWarning)
        from ray.serve.scripts import cli

        done = CliRunner().invoke(cli, list(map(str, arguments)))
    assert done.exit_code == 0, done.output + str(done.exception)
    return done.stdout


def test_the_yaml_deploys_on_a_cluster_that_has_the_package_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # from where the head can't see serve_apps
    champions = Champions(tmp_path / "champions", ["pcb"])
    [port] = free_ports(1)
    built = tmp_path / "built.yaml"
    with local_head(log=tmp_path / "head.log", cpus=2) as address:
        serve("build", "--app-dir", ROOT, "serve_apps.scoring:app", "-o", built)
        assert "Encoder" in built.read_text()

        config = yaml.safe_load((ROOT / "serve_apps" / "scoring.yaml").read_text())
        assert config["http_options"]["host"] == "127.0.0.1"
        config["http_options"]["port"] = port
        [application] = config["applications"]
        assert application["import_path"] == "finegrain.serving.app:build"
        application["args"] |= {
            "tracking_uri": champions.uri,
            "cache": str(tmp_path / "cache"),
        }
        path = tmp_path / "scoring.yaml"
        path.write_text(yaml.safe_dump(config))
        serve("deploy", path, "--address", address)
        server = f"http://127.0.0.1:{port}"
        _wait_until_ready(server, address)
        url = f"{server}/v1/categories/factory/pcb/score"
        answer = httpx.post(url, content=PIXELS, timeout=60)
        assert answer.json()["checkpoint"]["model"] == "finegrain-factory-pcb"
        assert _status(address)["status"] == "RUNNING"


def _wait_until_ready(server, address, seconds=120):
    """Ask the server itself: `serve status` takes seconds, which the replicas need to start."""
    deadline = time.monotonic() + seconds
    while not _answers(f"{server}/readyz"):
        assert time.monotonic() < deadline, _status(address)
        time.sleep(0.5)


def _answers(url):
    try:
        return httpx.get(url, timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def _status(address):
    return yaml.safe_load(serve("status", "--address", address))["applications"]["scoring"]
