"""What the tests share: the secrets as a stranger makes them, a database, and MLflow over it."""

import shutil
import subprocess
import sys

import pytest

from tests.operate.services import DEPLOY, Mlflow, postgres


@pytest.fixture(scope="session")
def secrets(tmp_path_factory):
    """The folder that deploy/secrets.sh fills."""
    folder = tmp_path_factory.mktemp("deploy")
    shutil.copy(DEPLOY / "secrets.sh", folder)
    subprocess.run(["sh", folder / "secrets.sh"], check=True, capture_output=True)
    return folder / "secrets"


@pytest.fixture(scope="session")
def database(secrets, tmp_path_factory):
    password = (secrets / "postgres_password").read_text()
    with postgres(tmp_path_factory.mktemp("postgres"), password) as running:
        yield running


@pytest.fixture(scope="session")
def mlflow_server(database, secrets, tmp_path_factory):
    """MLflow as deploy/mlflow.yaml runs it, with the accounts that it makes."""
    pytest.importorskip("psycopg", reason="of the extra mlflow-server")
    pytest.importorskip("flask_wtf", reason="of the extra mlflow-server")
    server = Mlflow(tmp_path_factory.mktemp("mlflow"), database, secrets)
    server.start()
    try:
        accounts = [sys.executable, DEPLOY / "accounts.py", server.uri, secrets]
        subprocess.run(list(map(str, accounts)), check=True)
        yield server
    finally:
        server.kill()


@pytest.fixture
def account(monkeypatch, secrets):
    """Lets this process be an account of MLflow."""

    def become(name):
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", name)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", (secrets / f"mlflow_{name}").read_text())

    return become
