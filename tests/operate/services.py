"""The components around a plant's server, each a real process on loopback with a folder of its own.

They are the system's packages (`make test-operate` installs them); where one is missing, what needs
it is skipped and says so.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import yaml

from finegrain.loopback import free_ports

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def program(name):
    """Where a program is; the test is skipped where it is not."""
    places = [os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    if found := shutil.which(name, path=os.pathsep.join(places)):
        return found
    pytest.skip(f"{name} is not installed; `make test-operate` says which package has it")


def documents(name):
    """The documents of a manifest, by (kind, name)."""
    found = yaml.safe_load_all((DEPLOY / name).read_text())
    return {(document["kind"], document["metadata"]["name"]): document for document in found}


def wait_for(happened, seconds=60, told=lambda: ""):
    """Until `happened()` is true."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"did not happen in {seconds} s: {told()}"
        time.sleep(0.1)


def answers(port):
    """Whether something listens on the port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Service:
    """A process in its own group that can be killed and started again."""

    def __init__(self, command, log, environment=(), as_user=None):
        self.log = log
        self._command = [str(part) for part in command]
        if as_user and os.getuid() == 0:
            identity = ["setpriv", "--reuid", as_user, "--regid", as_user, "--clear-groups"]
            self._command = [*identity, *self._command]
        self._environment = os.environ | dict(environment)
        self.process = None

    def start(self):
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                self._command, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL,
                start_new_session=True, env=self._environment,
            )  # fmt: skip

    def wait(self, happened, seconds=90):
        wait_for(lambda: self._alive() and happened(), seconds, self.log.read_text)

    def _alive(self):
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        return True

    def stop(self, how=signal.SIGKILL):
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, how)
            self.process.wait(30)


@contextmanager
def running(service, happened):
    """The service for the block, once it is up."""
    service.start()
    try:
        service.wait(happened)
        yield service
    finally:
        service.stop()


class Postgres:
    """PostgreSQL with the user and the database that deploy/postgres.yaml has."""

    def __init__(self, folder, password):
        self.port = free_ports(1)[0]
        [container] = documents("postgres.yaml")["StatefulSet", "postgres"]["spec"]["template"][
            "spec"
        ]["containers"]
        settings = {entry["name"]: entry["value"] for entry in container["env"]}
        self.user, self.database = settings["POSTGRES_USER"], settings["POSTGRES_DB"]
        self.data = folder / "data"
        self.log = folder / "log"
        self.passfile = folder / "pgpass"
        self.passfile.write_text(f"*:*:*:{self.user}:{password}")
        self.passfile.chmod(0o600)
        (folder / "password").write_text(password)
        self._owner = "postgres" if os.getuid() == 0 else None
        if self._owner:
            shutil.chown(folder, "postgres")
            shutil.chown(folder / "password", "postgres")
        for parent in [folder, *folder.parents]:
            if parent.stat().st_uid == os.getuid() and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)  # pytest's folders are for one user
        self._run("initdb", "--pgdata", self.data, "--username", self.user,
                  "--pwfile", folder / "password", "--auth", "scram-sha-256")  # fmt: skip
        self.service = Service(
            [program("postgres"), "-D", self.data, "-p", self.port, "-k", folder,
             "-c", "listen_addresses=127.0.0.1"],
            self.log, as_user=self._owner,
        )  # fmt: skip

    @property
    def uri(self):
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{self.database}"

    @property
    def environment(self):
        return {"PGPASSFILE": str(self.passfile)}

    def up(self):
        command = [program("pg_isready"), "--quiet", "-h", "127.0.0.1", "-p", self.port]
        return subprocess.run(list(map(str, command))).returncode == 0

    def start(self):
        self.service.start()
        self.service.wait(self.up)

    def kill(self):
        """As when the pod is deleted without a word."""
        self.service.stop()

    def sql(self, query, database=None):
        """The answer of psql, a line a row."""
        command = [program("psql"), "--no-psqlrc", "-At", "-h", "127.0.0.1", "-p", self.port,
                   "-U", self.user, "-d", database or self.database, "-c", query]  # fmt: skip
        done = subprocess.run(
            list(map(str, command)), env=os.environ | self.environment,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.split("\n")[:-1]

    def _run(self, name, *arguments):
        command = [program(name), *arguments]
        if self._owner:
            identity = ["setpriv", "--reuid", self._owner, "--regid", self._owner, "--clear-groups"]
            command = [*identity, *command]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@contextmanager
def postgres(folder, password):
    """A database server for the block, with the database made."""
    server = Postgres(folder, password)
    server.start()
    try:
        server.sql(f"create database {server.database}", "postgres")
        yield server
    finally:
        server.kill()


class Mlflow:
    """MLflow by the commands of deploy/mlflow.yaml, with this machine's places in them."""

    def __init__(self, folder, database, secrets):
        self.port, self.folder = free_ports(1)[0], folder
        self.uri = f"http://127.0.0.1:{self.port}"
        self.artifacts = folder / "artifacts"
        config = documents("mlflow.yaml")["ConfigMap", "mlflow"]["data"]
        places = {
            "@postgres/": f"@127.0.0.1:{database.port}/",
            "/secrets": str(secrets),
            "/artifacts": str(self.artifacts),
            "/tmp/pgpass": str(folder / "pgpass"),
            "/etc/mlflow": str(folder),
            "--host 0.0.0.0 --port 5000": f"--host 127.0.0.1 --port {self.port}",
        }
        for name, text in config.items():
            for there, here in places.items():
                text = text.replace(there, here)
            (folder / name).write_text(text)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.service = Service(
            ["sh", folder / "serve"],
            folder / "mlflow.log",
            {
                "PATH": path,
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "MLFLOW_DISABLE_TELEMETRY": "true",
            },
        )

    def up(self):
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.uri}/health", timeout=5).status_code == 200
        return False

    def start(self):
        self.service.start()
        self.service.wait(self.up, 180)

    def kill(self):
        self.service.stop()
