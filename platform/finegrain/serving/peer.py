"""Who is at the other end: this machine or a proxy on it, and whose program."""

import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path

TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
PROXIED = ("x-forwarded-for", "forwarded", "x-real-ip", "via", "x-forwarded-host")


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def was_forwarded(headers: Mapping[str, str]) -> bool:
    """Whether a proxy says that it passed the request on."""
    return any(name in headers for name in PROXIED)


def user_at(port: int, tables: Sequence[str] = TABLES) -> int | None:
    """The id of the user whose program holds that port of this machine's loopback.

    None where Linux's tables don't show it.
    """
    for table in tables:
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            _, local, _, _, _, _, _, user, *_ = row.split()
            if int(local.rpartition(":")[2], 16) == port and _is_local(local):
                return int(user)
    return None


def _is_local(place: str) -> bool:
    """Whether an address of these tables, in hexadecimal and the machine's order, is loopback."""
    address = place.partition(":")[0]
    return address.endswith("7F") or address == "0" * 24 + "01000000"
