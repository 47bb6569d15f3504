"""Signatures of checkpoints: made when one is promoted, checked before one is served.

Keys are OpenSSH's ed25519, as `ssh-keygen -t ed25519` makes them. A signature says which files are
version so-and-so of a part; it lies with the version, as a tag.
"""

import base64
import getpass
import json
import os
import socket
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

from finegrain.checkpoint import CONFIG, WEIGHTS
from finegrain.errors import CheckpointError, ConfigError

SIGNING_KEY, TRUSTED_KEYS = "FINEGRAIN_SIGNING_KEY", "FINEGRAIN_TRUSTED_KEYS"  # paths
SIGNATURE = "finegrain.signature"  # tag of a version


def digest(folder: Path) -> str:
    """SHA-256 of each file of a checkpoint, in one line."""
    return " ".join(sha256((folder / name).read_bytes()).hexdigest() for name in (CONFIG, WEIGHTS))


@dataclass(frozen=True)
class Statement:
    """What is signed; `files` is their `digest`."""

    model: str
    version: str
    run: str
    files: str

    def content(self) -> bytes:
        """The bytes that the signature is of."""
        return json.dumps({"finegrain": "champion", **vars(self)}, sort_keys=True).encode()


class Signer:
    """Who promotes here.

    Raises:
        ConfigError: $FINEGRAIN_SIGNING_KEY names no such key.
    """

    def __init__(self) -> None:
        place = os.environ.get(SIGNING_KEY)
        self._key = _private_key(Path(place).expanduser()) if place else None
        self.name = _comment(Path(f"{place}.pub").expanduser()) if place else None

    def who(self) -> str:
        """The signing key's comment, else the user and the machine."""
        return self.name or f"{getpass.getuser()}@{socket.gethostname()}"

    def sign(self, statement: Statement) -> str | None:
        """The tag's content; None where there is no key."""
        if self._key is None:
            return None
        return base64.b64encode(self._key.sign(statement.content())).decode()

    def check_trusted(self, trust: "Trust") -> None:
        """ConfigError where what is promoted here would be refused by what is served here."""
        if trust.demanded and not (self._key and trust.knows(self._key.public_key())):
            raise ConfigError(
                f"{TRUSTED_KEYS} is set, so a champion has to be signed by one of its keys; set "
                f"{SIGNING_KEY} to the file of such a key"
            )


class Trust:
    """Whose signatures are believed; anyone's, and none is needed, where no file is named.

    Raises:
        ConfigError: $FINEGRAIN_TRUSTED_KEYS names no file of public keys.
    """

    def __init__(self) -> None:
        place = os.environ.get(TRUSTED_KEYS)
        self.demanded = bool(place)
        self._keys = _public_keys(Path(place).expanduser()) if place else ()

    def knows(self, key: Ed25519PublicKey) -> bool:
        """Whether it is one of them."""
        return _raw(key) in map(_raw, self._keys)

    def check(self, statement: Statement, signature: str | None) -> None:
        """CheckpointError where no trusted key has signed that."""
        if not self.demanded:
            return
        what = f"version {statement.version} of {statement.model}"
        if not signature:
            raise CheckpointError(
                f"{what} is not signed, and {TRUSTED_KEYS} demands it; promote its run again with "
                f"{SIGNING_KEY}"
            )
        if not any(_signed(key, statement, signature) for key in self._keys):
            raise CheckpointError(
                f"{what} is not what a key of {TRUSTED_KEYS} has signed: its files, its run or its "
                "number were changed, or the key is not trusted"
            )


def _signed(key: Ed25519PublicKey, statement: Statement, signature: str) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), statement.content())
    except (InvalidSignature, ValueError):
        return False
    return True


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_ssh_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"{SIGNING_KEY}: {path} is no private key of OpenSSH without a passphrase: {error}; "
            f"make one by `ssh-keygen -t ed25519 -N '' -f {path}`"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{SIGNING_KEY}: {path} is no ed25519 key")
    return key


def _public_keys(path: Path) -> tuple[Ed25519PublicKey, ...]:
    """One a line, as in authorized_keys."""
    try:
        lines = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
        keys = [load_ssh_public_key(line.encode()) for line in lines]
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{TRUSTED_KEYS}: {path} has no public keys: {error}") from error
    found = tuple(key for key in keys if isinstance(key, Ed25519PublicKey))
    if not found or len(found) != len(keys):
        raise ConfigError(
            f"{TRUSTED_KEYS}: {path} has {len(keys)} keys, {len(found)} of them ed25519; needed "
            "are lines of the files *.pub that `ssh-keygen -t ed25519` makes"
        )
    return found


def _comment(path: Path) -> str | None:
    """The name at the end of a public key's line, where its file is there."""
    if not path.is_file():
        return None
    return " ".join(path.read_text().split()[2:]) or None


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
