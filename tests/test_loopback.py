"""What is local stays local: loopback goes through no proxy, and nothing is reported."""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.request import urlopen

import httpx
import pytest
import requests

from finegrain.loopback import stay_local

SETTINGS = [f"{kind}_proxy" for kind in ("http", "https", "all", "no")]


@pytest.fixture
def address():
    """A server on loopback that answers every question with "here"."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"here")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def proxied(monkeypatch):
    """A company's proxy that does not answer."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    return monkeypatch


def asked(address):
    """What three libraries hear, without an answer an error's name."""
    found = []
    for ask in (
        lambda: httpx.get(address).text,
        lambda: requests.get(address, timeout=5).text,
        lambda: urlopen(address, timeout=5).read().decode(),
    ):
        try:
            found.append(ask())
        except OSError as error:
            found.append(type(error).__name__)
        except httpx.TransportError as error:
            found.append(type(error).__name__)
    return found


@pytest.mark.parametrize("own", [None, "intranet.example", "a, b ,127.0.0.1"])
def test_loopback_goes_through_no_proxy(proxied, address, own):
    assert "here" not in asked(address)
    if own:
        proxied.setenv("NO_PROXY", own)
    stay_local()
    assert asked(address) == ["here"] * 3
    assert asked(address.replace("127.0.0.1", "localhost")) == ["here"] * 3
    for name in ("no_proxy", "NO_PROXY"):
        listed = os.environ[name].split(",")
        assert set(listed) == {"localhost", "127.0.0.1", "::1"} | {
            host.strip() for host in (own or "localhost").split(",")
        }
        assert len(listed) == len(set(listed))


def test_nothing_is_changed_without_a_proxy_or_where_none_is_used(proxied):
    proxied.setenv("NO_PROXY", "*")
    stay_local()
    assert os.environ["NO_PROXY"] == "*"
    for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        proxied.delenv(name, raising=False)
    stay_local()
    assert not {"NO_PROXY", "no_proxy"} & set(os.environ)


def test_mlflow_reports_nothing_unless_the_user_wants_it(monkeypatch):
    code = (
        "import finegrain.tracking; from mlflow.telemetry import get_telemetry_client as client; "
        "from mlflow.telemetry.utils import is_telemetry_disabled; "
        "print(is_telemetry_disabled(), client())"
    )
    testing = ("PYTEST", "CI", "MLFLOW", "GITHUB", "GITLAB", "DO_NOT_TRACK", "JENKINS", "BUILDKITE")
    bare = {name: value for name, value in os.environ.items() if not name.startswith(testing)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "None"]
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    stay_local()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "false"
