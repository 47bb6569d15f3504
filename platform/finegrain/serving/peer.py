"""Who is at the other end: this machine or a proxy on it, and whose program."""

import ipaddress
import socket
import struct
from collections.abc import Mapping

Place = tuple[str, int]  # host and port
# Of linux/netlink.h, sock_diag.h and inet_diag.h.
SOCK_DIAG, BY_FAMILY, REQUEST, ANY = 4, 20, 1, 0xFFFFFFFF
HEAD, USER = 16, 64  # bytes of a message's head; then, of inet_diag_msg, before idiag_uid
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


def user_at(client: Place, server: Place) -> int | None:
    """The id of the user whose program holds the client's end of a connection on this machine.

    Asked of Linux's sock_diag, which looks up one socket where /proc/net/tcp walks over all.
    None where that does not show it.

    Args:
        client: host and port of the end that is asked after.
        server: of the other.
    """
    try:
        family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
        ends = [socket.inet_pton(family, host).ljust(16, b"\0") for host, _ in (client, server)]
        ports = struct.pack("!HH", client[1], server[1])
        any_device = struct.pack("=3I", 0, ANY, ANY)  # and any cookie
        asked = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, ANY)
        asked += ports + b"".join(ends) + any_device
        head = struct.pack("=IHHII", HEAD + len(asked), BY_FAMILY, REQUEST, 0, 0)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, SOCK_DIAG) as netlink:
            netlink.settimeout(1)
            netlink.sendto(head + asked, (0, 0))
            answer = netlink.recv(4096)
    except (OSError, AttributeError, struct.error):  # no such address, or no Linux
        return None
    if struct.unpack_from("=H", answer, 4)[0] != BY_FAMILY:  # an error: no such socket
        return None
    return int(struct.unpack_from("=I", answer, HEAD + USER)[0])
