"""What a server knows of the registry while MLflow is away; tests/operate kills a real one."""

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from finegrain.errors import CheckpointError
from finegrain.tracking.registry import Champion, Registry
from finegrain.tracking.remembered import RememberedRegistry
from tests.databases import new_database

PART = Champion("folder", "plate", "3", ("1", "2"), 5.0)


@pytest.fixture
def registry(tmp_path):
    return RememberedRegistry(new_database(tmp_path), tmp_path / "cache")


def answer(monkeypatch, method, given):
    def answered(*_):
        if isinstance(given, Exception):
            raise given
        return given

    monkeypatch.setattr(Registry, method, answered)


def test_champions_are_as_last_heard(registry, monkeypatch):
    away = MlflowException("Connection refused")
    answer(monkeypatch, "champions", away)
    with pytest.raises(MlflowException, match="refused"):
        registry.champions()
    answer(monkeypatch, "champions", {PART.key: PART})
    assert registry.champions() == {PART.key: PART}
    answer(monkeypatch, "champions", away)
    answer(monkeypatch, "champion", away)
    assert registry.champions() == {PART.key: PART}
    assert registry.champion("folder", "plate") == PART
    assert registry.champion("folder", "other") is None
    answer(monkeypatch, "champions", {})
    assert registry.champions() == {}
    answer(monkeypatch, "champions", away)
    assert registry.champions() == {}


def test_a_no_is_no_silence(registry, monkeypatch, tmp_path):
    answer(monkeypatch, "fetch", tmp_path / "abc")
    assert registry.fetch(PART, "3", tmp_path) == tmp_path / "abc"
    answer(monkeypatch, "fetch", ConnectionError("away"))
    assert registry.fetch(PART, "3", tmp_path) == tmp_path / "abc"
    with pytest.raises(ConnectionError):
        registry.fetch(PART, "2", tmp_path)
    gone = MlflowException("no such version", error_code=RESOURCE_DOES_NOT_EXIST)
    for no in (gone, CheckpointError("it names another run")):
        answer(monkeypatch, "fetch", no)
        with pytest.raises(type(no), match=str(no)):
            registry.fetch(PART, "3", tmp_path)
