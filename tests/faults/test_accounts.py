"""MLflow with accounts of its own: who serves reads, and only who promotes can change anything."""

import httpx
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from finegrain.checkpoint import read_config
from finegrain.tracking import Registry
from finegrain.tracking.audit import changes
from finegrain.tracking.server import MlflowServer
from tests.tracking.test_registry import Place

pytest.importorskip("flask_wtf", reason="MLflow's accounts need it: pip install 'mlflow[auth]'")
pytestmark = pytest.mark.faults
ADMIN, PROMOTER, READER = ("admin", "admin-password"), ("promoter", "p" * 12), ("serving", "s" * 12)


@pytest.fixture
def become(monkeypatch):
    def become(account):
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", account[0])
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", account[1])

    return become


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/auth.db\n"
        f"admin_username = {ADMIN[0]}\nadmin_password = {ADMIN[1]}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    secrets = {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a secret of this test",
    }
    started = MlflowServer(folder, ["--app-name", "basic-auth"], secrets)
    started.start()
    try:
        started.wait()
        for name, password in (PROMOTER, READER):
            made = httpx.post(
                f"{started.uri}/api/2.0/mlflow/users/create",
                json={"username": name, "password": password},
                auth=ADMIN,
            )
            made.raise_for_status()
        yield started
    finally:
        started.kill()


def test_an_account_that_reads_serves_and_changes_nothing(server, become, tmp_path):
    become(PROMOTER)
    place = Place(tmp_path / "place", uri=server.uri)
    first = place.registry.promote(place.run())
    champion = place.registry.promote(place.run())
    become(READER)
    reading = Registry(server.uri)
    assert reading.champions() == {"folder/plate": champion}
    folder = reading.fetch(champion, champion.version, tmp_path / "cache")
    assert read_config(folder).category == "plate"
    client = MlflowClient(server.uri)
    for change in (
        lambda: client.set_registered_model_alias(champion.model, "champion", first.version),
        lambda: client.set_registered_model_tag(champion.model, "finegrain.champions", "[]"),
        lambda: client.set_model_version_tag(champion.model, "1", "finegrain.signature", "x"),
        lambda: client.create_model_version(champion.model, source="s3://x/y"),
        lambda: client.delete_registered_model_alias(champion.model, "champion"),
        lambda: reading.promote(reading.run_of(champion)),
        lambda: reading.ask(champion, 1.0),
    ):
        with pytest.raises(MlflowException, match=r"(?i)permission denied"):
            change()
    assert reading.champions() == {"folder/plate": champion}
    become(("nobody", "nothing-at-all"))
    with pytest.raises(MlflowException, match=r"401|not authenticated"):
        Registry(server.uri).champions()
    become(ADMIN)
    assert [change.after for change in changes(server.uri)] == ["1", "2"]
