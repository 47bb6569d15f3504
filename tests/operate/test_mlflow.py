"""MLflow as deploy/mlflow.yaml runs it: its host check, its accounts, PostgreSQL below it."""

import httpx
import pytest
from mlflow.exceptions import MlflowException

from finegrain.tracking import Registry
from tests.operate.services import documents

pytestmark = pytest.mark.operate


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


def test_nobody_is_answered_without_an_account(mlflow_server, secrets):
    assert ask(mlflow_server, "mlflow:5000").status_code == 401
    wrong = ("admin", "password1234")
    assert ask(mlflow_server, "mlflow:5000", auth=wrong).status_code == 401
