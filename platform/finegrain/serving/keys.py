"""The keys that a server answers to: one from the environment, or named ones from a file.

The file is read again when it changes, so that keys come and go without a restart:

    line-3:
      keys: [the new one, the one before]   # both hold while clients change over
      max_requests: 8                       # at once
      changes: false                        # it may score, but change no part
"""

import hmac
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from unicodedata import category

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from finegrain.errors import ConfigError
from finegrain.serving.config import API_KEY, KEYS_FILE, LOCAL_KEY

log = logging.getLogger("ray.serve")
Stamp = tuple[int, int, int]  # a file's inode, its change in ns, its bytes
ONE, LOCAL = "API key", "local key"  # names of those that come from the environment


class Key(BaseModel):
    """What a name may do, and by which keys it is known.

    Args:
        keys: any text that a header can carry, as UTF-8.
        max_requests: at once; None for no limit of its own.
        changes: whether it may enrol, correct, set, take back and withdraw parts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: Annotated[tuple[str, ...], Field(min_length=1)]
    max_requests: Annotated[int, Field(ge=1)] | None = None
    changes: bool = True

    @field_validator("keys")
    @classmethod
    def _can_be_sent(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for key in keys:
            if not key or key != key.strip(" \t") or any(category(c) == "Cc" for c in key):
                raise ValueError(
                    "a key can't be empty, have blanks at its ends, or have line breaks and other "
                    "control characters: no header carries them"
                )
        return keys


Keys = Mapping[str, Key]


class KeyRing:
    """The keys of this moment.

    Raises:
        ConfigError: the file is damaged when it is first read; later, the keys of before stay.
    """

    def __init__(self) -> None:
        self._stamp: Stamp | None = None
        self._read: Keys = {}
        self.known()

    def known(self) -> Keys:
        """By name; empty where none is set, and only this machine is answered."""
        one, place = os.environ.get(API_KEY), os.environ.get(KEYS_FILE)
        found = dict(self._of_file(Path(place))) if place else {}
        return found | {ONE: Key(keys=(one,))} if one else found

    @property
    def local(self) -> str | None:
        """What stands in the address that `finegrain serve` prints; None where there are keys."""
        return os.environ.get(LOCAL_KEY)

    def name_of(self, shown: bytes) -> str | None:
        """Whose key that is, compared with all in constant time."""
        names = [name for name, key in self.known().items() for one in key.keys if same(shown, one)]
        return names[0] if names else None

    def _of_file(self, path: Path) -> Keys:
        try:
            status = path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._read, self._stamp = read_keys(path), stamp
        except (ConfigError, OSError) as error:
            if self._stamp is None:
                raise ConfigError(f"{KEYS_FILE}: {error}") from error
            log.error("the keys of before stay: %s", error)
        return self._read


def read_keys(path: Path) -> Keys:
    """The keys of a file; ConfigError where it is damaged, without a word of its content."""
    try:
        content = yaml.safe_load(path.read_text())
        return TypeAdapter(dict[str, Key]).validate_python(content)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML") from error
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ConfigError(f"{path}: {'; '.join(faults)}; needed NAME: keys: [KEY, ...]") from error


def same(shown: bytes, key: str) -> bool:
    """Whether a header's bytes are that key, in constant time."""
    return hmac.compare_digest(shown, key.encode())
