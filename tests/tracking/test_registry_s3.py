"""Artifacts in S3, which MLflow takes sources of without a look: the real client, moto's server."""

import warnings

import pytest

from finegrain.checkpoint import read_config
from finegrain.errors import CheckpointError
from finegrain.loopback import free_ports
from tests.tracking.test_registry import Place

moto_server = pytest.importorskip("moto.server", reason="moto is not installed: pip install moto")
boto3 = pytest.importorskip("boto3", reason="boto3 is not installed: pip install boto3")


@pytest.fixture
def s3(monkeypatch):
    """An empty bucket at a server of its own."""
    [port] = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "MLFLOW_S3_ENDPOINT_URL": address,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    server = moto_server.ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    with warnings.catch_warnings():
        client = boto3.client("s3", endpoint_url=address)
    client.create_bucket(Bucket="plant")
    yield client
    client.close()
    server.stop()


def test_a_checkpoint_comes_from_s3_and_a_foreign_source_there_does_not(s3, tmp_path):
    place = Place(tmp_path / "registry", artifacts="s3://plant/artifacts")
    champion = place.registry.promote(place.run())
    cache = tmp_path / "a" / "b" / "cache"
    kept = place.registry.fetch(champion, champion.version, cache)
    assert read_config(kept).category == "plate"
    assert {f"artifacts/{place.registry.run_of(champion)}/artifacts/checkpoint/config.json"} <= {
        found["Key"] for found in s3.list_objects_v2(Bucket="plant")["Contents"]
    }
    s3.put_object(Bucket="plant", Key="evil/config.json", Body=b"{}")
    s3.put_object(Bucket="plant", Key="evil/authorized_keys", Body=b"a stranger's")
    made = place.client.create_model_version(
        champion.model, source="s3://plant/evil", run_id="x/../../../escaped"
    )
    with pytest.raises(CheckpointError, match="has the source s3://plant/evil and the run"):
        place.registry.fetch(champion, str(made.version), cache)
    assert not list(tmp_path.rglob("authorized_keys"))
