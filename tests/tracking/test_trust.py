"""Who may say what is served: signatures, and the record of every change."""

import json
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from finegrain.cli.main import main
from finegrain.errors import CheckpointError, ConfigError
from finegrain.tracking import Registry
from finegrain.tracking.audit import changes
from finegrain.tracking.signing import SIGNATURE, SIGNING_KEY, TRUSTED_KEYS
from tests.tracking.test_registry import Place


def key_pair(folder, name):
    """As `ssh-keygen -t ed25519 -N '' -C NAME` writes them."""
    key = Ed25519PrivateKey.generate()
    (folder / name).write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    )
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    (folder / f"{name}.pub").write_text(f"{public} {name}\n")
    return folder / name


@pytest.fixture
def keys(tmp_path):
    return key_pair(tmp_path, "plant"), key_pair(tmp_path, "stranger")


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in (SIGNING_KEY, TRUSTED_KEYS):
        monkeypatch.delenv(name, raising=False)
    return Place(tmp_path / "registry")


def test_what_is_not_signed_by_a_trusted_key_is_refused(place, keys, tmp_path, monkeypatch):
    plant, stranger = keys
    unsigned = place.registry.promote(place.run())
    monkeypatch.setenv(SIGNING_KEY, str(stranger))
    by_stranger = Registry(place.uri).promote(place.run())
    monkeypatch.setenv(SIGNING_KEY, str(plant))
    monkeypatch.setenv(TRUSTED_KEYS, f"{plant}.pub")
    registry = Registry(place.uri)
    signed = registry.promote(place.run())
    cache = tmp_path / "cache"
    folder = registry.fetch(signed, signed.version, cache)
    with pytest.raises(CheckpointError, match="version 1 of finegrain-folder-plate is not signed"):
        registry.fetch(unsigned, unsigned.version, cache)
    with pytest.raises(CheckpointError, match="not what a key of FINEGRAIN_TRUSTED_KEYS"):
        registry.fetch(by_stranger, by_stranger.version, cache)
    good = place.client.get_model_version(signed.model, signed.version).tags[SIGNATURE]
    place.client.set_model_version_tag(signed.model, unsigned.version, SIGNATURE, good)
    with pytest.raises(CheckpointError, match="number were changed"):  # another version's
        registry.fetch(unsigned, unsigned.version, cache)
    place.client.set_model_version_tag(signed.model, signed.version, SIGNATURE, "no base64!")
    with pytest.raises(CheckpointError, match="its files, its run"):
        registry.fetch(signed, signed.version, cache)
    place.client.set_model_version_tag(signed.model, signed.version, SIGNATURE, good)
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    with pytest.raises(CheckpointError, match="its files"):  # also where it lies in the cache
        registry.fetch(signed, signed.version, cache)


def test_nothing_is_promoted_that_would_be_refused(place, keys, monkeypatch):
    plant, stranger = keys
    monkeypatch.setenv(TRUSTED_KEYS, f"{plant}.pub")
    for key in (None, stranger):
        if key:
            monkeypatch.setenv(SIGNING_KEY, str(key))
        with pytest.raises(ConfigError, match="has to be signed by one of its keys"):
            Registry(place.uri).promote(place.run())
    assert place.registry.champion("folder", "plate") is None
    assert changes(place.uri) == []


@pytest.mark.parametrize(
    ("variable", "content", "told"),
    [
        (SIGNING_KEY, "no key", "no private key of OpenSSH"),
        (TRUSTED_KEYS, "no key", "has no public keys"),
        (TRUSTED_KEYS, "# none\n", "has 0 keys"),
    ],
)
def test_a_key_that_can_t_be_read_is_told(place, tmp_path, monkeypatch, variable, content, told):
    (tmp_path / "key").write_text(content)
    monkeypatch.setenv(variable, str(tmp_path / "key"))
    with pytest.raises(ConfigError, match=f"{variable}: .*{told}"):
        Registry(place.uri)


def test_a_key_of_ssh_keygen_signs(place, tmp_path, monkeypatch):
    key = tmp_path / "own"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "line lead", "-f", key]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        pytest.skip("no ssh-keygen on this machine")
    monkeypatch.setenv(SIGNING_KEY, str(key))
    monkeypatch.setenv(TRUSTED_KEYS, f"{key}.pub")
    registry = Registry(place.uri)
    signed = registry.promote(place.run())
    assert registry.fetch(signed, signed.version, tmp_path / "cache").is_dir()
    assert changes(place.uri)[0].who == "line lead"


def test_every_change_says_who_made_it_when_and_from_what_to_what(place, capsys):
    registry = place.registry
    registry.promote(place.run("bolt"))
    registry.promote(place.run(), by="line-3", what="enrolled")
    second = registry.promote(place.run(), by="quality")
    registry.ask(second, 2.5, by="line-3")
    registry.ask(registry.champion("folder", "plate"), 3)
    registry.rollback("folder", "plate", by="quality")
    registry.withdraw("folder", "plate", by="quality")
    assert main(["audit", "folder/plate", "--tracking-uri", place.uri]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(c["what"], c["who"], c["before"], c["after"]) for c in told[:4]] == [
        ("enrolled", "line-3", None, "1"),
        ("promoted", "quality", "1", "2"),
        ("false alarms", "line-3", None, "2.5"),
        ("false alarms", registry._signer.who(), "2.5", "3"),
    ]
    assert [(c["what"], c["before"], c["after"]) for c in told[4:]] == [
        ("rolled back", "2", "1"), ("withdrawn", "1", None),
    ]  # fmt: skip
    assert [c["when"] for c in told] == sorted(c["when"] for c in told)
    assert {c["part"] for c in told} == {"folder/plate"}
    assert len(changes(place.uri)) == len(told) + 1
    with pytest.raises(SystemExit):
        main(["audit", "--no-such-option"])


def test_a_change_that_can_t_be_recorded_is_not_made(place, monkeypatch):
    place.registry.promote(place.run())

    def away(*_args, **_options):
        raise ConnectionError("away")

    monkeypatch.setattr("finegrain.tracking.registry.note", away)
    for change in (
        lambda: place.registry.promote(place.run()),
        lambda: place.registry.withdraw("folder", "plate"),
    ):
        with pytest.raises(ConnectionError):
            change()
    assert place.registry.champion("folder", "plate").version == "1"
