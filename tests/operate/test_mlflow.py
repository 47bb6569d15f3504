"""MLflow as deploy/mlflow.yaml runs it: its host check, its accounts, PostgreSQL below it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from mlflow.exceptions import MlflowException

from finegrain.tracking import Registry
from finegrain.tracking.backup import back_up, restore
from finegrain.tracking.remembered import RememberedRegistry
from tests.benchmarks import (
    FULL,
    check_recorded_once,
    grid,
    recorded,
    run_here,
)
from tests.conftest import write_category
from tests.databases import new_database
from tests.operate.services import Mlflow, documents, postgres, program, wait_for

pytestmark = pytest.mark.operate
RECORDERS = 4


def ask(server, host, **options):
    url = f"{server.uri}/api/2.0/mlflow/experiments/search?max_results=1"
    return httpx.get(url, headers={"Host": host}, timeout=30, **options)


def test_the_services_own_name_is_answered_and_a_foreign_one_is_not(mlflow_server, secrets):
    admin = {"auth": ("admin", (secrets / "mlflow_admin").read_text())}
    settings = documents("shared.yaml")["ConfigMap", "finegrain"]["data"]
    service = settings["MLFLOW_TRACKING_URI"].removeprefix("http://")
    for host in (service, "mlflow.finegrain.svc:5000", "localhost:15000"):
        assert ask(mlflow_server, host, **admin).status_code == 200, host
    refused = ask(mlflow_server, "mlflow.evil.example:5000", **admin)
    assert (refused.status_code, "Invalid Host" in refused.text) == (403, True)
    probe = httpx.get(f"{mlflow_server.uri}/health", headers={"Host": "10.1.2.3:5000"})
    assert probe.status_code == 200


def test_nobody_is_answered_without_an_account(mlflow_server):
    assert ask(mlflow_server, "mlflow:5000").status_code == 401
    wrong = ("admin", "password1234")
    assert ask(mlflow_server, "mlflow:5000", auth=wrong).status_code == 401


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory):
    """The same benchmark on disk once for each recorder, recorded nowhere that matters."""
    root = tmp_path_factory.mktemp("runs")
    data = write_category(tmp_path_factory.mktemp("data"), "plate_a", seed=1)
    first = root / "recorder-0"
    new_database(root)
    with pytest.MonkeyPatch.context() as patched:
        assert run_here(patched, FULL, *grid(data, first, seeds=(0, 1))) == 0
    (first / "mlflow.json").unlink()
    others = [root / f"recorder-{i}" for i in range(1, RECORDERS)]
    return [first, *(shutil.copytree(first, other) for other in others)]


class Recording:
    """`finegrain record` of a benchmark in a process of its own."""

    def __init__(self, directory, server):
        self._log = directory.with_suffix(".log")
        command = [sys.executable, "-m", "finegrain.cli", "record", directory]
        with self._log.open("wb") as stream:
            self._process = subprocess.Popen(
                [*map(str, command), "--tracking-uri", server.uri], stdout=stream, stderr=stream
            )

    def end(self, seconds=240):
        """The exit status and what was told."""
        return self._process.wait(seconds), self._log.read_text()


def runs_in(database):
    return int(database.sql("select count(*) from runs")[0])


def test_four_record_at_once_while_the_database_falls(mlflow_server, database, benchmarks, account):
    account("recorder")
    before = runs_in(database)
    recorders = [Recording(directory, mlflow_server) for directory in benchmarks]
    wait_for(lambda: runs_in(database) >= before + 6, 120)
    database.kill()
    database.start()
    for directory, recorder in zip(benchmarks, recorders, strict=True):
        status, told = recorder.end()
        if status:
            assert f"record them later with `finegrain record {directory}`" in told
            assert Recording(directory, mlflow_server).end()[0] == 0
    for directory in benchmarks:
        check_recorded_once(directory)


@pytest.fixture
def a_run(mlflow_server, benchmarks, account):
    """A recorded run with a checkpoint."""
    account("recorder")
    status, told = Recording(benchmarks[0], mlflow_server).end()
    assert status == 0, told
    return recorded(benchmarks[0])[1][0].info.run_id


def test_a_reader_reads_champions_and_moves_none(mlflow_server, a_run, account, tmp_path):
    promoted = Registry(mlflow_server.uri).promote(a_run)
    account("reader")
    registry = Registry(mlflow_server.uri)
    assert registry.champions() == {promoted.key: promoted}
    assert (registry.fetch(promoted, promoted.version, tmp_path) / "config.json").is_file()
    for forbidden in (
        lambda: registry.promote(a_run),
        lambda: registry.withdraw(promoted.dataset, promoted.category),
    ):
        with pytest.raises(MlflowException, match=r"403|[Pp]ermission"):
            forbidden()
    assert registry.champions() == {promoted.key: promoted}


def test_a_server_that_restarts_while_mlflow_is_away_has_its_champions(
    mlflow_server, a_run, account, tmp_path
):
    promoted = Registry(mlflow_server.uri).promote(a_run)
    account("reader")
    before = RememberedRegistry(mlflow_server.uri, tmp_path)
    assert before.champions() == {promoted.key: promoted}
    folder = before.fetch(promoted, promoted.version, tmp_path)
    mlflow_server.kill()
    try:
        restarted = RememberedRegistry(mlflow_server.uri, tmp_path)
        assert restarted.champions() == {promoted.key: promoted}
        assert restarted.champion(promoted.dataset, promoted.category) == promoted
        assert restarted.fetch(promoted, promoted.version, tmp_path) == folder
        assert (folder / "config.json").is_file()
        with pytest.raises(MlflowException):
            RememberedRegistry(mlflow_server.uri, tmp_path / "empty").champions()
    finally:
        mlflow_server.start()
    account("recorder")
    Registry(mlflow_server.uri).withdraw(promoted.dataset, promoted.category)
    assert restarted.champions() == {}  # what MLflow says replaces what was kept
    assert restarted.champion(promoted.dataset, promoted.category) is None


def test_a_lost_database_and_its_artifacts_come_back(
    mlflow_server, database, a_run, secrets, account, monkeypatch, tmp_path
):
    """The drill of deploy/README.md: all is lost but the backup."""
    promoted = Registry(mlflow_server.uri).promote(a_run)
    clients = Path(program("pg_dump")).parent
    monkeypatch.setenv("PATH", f"{clients}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PGPASSFILE", str(database.passfile))
    made = back_up(database.uri, mlflow_server.artifacts, tmp_path / "backups")
    told = sorted(database.sql("select key, value from latest_metrics"))
    password = (secrets / "postgres_password").read_text()
    folder = tmp_path / "other"
    folder.mkdir()
    with postgres(folder, password) as other:
        monkeypatch.setenv("PGPASSFILE", str(other.passfile))
        server = Mlflow(folder, other, secrets)
        restore(made, other.uri, server.artifacts)
        assert sorted(other.sql("select key, value from latest_metrics")) == told
        server.start()
        try:
            account("reader")  # accounts came back as well
            registry = Registry(server.uri)
            assert registry.champions() == {promoted.key: promoted}
            assert (registry.fetch(promoted, promoted.version, tmp_path) / "config.json").is_file()
        finally:
            server.kill()
        with pytest.raises(ValueError, match="is not empty; restore into"):
            restore(made, other.uri, tmp_path / "elsewhere")
