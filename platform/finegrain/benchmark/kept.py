"""What a worker keeps of tokens between its trials, and how much memory that may take."""

import os
from collections import OrderedDict
from typing import Generic, Protocol, TypeVar

from finegrain.errors import ConfigError

KEPT_GB, VARIABLE = 2.0, "FINEGRAIN_TOKENS_GB"


class Sized(Protocol):
    """What knows the memory that it takes."""

    @property
    def nbytes(self) -> int:
        """In bytes."""
        ...


Key = TypeVar("Key")
Value = TypeVar("Value", bound=Sized)


def kept_bytes() -> int:
    """How many bytes of test images' tokens a worker keeps: $FINEGRAIN_TOKENS_GB, in GiB."""
    given = os.environ.get(VARIABLE, "")
    try:
        gigabytes = float(given) if given else KEPT_GB
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < float("inf"):
        raise ConfigError(f"{VARIABLE} is a number of GiB, from 0 up; got {given!r}")
    return int(gigabytes * 2**30)


class Kept(Generic[Key, Value]):
    """The values that were used last: at most so many, and so many bytes of them.

    Args:
        count: of values.
        most_bytes: of all of them; one that is larger is not kept.
    """

    def __init__(self, count: int, most_bytes: int) -> None:
        self._values: OrderedDict[Key, Value] = OrderedDict()  # used last: at the end
        self._count, self._most_bytes = count, most_bytes

    def get(self, key: Key) -> Value | None:
        """The value, which is now the one used last; None where it is not kept."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def keep(self, key: Key, value: Value) -> Value:
        """The same value, kept if it fits; those used longest ago make room."""
        self._values[key] = value
        while len(self._values) > self._count or self._nbytes() > self._most_bytes:
            self._values.popitem(last=False)
        return value

    def _nbytes(self) -> int:
        return sum(value.nbytes for value in self._values.values())
