"""Who may ask: by which key, from which page, through which proxy; without a server."""

import asyncio
import os
import socket
import subprocess
from pwd import getpwnam

import httpx
import pytest

from finegrain.errors import ConfigError
from finegrain.serving import access
from finegrain.serving.client import Client
from finegrain.serving.config import API_KEY, KEYS_FILE, LOCAL_KEY
from finegrain.serving.http import make_app
from finegrain.serving.keys import KeyRing
from finegrain.serving.peer import user_at
from tests.serving.test_service import URL, FakeGraph, service

CHROME = "Mozilla/5.0 (X11; Linux x86_64) Chrome/140"
LISTED = "/v1/categories"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for name in (API_KEY, KEYS_FILE, LOCAL_KEY):
        monkeypatch.delenv(name, raising=False)


def ask(*requests, client="127.0.0.1", host="127.0.0.1:8000", **settings):
    """The statuses of (method, url, headers), asked one after the other of one app."""

    async def send():
        app = make_app(service(FakeGraph(), **settings))
        transport = httpx.ASGITransport(app, client=(client, 1))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as http:
            return [
                (await http.request(method, url, headers=headers)).status_code
                for method, url, headers in requests
            ]

    return asyncio.run(send())


def listed(headers=None, **options):
    [status] = ask(("GET", LISTED, headers or {}), **options)
    return status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),  # another port of this machine
        ({"origin": "http://127.0.0.1:8000"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:3000"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "https://parts.example"}, 200),  # a proxy's
    ],
)
def test_a_page_of_another_site_is_refused_where_there_is_no_key(headers, status):
    assert listed(headers) == status


def test_a_page_needs_the_key_of_the_printed_address_and_a_program_does_not(monkeypatch):
    monkeypatch.setenv(LOCAL_KEY, "drawn")
    monkeypatch.setattr(access, "user_at", lambda *_ends: os.getuid())
    page = {"user-agent": CHROME, "sec-fetch-site": "same-origin"}
    assert listed() == 200
    assert listed(page) == 401
    assert listed({"user-agent": CHROME}) == 401
    assert listed({**page, "cookie": "finegrain-8000=drawn"}) == 200
    assert listed({**page, "cookie": "finegrain-8001=drawn"}) == 401  # another server's
    assert listed({**page, "cookie": "finegrain-8000=guessed"}) == 401
    assert listed({**page, "sec-fetch-site": "cross-site", "cookie": "finegrain-8000=drawn"}) == 403
    assert listed({**page, "x-api-key": "drawn"}) == 200
    assert ask(("GET", "/", page), ("GET", "/?key=guessed", page), ("GET", LISTED, page)) == [
        200, 200, 401,
    ]  # fmt: skip
    assert ask(("GET", "/?key=drawn", page), ("GET", LISTED, page)) == [303, 200]
    monkeypatch.setattr(access, "user_at", lambda *_ends: os.getuid() + 1)
    assert listed() == 403
    monkeypatch.setattr(access, "user_at", lambda *_ends: None)  # nobody can say whose it is
    assert listed() == 403


def test_a_program_is_known_by_the_user_that_runs_it():
    for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
        with (
            socket.create_server((host, 0), family=family) as listening,
            socket.create_connection(listening.getsockname()[:2]) as asking,
        ):
            client, server = asking.getsockname()[:2], listening.getsockname()[:2]
            assert user_at(client, server) == os.getuid()
            assert user_at((host, 1), server) is None
            assert user_at(client, (host, 1)) is None
    assert user_at(("", 0), ("localhost", 80)) is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root starts a program as another user")
def test_another_user_s_program_is_told_from_ours():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = listening.getsockname()
        process = subprocess.Popen(
            ["/bin/bash", "-c", f"exec 3<>/dev/tcp/{place[0]}/{place[1]}; sleep 60"],
            user="nobody",
        )
        try:
            connection, client = listening.accept()
            with connection:
                assert user_at(client, place) == getpwnam("nobody").pw_uid != os.getuid()
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded", "x-real-ip", "via"])
def test_loopback_behind_a_proxy_is_not_loopback(name):
    assert listed({name: "127.0.0.1"}) == 403


def write_keys(path, text, monkeypatch):
    path.write_text(text)
    monkeypatch.setenv(KEYS_FILE, str(path))


def test_keys_have_names_and_change_without_a_restart(tmp_path, monkeypatch):
    path = tmp_path / "keys.yaml"
    write_keys(path, "line-3: {keys: [first]}\n", monkeypatch)
    ring = KeyRing()
    assert (ring.name_of(b"first"), ring.name_of(b"second")) == ("line-3", None)
    path.write_text("line-3: {keys: [second, first]}\nquality: {keys: [third]}\n")
    assert [ring.name_of(key) for key in (b"first", b"second", b"third")] == [
        "line-3", "line-3", "quality",
    ]  # fmt: skip
    path.write_text("line-3: {keys: [second]}\n")
    assert (ring.name_of(b"first"), ring.name_of(b"second")) == (None, "line-3")
    for damage in ("line-3: [", "line-3: {keys: []}", "- second", ""):
        path.write_text(damage)
        assert ring.name_of(b"second") == "line-3"  # what was known stays
    path.unlink()
    assert ring.name_of(b"second") == "line-3"
    monkeypatch.setenv(API_KEY, "fourth")
    assert ring.name_of(b"fourth") == "API key"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("line: [", "is no YAML"),
        ("line: {keys: [' blank']}", "blanks at its ends"),
        ('line: {keys: ["two\\nlines"]}', "line breaks"),
        ("line: {keys: [a], limit: 3}", "Extra inputs"),
        ("[secret]", "needed NAME: keys"),
    ],
)
def test_a_damaged_file_of_keys_starts_no_server_and_tells_no_key(
    tmp_path, monkeypatch, text, told
):
    write_keys(tmp_path / "keys.yaml", text, monkeypatch)
    with pytest.raises(ConfigError, match=told) as caught:
        KeyRing()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["sésame", "à", "螺母 %20 é", "a b:c,d;e=f", '"quoted"', "~`{}|\\"])
def test_a_key_of_any_characters_is_known_as_clients_send_it(monkeypatch, key):
    monkeypatch.setenv(API_KEY, key)
    sent = key.encode()
    assert listed([(b"x-api-key", sent)]) == 200
    assert listed([(b"authorization", b"Bearer " + sent)]) == 200
    assert listed([(b"x-api-key", sent + b"x")]) == 401


def test_a_client_sends_a_key_of_any_letters():
    sent = []

    def answer(request):
        sent.append(dict(request.headers.raw)[b"X-API-Key"])
        return httpx.Response(200, json={"categories": []})

    with Client("http://x", api_key="螺母", transport=httpx.MockTransport(answer)) as client:
        client.categories()
    assert sent == ["螺母".encode()]


def test_a_key_may_be_for_scoring_alone(tmp_path, monkeypatch):
    write_keys(tmp_path / "keys.yaml", "line: {keys: [one], changes: false}", monkeypatch)
    shown = {"x-api-key": "one"}
    assert ask(("GET", LISTED, shown), ("GET", LISTED, {})) == [200, 401]


def test_scoring_needs_what_listing_needs(monkeypatch):
    monkeypatch.setenv(API_KEY, "one")
    assert ask(("POST", URL, {}), ("POST", URL, {"x-api-key": "one"})) == [401, 422]
