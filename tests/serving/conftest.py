"""One real server for all tests of this folder that ask for it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from finegrain.loopback import free_ports
from finegrain.tracking import Registry
from tests.conftest import bundled
from tests.databases import new_database
from tests.serving.champions import CATEGORIES, fitted, logged

ROOT = Path(__file__).parents[2]


class Champions:
    """A registry with a champion for each of the categories, and the detectors behind them."""

    def __init__(self, folder: Path, categories=CATEGORIES):
        self.folder = folder
        self.uri = new_database(folder)
        self.detectors = {}
        self.registry = Registry(self.uri)
        for category in categories:
            detector, thresholds = self.detectors[category] = fitted(bundled(), category)
            self.registry.promote(logged(self.uri, folder, detector, thresholds, category))


@pytest.fixture(scope="session")
def champions(tmp_path_factory):
    return Champions(tmp_path_factory.mktemp("champions"))


class Server:
    """`page` is the address for a browser, with the key."""

    def __init__(self, process, address, log):
        self.process, self.address, self.log = process, address, log
        self.page = log.read_text().partition("Inspector: ")[2].split()[0]


@pytest.fixture(scope="session")
def server(champions, tmp_path_factory):
    """`jobs/serve.py` as a process of its own on a free port."""
    folder = tmp_path_factory.mktemp("server")
    [port] = free_ports(1)
    options = ["poll_seconds=0.5", f"cache={folder / 'cache'}", "request_timeout_s=90"]
    command = [sys.executable, "jobs/serve.py", "--port", str(port), "--set", *options]
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*command, "--tracking-uri", champions.uri],
            cwd=ROOT,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"PYTHONWARNINGS": "default"},
        )
    try:
        deadline = time.monotonic() + 180
        while "Inspector:" not in log.read_text():
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.5)
        yield Server(process, f"http://127.0.0.1:{port}", log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def http(server):
    with httpx.Client(base_url=server.address, timeout=60) as client:
        yield client
