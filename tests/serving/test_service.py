"""Admission, retries and deadlines of the service, on graphs made for the purpose."""

import asyncio
from dataclasses import replace

import httpx
import numpy as np
import pytest
from pydantic import ValidationError

from benchmarks.load import closed_loop, open_loop
from finegrain.data.images import MAX_BYTES, MAX_PIXELS
from finegrain.decision import Verdict
from finegrain.evaluation.figures import png
from finegrain.serving.client import AsyncClient, Client, ScoringError
from finegrain.serving.config import API_KEY, ServingConfig
from finegrain.serving.http import make_app
from finegrain.serving.messages import NO_SCORE, Refusal, ScoredImages, ServiceError
from finegrain.serving.service import ATTEMPTS, ScoringService
from finegrain.tracking import Champion

IMAGE = png(np.zeros((16, 16, 3), np.uint8))
URL = "/v1/categories/folder/plate/score"


class LostReplicaError(Exception):
    pass


class FullQueueError(Exception):
    pass


class FakeGraph:
    """Answers after whatever `before` does; counts how many it works on at once."""

    def __init__(self, before=None, lost_at=None):
        self.before, self.lost_at = before, lost_at  # in the monotonic time of the event loop
        self.calls = self.now = self.most = 0

    async def champions(self):
        return {"folder/plate": Champion("folder", "plate", "3")}

    async def caption(self, _dataset, _category):
        return None

    async def score(self, _key, images, _pictures):
        self.calls += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self.before:
                await self.before(self.calls)
        finally:
            self.now -= 1
        one, count = Verdict(0.7, 0.5, True, "Rejected", (), 16, 16), len(images)
        return ScoredImages((one,) * count, ({},) * count, "3", "patchcore", None, 1.0, 2.0, 3.0, 1)

    def overloaded(self, error):
        return isinstance(error, FullQueueError)

    def lost_replica(self, error):
        return isinstance(error, LostReplicaError)

    def lost_since(self, moment):
        return self.lost_at is not None and self.lost_at > moment


class NoMeters:
    def request(self, *_):
        pass

    def stage(self, *_):
        pass

    def in_flight(self, _):
        pass

    def drift(self, *_):
        pass

    def refused(self, *_, **__):
        pass

    def unusable(self, _category):
        pass


async def no_sleep(_seconds):
    await asyncio.sleep(0)


def service(graph, **settings):
    return ScoringService(ServingConfig(**settings), graph, NoMeters(), sleep=no_sleep)


def score(scoring, images=(IMAGE,)):
    return asyncio.run(scoring.score("folder", "plate", images))


def test_a_lost_replica_is_asked_again_and_not_forever():
    async def dies_twice(call):
        if call <= 2:
            raise LostReplicaError

    graph = FakeGraph(dies_twice)
    assert score(service(graph)).scored.version == "3"
    assert graph.calls == 3

    async def dies(_call):
        raise LostReplicaError

    graph = FakeGraph(dies)
    with pytest.raises(ServiceError, match="were lost 4 times") as caught:
        score(service(graph))
    assert (caught.value.refusal.status, graph.calls) == (503, ATTEMPTS)


def test_an_error_of_our_own_is_not_tried_again():
    async def broken(_call):
        raise ZeroDivisionError

    graph = FakeGraph(broken)
    with pytest.raises(ZeroDivisionError):
        score(service(graph))
    assert graph.calls == 1


def test_a_full_queue_and_too_many_in_flight_are_429_with_a_time():
    async def full(_call):
        raise FullQueueError

    with pytest.raises(ServiceError, match="Try again in") as caught:
        score(service(FakeGraph(full)))
    assert caught.value.refusal.status == 429
    assert caught.value.retry_after >= 1

    async def slow(_call):
        await asyncio.sleep(0.05)

    graph = FakeGraph(slow)
    scoring = service(graph, max_in_flight=4)

    async def burst():
        asked = (scoring.score("folder", "plate", [IMAGE, IMAGE]) for _ in range(10))
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(burst())
    refused = [a for a in answers if isinstance(a, ServiceError)]
    assert graph.most == 2
    assert len(refused) == 8
    assert {r.refusal.status for r in refused} == {429}
    assert score(scoring).scored.version == "3"  # nothing stays counted


def test_a_deadline_is_one_for_all_tries():
    async def hangs(_call):
        await asyncio.sleep(5)

    with pytest.raises(ServiceError, match=r"no answer within 0\.05 s") as caught:
        score(service(FakeGraph(hangs), request_timeout_s=0.05))
    assert caught.value.refusal.status == 504


def test_an_answer_that_a_lost_replica_owes_is_asked_for_again():
    async def hangs_once(call):
        await asyncio.sleep(60 if call == 1 else 0)

    graph = FakeGraph(hangs_once, lost_at=float("inf"))
    assert score(service(graph, attempt_timeout_s=0.05)).scored.version == "3"
    assert graph.calls == 2


def test_a_slow_answer_is_waited_for_and_scored_once():
    async def slow(_call):
        await asyncio.sleep(0.3)

    graph = FakeGraph(slow)
    assert score(service(graph, attempt_timeout_s=0.02)).scored.version == "3"
    assert graph.calls == 1


def test_what_nobody_waits_for_is_ended():
    async def hangs(_call):
        await asyncio.sleep(60)

    async def give_up(graph):
        with pytest.raises(ServiceError, match="no answer within"):
            await service(graph, request_timeout_s=0.05).score("folder", "plate", [IMAGE])
        await asyncio.sleep(0)
        return graph.now

    assert asyncio.run(give_up(FakeGraph(hangs))) == 0


def test_pixels_in_flight_have_a_budget_that_one_request_may_use_up():
    async def slow(_call):
        await asyncio.sleep(0.05)

    scoring = service(FakeGraph(slow), max_pixels_in_flight=1000)  # IMAGE has 256

    async def burst(*requests):
        asked = (scoring.score("folder", "plate", images) for images in requests)
        return await asyncio.gather(*asked, return_exceptions=True)

    first, second, third = asyncio.run(burst([IMAGE] * 2, [IMAGE] * 2, [IMAGE]))
    assert first.scored.version == third.scored.version == "3"
    assert (second.refusal.status, second.refusal.code) == (429, "overloaded")
    assert "(max_pixels_in_flight)" in second.refusal.message
    assert score(scoring, [IMAGE] * 8).scored.version == "3"  # alone, whatever it has


def asked(app, key=None, client=("127.0.0.1", 1), host="127.0.0.1:8000", **headers):
    async def send():
        transport = httpx.ASGITransport(app, client=client)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as http:
            extra = {"x-api-key": key} if key else {}
            return await http.post(URL, content=IMAGE, headers={**extra, **headers})

    return asyncio.run(send())


def test_a_key_is_demanded_where_one_is_set(monkeypatch):
    monkeypatch.setenv(API_KEY, "sésame")
    app = make_app(service(FakeGraph()))
    remote = ("10.1.2.3", 1)
    assert asked(app).status_code == 401
    assert asked(app, authorization="Bearer wrong").status_code == 401
    assert asked(app, authorization="Basic s").json()["error"]["code"] == "unauthorized"
    monkeypatch.setenv(API_KEY, "sesame")
    assert asked(app, "sesame", client=remote, host="parts.example").status_code == 200
    assert asked(app, authorization="Bearer sesame").status_code == 200


def test_without_a_key_only_loopback_is_answered(monkeypatch):
    monkeypatch.delenv(API_KEY, raising=False)
    app = make_app(service(FakeGraph()))
    assert asked(app).status_code == 200
    assert asked(app, host="localhost:8000").status_code == 200
    assert asked(app, host="[::1]:8000").status_code == 200
    assert asked(app, client=("10.1.2.3", 1)).status_code == 403
    assert asked(app, host="evil.example").status_code == 403
    assert asked(app, **{"x-forwarded-for": "10.0.0.1"}).status_code == 403


def test_files_with_the_names_of_before_are_read():
    before = {"clip": "ViT-B-32", "clip_weights": "laion", "fusion_max_replicas": "3"}
    config = ServingConfig.model_validate(before)
    assert (config.backbone, config.backbone_weights) == ("ViT-B-32", "laion")
    assert config.scorer_max_replicas == 3
    assert config == ServingConfig(
        tracking_uri=config.tracking_uri, backbone="ViT-B-32", backbone_weights="laion",
        scorer_max_replicas=3,
    )  # fmt: skip
    with pytest.raises(ValidationError, match="Extra inputs"):
        ServingConfig.model_validate({"clip": "bundled", "backbone": "bundled"})


@pytest.mark.parametrize(("cpus", "replicas"), [(2, 1), (4, 2), (64, 2), (None, 1)])
def test_there_is_a_spare_replica_where_the_machine_has_room(monkeypatch, cpus, replicas):
    monkeypatch.setattr("os.cpu_count", lambda: cpus)
    config = ServingConfig()
    assert (config.encoder_min_replicas, config.scorer_min_replicas) == (replicas, replicas)
    assert ServingConfig(encoder_max_replicas=1).encoder_max_replicas == 1  # one is taken at a word


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder_max_ongoing": 4}, "never fills"),
        ({"encoder_min_replicas": 3}, "below encoder_min_replicas 3"),
        ({"backbone": "resnet"}, "no backbone 'resnet'"),
        ({"batchsize": 4}, "Extra inputs"),
    ],
)
def test_settings_check_themselves(options, message):
    with pytest.raises(ValidationError, match=message):
        ServingConfig(**options)


def answers(statuses, calls):
    """A transport that answers with these statuses in turn, the last one for ever."""
    good = asyncio.run(_good_answer())

    def handle(_request):
        status = statuses[min(len(calls), len(statuses) - 1)]
        calls.append(status)
        if status is None:
            raise httpx.ConnectError("refused")
        if status == 200:
            return httpx.Response(200, content=good)
        fault = {"error": {"code": "c", "message": "why"}}
        return httpx.Response(status, json=fault, headers={"Retry-After": "0"})

    return httpx.MockTransport(handle)


async def _good_answer():
    transport = httpx.ASGITransport(make_app(service(FakeGraph())), client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        return (await http.post(URL, content=IMAGE)).content


def test_a_client_waits_and_asks_again_where_that_helps():
    calls = []
    with Client("http://x", transport=answers([429, 503, None, 200], calls)) as client:
        assert client.score("folder/plate", [IMAGE]).results[0].score == 0.7
    assert calls == [429, 503, None, 200]
    calls = []
    with (
        Client("http://x", transport=answers([422], calls)) as client,
        pytest.raises(ScoringError, match="why") as caught,
    ):
        client.score("folder/plate", [IMAGE])
    assert (caught.value.status, caught.value.code, calls) == (422, "c", [422])
    calls = []
    with (
        Client("http://x", retries=2, transport=answers([503], calls)) as client,
        pytest.raises(ScoringError),
    ):
        client.score("folder/plate", [IMAGE])
    assert calls == [503] * 3


def test_loads_count_every_request():
    async def load(loop, statuses, **options):
        async with AsyncClient("http://x", retries=0, transport=transports[statuses]) as client:
            return await loop(client, [("folder/plate", [IMAGE])], **options)

    calls = []
    transports = {"good": answers([200], calls), "mixed": answers([200, 429], [])}
    report = asyncio.run(load(open_loop, "good", per_second=200, seconds=0.5))
    assert report.outcomes == {"200": len(calls)}
    assert 60 < len(calls) < 140
    assert report.images == len(calls)
    assert "p99" in report.text()
    report = asyncio.run(load(closed_loop, "mixed", clients=3, count=10))
    assert report.outcomes == {"200": 1, "429": 9}


def test_a_refusal_of_the_graph_is_the_answer():
    class Refusing(FakeGraph):
        async def score(self, *_):
            return Refusal(503, "no_checkpoint", "none can be loaded")

    with pytest.raises(ServiceError, match="none can be loaded"):
        score(service(Refusing()))


def blank(width, height):
    return png(np.zeros((height, width, 3), np.uint8))


@pytest.mark.parametrize(
    ("limits", "images", "told"),
    [
        ({"max_pixels": 255}, [IMAGE], r"image 1 is 16x16; at most 255 .*\(max_pixels\)"),
        ({"max_image_bytes": 20}, [IMAGE], r"bytes; at most 20 are taken \(max_image_bytes\)"),
        ({"max_images": 2}, [IMAGE] * 3, r"at most 2 are taken \(max_images\)"),
        ({"max_request_pixels": 600}, [IMAGE, blank(20, 20)],
         r"656 pixels; at most 600 are taken at once \(max_request_pixels\)"),
    ],
)  # fmt: skip
def test_a_limit_is_told_by_its_setting(limits, images, told):
    async def never(_call):
        raise AssertionError("asked")

    with pytest.raises(ServiceError, match=told) as caught:
        score(service(FakeGraph(never), **limits), images)
    assert caught.value.refusal.status == 413


def test_a_server_takes_what_a_benchmark_reads():
    config = ServingConfig()
    assert (config.max_pixels, config.max_image_bytes) == (MAX_PIXELS, MAX_BYTES)
    assert config.max_image_bytes <= config.max_body_bytes


def test_a_refused_champion_and_scores_that_are_no_numbers_are_counted():
    noted = []

    class Noting(NoMeters):
        def refused(self, category, *, newest):
            noted.append((category, newest))

        def unusable(self, category):
            noted.append((category, "unusable"))

    class Worn(FakeGraph):
        async def score(self, key, images, pictures):
            scored = await super().score(key, images, pictures)
            if self.calls == 1:
                return replace(scored, refused="version 4 is refused: another backbone")
            return scored if self.calls == 2 else Refusal(500, NO_SCORE, "no finite number")

    scoring = ScoringService(ServingConfig(), Worn(), Noting(), sleep=no_sleep)
    score(scoring)
    score(scoring)
    with pytest.raises(ServiceError, match="no finite number"):
        score(scoring)
    part = "folder/plate"
    assert noted == [(part, True), (part, False), (part, "unusable")]
