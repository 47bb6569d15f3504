"""What a scorer keeps in memory follows the champions, on checkpoints of a few numbers."""

import asyncio
import gc
import importlib
import time
import warnings
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from finegrain import fit
from finegrain.backbones import RemoteBackbone
from finegrain.checkpoint import WEIGHTS, load_detector, read_config, save_detector
from finegrain.decision import Thresholds
from finegrain.decision.canary import check_canary
from finegrain.decision.thresholds import Expected
from finegrain.detectors import make_detector
from finegrain.errors import InputError
from finegrain.serving.config import ServingConfig
from finegrain.serving.encoder import Encoder
from finegrain.serving.examples import canary_png
from finegrain.serving.messages import EncodedImages, ReadImage, halved
from finegrain.serving.scorer import Scorer
from finegrain.tracking import Champion
from tests.conftest import bundled
from tests.decision.test_decision import Tokens, tokens
from tests.serving.test_champions import wait_until

EXPECTED = Expected(-1.0, 0.2, 8.0)
THRESHOLDS = Thresholds.of(EXPECTED, EXPECTED, 5.0)


class Shelf:
    """A registry of checkpoints in a folder: d/c with as many versions as were promoted.

    `away` are versions that can't be fetched at present; `fetched` are those that were asked for.
    """

    def __init__(self, folder):
        self.folder, self.versions, self.asked = folder, 0, None
        self.away, self.fetched = set(), []
        self.promote()

    def promote(self, change=lambda _folder: None, thresholds=THRESHOLDS):
        detector = make_detector("patchcore", Tokens())
        detector.fit_tokens(tokens(2, 0.1, seed=self.versions))
        version = self.versions + 1
        folder = self.folder / str(version)
        save_detector(detector, folder, dataset="d", category="c", shots=[], thresholds=thresholds)
        change(folder)
        self.versions = version  # others look on: the files come first

    def champion(self, dataset, category):
        earlier = tuple(str(version) for version in range(1, self.versions))
        return Champion(dataset, category, str(self.versions), earlier, self.asked)

    def champions(self):
        return {"d/c": self.champion("d", "c")}

    def fetch(self, _champion, version, _cache):
        self.fetched.append(version)
        if version in self.away:
            raise ConnectionError("the registry is away")
        return self.folder / version


def config_of(shelf, poll_seconds=0.02, **settings):
    return ServingConfig(cache=shelf.folder, poll_seconds=poll_seconds, **settings)


def scorer_of(shelf, config, canary=lambda _aspect: sent(0.25)):
    return Scorer(shelf, (Tokens.name, Tokens.weights_hash), canary, config)


class EncoderHandle:
    """Tells whose tokens will come, and sends the canary's."""

    class identity:  # noqa: N801
        @staticmethod
        async def remote():
            return Tokens.name, Tokens.weights_hash

    class encode:  # noqa: N801
        @staticmethod
        async def remote(images, *, preview, aspect):
            assert (len(images), preview, aspect) == (1, False, None)
            return sent(0.25)


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
    monkeypatch.setattr(graph, "RememberedRegistry", lambda _uri, _folder: shelf)
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
    scorer = scorer_of(shelf, config_of(shelf, poll_seconds=60))
    try:
        slot = scorer.open("d/c")
        assert scorer.score(slot, sent(1e6)).images[0].rejected is True
        refused = scorer.score(slot, sent(float("nan")))
        assert (refused.status, refused.code) == (500, "no_score")
        assert "image 1 of 1 is no finite number" in refused.message
    finally:
        scorer.close()


def test_tokens_of_another_shape_than_the_champion_s_get_no_verdict(shelf):
    with scoring(shelf) as scorer:
        refused = scorer.score(scorer.open("d/c"), replace(sent(0.25), aspect=7.3))
        assert (refused.status, refused.code) == (503, "champion_changes")
        assert "ask again" in refused.message


def test_thresholds_follow_what_is_asked_without_another_load(shelf):
    scorer = scorer_of(shelf, config_of(shelf, poll_seconds=0.02))
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
    scorer = scorer_of(shelf, config_of(shelf, poll_seconds=60))
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


def spoilt_by(change):
    """Promotes a checkpoint whose tensors are changed."""

    def changed(folder):
        state = load_file(folder / WEIGHTS)
        save_file({name: change(value).contiguous() for name, value in state.items()},
                  folder / WEIGHTS)  # fmt: skip

    return lambda shelf: shelf.promote(changed)


def with_canary(score):
    return lambda shelf: shelf.promote(thresholds=replace(THRESHOLDS, canary=score))


UNSOUND = {
    "a wrong shape": (spoilt_by(lambda tensor: tensor[..., :-1]), "version 2 is refused: "),
    "no number": (spoilt_by(lambda tensor: tensor / 0), "values that are not finite"),
    "numbers beyond all": (spoilt_by(lambda tensor: tensor * 1e10), "the canary scores"),
    "another detector": (with_canary(3.0), "and 3 when the detector was calibrated"),
}


@contextmanager
def scoring(shelf, **settings):
    scorer = scorer_of(shelf, config_of(shelf, **settings))
    try:
        yield scorer
    finally:
        scorer.close()


@pytest.mark.parametrize("fault", UNSOUND)
def test_a_champion_that_is_not_sound_leaves_the_one_before(shelf, fault):
    promote, told = UNSOUND[fault]
    with scoring(shelf) as scorer:
        slot = scorer.open("d/c")
        promote(shelf)
        wait_until(lambda: slot.warning)
        assert told in slot.warning
        assert slot.current.version == "1"
        again = scorer.open("d/c")  # as a process that starts now
        assert (again.current.version, again.warning) == ("1", slot.warning)
        asked = shelf.fetched.count("2")
        time.sleep(0.1)
        assert shelf.fetched.count("2") == asked
        shelf.promote()
        wait_until(lambda: again.current.version == "3" and not again.warning)


def test_a_champion_that_scores_the_canary_as_it_did_is_taken(shelf):
    with scoring(shelf) as scorer:
        then = scorer.score(scorer.open("d/c"), sent(0.25)).images[0].score
        slot = scorer.open("d/c")
        tenth = 0.1 * THRESHOLDS.image
        shelf.promote(thresholds=replace(THRESHOLDS, canary=then + tenth))
        wait_until(lambda: slot.current.version == "2")
        shelf.promote(thresholds=replace(THRESHOLDS, canary=then + 5 * tenth))
        wait_until(lambda: slot.warning)
        assert slot.current.version == "2"


def test_a_champion_that_can_t_be_read_now_is_tried_again_and_the_one_before_answers(shelf):
    shelf.promote()
    shelf.away = {"2"}
    with scoring(shelf) as scorer:
        slot = scorer.open("d/c")
        assert slot.current.version == "1"
        assert "version 2 can't be read now: the registry is away" in slot.warning
        shelf.away = set()
        wait_until(lambda: slot.current.version == "2" and not slot.warning)
        shelf.away = {"1", "2"}
        with pytest.raises(InputError, match="no champion of d/c can be loaded: version 1 can't"):
            scorer.open("d/c")


def test_a_detector_that_may_not_serve_is_refused(shelf):
    told = "patchcore may not serve here; may: padim, spade"
    with scoring(shelf, detectors="padim,spade") as scorer, pytest.raises(InputError, match=told):
        scorer.open("d/c")


def test_an_encoder_that_is_away_refuses_no_champion(shelf):
    """The canary can't be had: what answers stays, and the new one is tried again."""
    fault = []

    def canary(_aspect):
        if fault:
            raise ConnectionError(fault[0])
        return sent(0.25)

    fault.append("no encoder")
    scorer = scorer_of(shelf, config_of(shelf), canary)
    try:
        with pytest.raises(InputError, match="version 1 can't be read now: no encoder"):
            scorer.open("d/c")
        fault.clear()
        assert scorer.open("d/c").current.version == "1"
    finally:
        scorer.close()


@pytest.mark.parametrize("shape", [(64, 64, 3), (48, 192, 3)])
def test_the_encoder_s_canary_scores_as_it_did_when_the_part_was_fitted(shelf, shape):
    """Narrow parts have another grid; both paths are the real ones."""
    generator = np.random.default_rng(0)
    shots = [generator.integers(90, 160, shape, np.uint8) for _ in range(2)]
    part = fit(shots, method="anomalydino", category="c")
    part.save(shelf.folder / "fitted")
    config = read_config(shelf.folder / "fitted")
    assert (config.aspect is None) == (shape[0] == shape[1])
    encoder = Encoder(bundled(), threads=1)
    prepared = encoder.prepare([canary_png()], preview=False)
    tokens = encoder.encode([(prepared[0][1], config.aspect)])
    sent = encoder.gathered(
        prepared, tokens, aspect=config.aspect, decode_ms=0, encode_ms=0, batch_images=1
    )
    remote = RemoteBackbone(*encoder.identity)
    detector = load_detector(shelf.folder / "fitted", remote)
    [score] = detector.score(sent.tokens()).image_scores
    assert score == pytest.approx(config.thresholds.canary, rel=1e-3)
    check_canary(float(score), config.thresholds)
