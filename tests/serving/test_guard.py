"""What holds for every request and answer: bytes in work, requests of a key, headers, labels."""

import asyncio
import re

import httpx
import pytest

from finegrain.serving.config import API_KEY, KEYS_FILE, ServingConfig
from finegrain.serving.http import make_app
from finegrain.serving.service import ScoringService
from tests.serving.test_service import IMAGE, URL, FakeGraph, NoMeters, no_sleep, service


def run(app, talk):
    async def talking():
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await talk(http)

    return asyncio.run(talking())


async def until(true):
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.002)
    raise AssertionError


class Waiting:
    """A graph that answers when it is told."""

    def __init__(self):
        self.go = None

    async def __call__(self, _call):
        self.go = self.go or asyncio.Event()
        await self.go.wait()


def test_bytes_in_work_are_counted_before_they_are_kept():
    held = Waiting()
    graph = FakeGraph(held)
    size = len(IMAGE)
    app = make_app(service(graph, max_body_bytes=2 * size, max_bytes_in_flight=2 * size))

    async def body(kept):
        for _ in range(2):
            kept.append(size)
            yield bytes(size)

    async def talk(http):
        first = asyncio.create_task(http.post(URL, content=IMAGE))
        await until(lambda: graph.now)
        declared = await http.post(URL, content=bytes(size + 1))
        kept = []
        arriving = await http.post(URL, content=body(kept))
        second = asyncio.create_task(http.post(URL, content=IMAGE))
        await until(lambda: graph.now == 2)
        held.go.set()
        answers = [first, second]
        return declared, arriving, kept, [await a for a in answers], await http.post(
            URL, content=bytes(2 * size)
        )  # fmt: skip

    declared, arriving, kept, answers, later = run(app, talk)
    for refused in (declared, arriving):
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert "max_bytes_in_flight" in refused.json()["error"]["message"]
    assert len(kept) == 2
    assert [a.status_code for a in answers] == [200, 200]
    assert later.status_code == 415  # nothing stays counted: it has room, and is no image


def test_a_body_that_may_be_sent_has_room():
    with pytest.raises(ValueError, match="would never be taken"):
        ServingConfig(max_body_bytes=11, max_bytes_in_flight=10)


def test_a_key_has_its_own_number_of_requests(tmp_path, monkeypatch):
    (tmp_path / "keys").write_text("line: {keys: [one], max_requests: 1}\nother: {keys: [two]}\n")
    monkeypatch.setenv(KEYS_FILE, str(tmp_path / "keys"))
    held = Waiting()
    graph = FakeGraph(held)

    async def talk(http):
        def post(key):
            return http.post(URL, content=IMAGE, headers={"x-api-key": key})

        tasks = [asyncio.create_task(post("one")), asyncio.create_task(post("two"))]
        await until(lambda: graph.now == 2)
        refused = await post("one")
        tasks.append(asyncio.create_task(post("two")))
        await until(lambda: graph.now == 3)
        held.go.set()
        return refused, [(await task).status_code for task in tasks], await post("one")

    refused, statuses, later = run(make_app(service(graph)), talk)
    assert refused.status_code == 429
    assert "the key of line has 1 requests in work" in refused.json()["error"]["message"]
    assert (statuses, later.status_code) == ([200, 200, 200], 200)


OPEN = ("/", "/docs", "/openapi.json", "/healthz", "/inspector.js", "/nowhere", "/v1/categories")


def test_no_answer_is_framed_or_taken_for_something_else():
    async def talk(http):
        return [await http.get(path) for path in OPEN] + [await http.post(URL, content=b"x")]

    for answer in run(make_app(service(FakeGraph())), talk):
        policy = answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        for part in ("frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
            assert part in policy, (answer.url, policy)
        assert "default-src" in policy
        assert len(answer.headers.get_list("content-security-policy")) == 1


def test_the_documentation_loads_nothing_from_elsewhere():
    async def talk(http):
        return await http.get("/docs"), (await http.get("/openapi.json")).json()

    page, schema = run(make_app(service(FakeGraph())), talk)
    assert page.headers["content-type"].startswith("text/html")
    for path in schema["paths"]:
        assert f"<code>{path}</code>" in page.text
    assert not re.search(r"<script|src=|https?://|@import|url\(", page.text)


class Labels(NoMeters):
    def __init__(self):
        self.seen = []

    def request(self, category, status, version):
        self.seen.append((category, status))


class Away(FakeGraph):
    async def champions(self):
        raise ConnectionError


@pytest.mark.parametrize("graph", [FakeGraph(), Away()])
def test_labels_are_of_known_categories_alone(monkeypatch, graph):
    monkeypatch.setenv(API_KEY, "one")
    labels = Labels()
    app = make_app(ScoringService(ServingConfig(), graph, labels, sleep=no_sleep))

    async def talk(http):
        key = {"x-api-key": "one"}
        for url in (URL, "/v1/categories/stranger/words/score"):
            for headers in (key, {}):
                try:
                    await http.post(url, content=b"no image", headers=headers)
                except ConnectionError:
                    continue

    run(app, talk)
    known = {"folder/plate"} if type(graph) is FakeGraph else set()
    assert {category for category, _ in labels.seen} == known | {"unknown"}
