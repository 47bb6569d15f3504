"""What a scorer keeps in memory follows the champions, on checkpoints of a few numbers."""

import asyncio
import gc
import importlib
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from finegrain.checkpoint import save_detector
from finegrain.decision import Thresholds
from finegrain.decision.thresholds import Expected
from finegrain.detectors import make_detector
from finegrain.serving.config import ServingConfig
from finegrain.serving.messages import EncodedImages, ReadImage, halved
from finegrain.serving.scorer import Scorer
from finegrain.tracking import Champion
from tests.decision.test_decision import Tokens, tokens
from tests.serving.test_champions import wait_until

EXPECTED = Expected(-1.0, 0.2, 8.0)


class Shelf:
    """A registry of checkpoints in a folder: d/c with as many versions as were promoted."""

    def __init__(self, folder):
        self.folder, self.versions, self.asked = folder, 0, None
        self.promote()

    def promote(self):
        detector = make_detector("patchcore", Tokens())
        detector.fit_tokens(tokens(2, 0.1, seed=self.versions))
        version = self.versions + 1
        save_detector(
            detector, self.folder / str(version), dataset="d", category="c", shots=[],
            thresholds=Thresholds.of(EXPECTED, EXPECTED, 5.0),
        )  # fmt: skip
        self.versions = version  # others look on: the files come first

    def champion(self, dataset, category):
        return Champion(dataset, category, str(self.versions), (), self.asked)

    def champions(self):
        return {"d/c": self.champion("d", "c")}

    def fetch(self, _champion, version, _cache):
        return self.folder / version


class EncoderHandle:
    """Tells whose tokens will come."""

    class identity:  # noqa: N801
        @staticmethod
        async def remote():
            return Tokens.name, Tokens.weights_hash


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path)


@pytest.fixture
def graph():
    with warnings.catch_warnings():  # Ray's own classes are of an older pydantic
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("finegrain.serving.graph")


async def opened_again(replica):
    """What Serve keeps of d/c after it dropped d/c while a request scored with it."""
    in_flight = await replica.slot("d/c")
    kept = await replica.slot("d/c")
    assert kept is not in_flight
    del in_flight  # the request is answered
    gc.collect()
    return kept


def test_a_category_that_was_opened_again_still_follows_its_champion(shelf, graph, monkeypatch):
    monkeypatch.setattr(graph, "Registry", lambda _uri: shelf)
    config = ServingConfig(poll_seconds=0.02, cache=shelf.folder)
    replica = graph.ScorerReplica(config, EncoderHandle)
    try:
        slot = asyncio.run(opened_again(replica))
        assert slot.current.version == "1"
        shelf.promote()
        wait_until(lambda: slot.current.version == "2")
    finally:
        replica._scorer.close()


def sent(values):
    """An encoder's answer for one image whose tokens all are the given number."""
    whole = tokens(1, 0.1, seed=3)
    large = tuple(torch.full_like(memory, values) for memory in whole.memories)
    moved = replace(whole, memories=large)
    return EncodedImages((ReadImage(8, 8),), backbone=(Tokens.name, Tokens.weights_hash),
                         decode_ms=0, encode_ms=0, batch_images=1, **halved(moved))  # fmt: skip


def test_large_tokens_travel_as_they_are_and_no_score_is_a_refusal(shelf):
    assert sent(0.25).memories[0].dtype == np.float16
    assert (sent(1e6).memories[0] == 1e6).all()  # half precision ends at 65504
    scorer = Scorer(shelf, (Tokens.name, Tokens.weights_hash), shelf.folder, poll_seconds=60)
    try:
        slot = scorer.open("d/c")
        assert scorer.score(slot, sent(1e6)).images[0].rejected is True
        refused = scorer.score(slot, sent(float("nan")))
        assert (refused.status, refused.code) == (500, "no_score")
        assert "image 1 of 1 is no finite number" in refused.message
    finally:
        scorer.close()


def test_tokens_of_another_shape_than_the_champion_s_get_no_verdict(shelf):
    scorer = Scorer(shelf, (Tokens.name, Tokens.weights_hash), shelf.folder, poll_seconds=60)
    try:
        refused = scorer.score(scorer.open("d/c"), replace(sent(0.25), aspect=7.3))
        assert (refused.status, refused.code) == (503, "champion_changes")
        assert "ask again" in refused.message
    finally:
        scorer.close()


def test_thresholds_follow_what_is_asked_without_another_load(shelf):
    scorer = Scorer(shelf, (Tokens.name, Tokens.weights_hash), shelf.folder, poll_seconds=0.02)
    try:
        slot = scorer.open("d/c")
        first = slot.current
        assert first.thresholds == Thresholds.of(EXPECTED, EXPECTED, 5.0)
        shelf.asked = 1.0
        wait_until(lambda: slot.current.thresholds == Thresholds.of(EXPECTED, EXPECTED, 1.0))
        assert slot.current.detector is first.detector
        shelf.asked = None  # of the version that comes
        shelf.promote()
        wait_until(lambda: slot.current.version == "2")
        assert slot.current.thresholds.false_alarms == 5.0
    finally:
        scorer.close()


def test_a_slot_that_nobody_holds_is_no_longer_followed(shelf):
    scorer = Scorer(shelf, (Tokens.name, Tokens.weights_hash), shelf.folder, poll_seconds=60)
    try:
        slot = scorer.open("d/c")
        assert list(scorer._slots) == ["d/c"]
        del slot
        gc.collect()
        assert list(scorer._slots) == []
    finally:
        scorer.close()


def test_a_category_is_counted_by_its_address(graph, monkeypatch):
    """Ray's metrics raise on what is not ASCII, after the score was there."""
    counted, meters = [], graph.RayMeters()
    stub = SimpleNamespace(inc=lambda tags: counted.append(tags))
    monkeypatch.setattr(meters, "_requests", stub)
    meters.request("folder/螺母 #1", 200, "3")
    meters.request("factory/gear", 200, "3")
    assert [tags["category"] for tags in counted] == [
        "folder/%E8%9E%BA%E6%AF%8D%20%231", "factory/gear",
    ]  # fmt: skip
    graph.RayMeters().request("folder/螺母", 422, "")
