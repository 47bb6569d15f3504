"""A Ray head on this machine: loopback only, token required, stopped by its own process group."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from finegrain.errors import ConfigError
from finegrain.loopback import ENVIRONMENT, free_ports, is_free

START_SECONDS = 90
STOP_SECONDS = 20
TOKEN_FILE = Path.home() / ".ray" / "auth_token"


def ray_environment() -> dict[str, str]:
    """The environment for `ray` commands: ENVIRONMENT, and this Python's scripts first on PATH."""
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join([scripts, os.environ.get("PATH", "")])
    return {**os.environ, **ENVIRONMENT, "PATH": path}


def _token() -> str:
    """The token that Ray looks for, made where there is none: `ray start` does not make one."""
    if token := os.environ.get("RAY_AUTH_TOKEN"):
        return token
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or TOKEN_FILE)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(secrets.token_hex(32))
    return file.read_text().strip()


def accepts_jobs(address: str) -> bool:
    """Whether a head answers there, and to our token."""
    token = _token()
    try:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(f"{address}/api/jobs/", headers=headers, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def local_head(*, log: Path, cpus: int | None = None, dashboard_port: int = 0) -> Iterator[str]:
    """A head started for the block; gives the address that jobs are submitted to.

    Args:
        log: file that takes the head's own output.
        cpus: how many it offers, the machine's by default.
        dashboard_port: 0 takes a free one.

    Raises:
        ConfigError: something listens on the dashboard port already.
    """
    head, dashboard, agent, client = free_ports(4)
    port = dashboard_port or dashboard
    if not is_free(port):
        raise ConfigError(f"port {port} is taken, perhaps by another Ray; choose another")
    scratch = tempfile.mkdtemp(prefix="ray-")  # short: Ray puts sockets in it
    command = [
        *("ray", "start", "--head", "--block"),
        f"--port={head}",
        f"--temp-dir={scratch}",
        f"--dashboard-port={port}",
        f"--dashboard-agent-listen-port={agent}",
        f"--ray-client-server-port={client}",
        *([f"--num-cpus={cpus}"] if cpus else []),
    ]
    _token()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=ray_environment(),
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_up(process, address, log)
            yield address
        finally:
            _stop(process)
            shutil.rmtree(scratch, ignore_errors=True)


def _wait_until_up(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not accepts_jobs(address):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log.read_text().splitlines()[-10:])
            raise RuntimeError(f"Ray did not start at {address}; the end of {log}:\n{tail}")
        time.sleep(0.5)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the head and whatever of its process group outlives it."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
