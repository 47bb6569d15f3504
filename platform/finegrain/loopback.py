"""What keeps a Ray that is started here on this machine's loopback, and free ports on it."""

import os
import socket

ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # binds every listener of the head to loopback
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
}

LOOPBACK = ("localhost", "127.0.0.1", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def stay_local() -> None:
    """Nothing on loopback goes through a proxy, and MLflow reports its use to nobody.

    For this process and all that it starts. What the user has set of MLflow stays.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    if any(os.environ.get(name) or os.environ.get(name.upper()) for name in PROXIES):
        for name in ("no_proxy", "NO_PROXY"):  # libraries differ in which they read
            listed = os.environ.get(name) or os.environ.get(name.swapcase(), "")
            named = [host.strip() for host in listed.split(",") if host.strip()]
            if "*" not in named:
                os.environ[name] = ",".join(dict.fromkeys([*named, *LOOPBACK]))


def free_ports(count: int) -> list[int]:
    """Different ports that nothing listened on a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(s.getsockname()[1]) for s in sockets]
    finally:
        for s in sockets:
            s.close()


def is_free(port: int) -> bool:
    """Whether nothing listens on it."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
