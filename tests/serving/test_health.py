"""Readiness is the server's own, each category's state its own, and no probe causes work."""

import asyncio
import time

import httpx
import pytest

from finegrain.serving.config import API_KEY
from finegrain.serving.health import Health
from finegrain.serving.http import make_app
from finegrain.serving.messages import Refusal
from finegrain.tracking import Champion
from tests.serving.test_service import IMAGE, FakeGraph, LostReplicaError, service

CHAMPIONS = [Champion("folder", name, "3") for name in ("bolt", "nut", "plate")]
BAD = Refusal(503, "no_checkpoint", "version 3 is refused: it is cut short")


class Parts(FakeGraph):
    """Three categories; `bad` gives what is answered or raised instead of a score."""

    def __init__(self, bad=()):
        super().__init__()
        self.served, self.bad = {c.key: c for c in CHAMPIONS}, dict(bad)
        self.asked = []

    async def champions(self):
        return self.served

    async def score(self, key, images, pictures):
        self.asked.append(key)
        instead = self.bad.get(key)
        if isinstance(instead, Exception):
            raise instead
        return instead or await super().score(key, images, pictures)


def looked(graph, scoring=None, **settings):
    """An app whose health has looked once."""
    app = make_app(scoring or service(graph, **settings))
    asyncio.run(app.state.health.look())
    return app


def get(app, path, client=("127.0.0.1", 1), **headers):
    async def send():
        transport = httpx.ASGITransport(app, client=client)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.get(path, headers=headers)

    answer = asyncio.run(send())
    return answer.status_code, answer.json()


def states(app):
    """(ready, message) by category, as /v1/categories tells them."""
    listed = get(app, "/v1/categories")[1]["categories"]
    return {one["category"]: (one["ready"], one["message"]) for one in listed}


@pytest.mark.parametrize("bad", ["bolt", "nut", "plate"])
def test_a_bad_champion_leaves_the_server_ready_and_says_why_itself(bad):
    app = looked(Parts({f"folder/{bad}": BAD}))
    assert get(app, "/readyz") == (200, {"ready": True})
    assert get(app, "/v2/health/ready") == (200, {"ready": True})
    good = {c.category: (True, None) for c in CHAMPIONS}
    assert states(app) == good | {bad: (False, BAD.message)}
    status, answer = get(app, f"/v2/models/finegrain-folder-{bad}/ready")
    assert (status, answer) == (
        400, {"error": f"finegrain-folder-{bad} is not ready: {BAD.message}"},
    )  # fmt: skip


def test_every_bad_champion_is_seen_and_one_that_fails_otherwise_too():
    app = looked(Parts({"folder/bolt": BAD, "folder/plate": ValueError("a wrong shape\nmore")}))
    assert get(app, "/readyz")[0] == 200
    assert states(app) == {
        "bolt": (False, BAD.message), "nut": (True, None), "plate": (False, "a wrong shape"),
    }  # fmt: skip


def test_a_mended_champion_is_ready_after_the_next_canary():
    graph = Parts({"folder/nut": BAD})
    app = looked(graph, canary_seconds=1e-9)
    graph.bad.clear()
    asyncio.run(app.state.health.look())
    assert states(app)["nut"] == (True, None)


def test_a_server_whose_replicas_do_not_answer_is_not_ready():
    lost = dict.fromkeys(("folder/bolt", "folder/nut", "folder/plate"), LostReplicaError())
    status, answer = get(looked(Parts(lost)), "/readyz")
    assert (status, answer["error"]["code"]) == (503, "not_ready")
    assert "replicas were lost" in answer["error"]["message"]


def test_before_the_first_canary_nothing_is_ready_and_without_champions_the_server_is():
    fresh = make_app(service(Parts()))
    assert get(fresh, "/readyz")[0] == 503
    assert get(fresh, "/v2/models/finegrain-folder-nut/ready")[0] == 400
    assert states(fresh)["nut"] == (None, None)
    empty = Parts()
    empty.served = {}
    assert get(looked(empty), "/readyz") == (200, {"ready": True})


def test_a_canary_that_does_not_come_back_is_missed():
    app = looked(Parts(), request_timeout_s=0.1, canary_seconds=1e-3)
    time.sleep(0.15)
    assert "the canary is not back" in get(app, "/readyz")[1]["error"]["message"]


def test_probes_cause_no_work_and_a_full_server_is_ready():
    graph = Parts()
    scoring = service(graph, max_in_flight=1)
    app = looked(graph, scoring)
    assert sorted(graph.asked) == sorted(graph.served)
    before = len(graph.asked)

    async def hangs(_call):
        await asyncio.sleep(60)

    async def at_full_load():
        graph.before = hangs
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            full = asyncio.create_task(scoring.score("folder", "nut", [IMAGE]))
            while len(graph.asked) == before:
                await asyncio.sleep(0.01)
            answers = [await http.get("/readyz") for _ in range(5)]
            full.cancel()
        return {answer.status_code for answer in answers}

    assert asyncio.run(at_full_load()) == {200}
    assert len(graph.asked) == before + 1


def test_settled_categories_are_asked_in_turn_and_new_versions_at_once():
    graph = Parts()
    health = Health(service(graph, canary_seconds=1e-9))
    for _ in range(4):
        asyncio.run(health.look())
    first, later = graph.asked[:3], graph.asked[3:]
    assert sorted(first) == sorted(graph.served)
    assert later == first  # one at a time, whoever was asked longest ago
    health = Health(service(graph, canary_seconds=1000))
    asyncio.run(health.look())
    graph.asked.clear()
    asyncio.run(health.look())
    assert graph.asked == []
    graph.served = graph.served | {"folder/nut": Champion("folder", "nut", "4", ("3",))}
    asyncio.run(health.look())
    assert graph.asked == ["folder/nut"]
    state = health.of(graph.served["folder/nut"])
    assert (state.ready, state.message) == (True, "version 4 is being taken up")  # 3 answered


def test_strangers_get_neither_examples_nor_reasons(monkeypatch):
    monkeypatch.setenv(API_KEY, "sesame")
    app, remote = looked(Parts({"folder/nut": BAD})), ("10.1.2.3", 1)
    assert get(app, "/readyz", remote) == (200, {"ready": True})
    for path in ("/v1/examples", "/v1/examples/gear/good-0", "/v1/categories"):
        assert get(app, path, remote)[0] == 401
    assert "gear" in get(app, "/v1/examples", remote, **{"x-api-key": "sesame"})[1]
