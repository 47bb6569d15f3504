"""A tracking server of its own on loopback, for what is to be tried on a real one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import httpx

from finegrain.loopback import free_ports


class MlflowServer:
    """A server that can be killed and started again, with database, artifacts and log in a folder.

    `uri` is where it listens once it is started.

    Args:
        folder: gets them.
        options: of `mlflow server`, beside ours.
        environment: of the server, beside this process's.
    """

    def __init__(
        self,
        folder: Path,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        [port] = free_ports(1)
        self.uri = f"http://127.0.0.1:{port}"
        self._log = folder / "mlflow.log"
        self._command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
            *("--port", str(port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
            *("--artifacts-destination", str(folder / "artifacts")),
            *options,
        ]
        self._environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | dict(
            environment or {}
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns at once."""
        with self._log.open("ab") as stream:
            self._process = subprocess.Popen(
                self._command,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                env=os.environ | self._environment,
            )

    def wait(self, seconds: float = 90) -> None:
        """Until it answers; RuntimeError with its log if it does not."""
        deadline = time.monotonic() + seconds
        while self._process and self._process.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.uri}/health").status_code == 200:
                    return
            time.sleep(0.2)
        raise RuntimeError(f"no MLflow server at {self.uri}:\n{self._log.read_text()[-2000:]}")

    def kill(self) -> None:
        """End it and all its processes, at once."""
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
