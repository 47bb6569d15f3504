"""Enrolment, corrections and their way back, over HTTP in this process: real fits, no cluster."""

import asyncio
import json
from contextlib import contextmanager
from dataclasses import replace
from typing import get_args
from unittest.mock import Mock

import httpx
import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from scipy import stats

from finegrain import fit
from finegrain.checkpoint import read_config
from finegrain.cli.main import main
from finegrain.data import load_category
from finegrain.data.images import read_mask
from finegrain.decision import Thresholds
from finegrain.evaluation.figures import png
from finegrain.serving import sensitivity
from finegrain.serving.config import API_KEY, KEYS_FILE, ServingConfig
from finegrain.serving.corrections import Corrections
from finegrain.serving.enrolment import Enrolments, Order, State, Step, checked_name
from finegrain.serving.fit_part import fit_part
from finegrain.serving.http import make_app
from finegrain.serving.messages import ScoredImages, ServiceError
from finegrain.serving.part_routes import part_router
from finegrain.serving.parts import Parts
from finegrain.serving.preview import preview
from finegrain.serving.sensitivity import Sensitivities
from finegrain.serving.service import ScoringService
from finegrain.tracking import PartRuns, Registry
from finegrain.tracking.audit import changes
from tests.conftest import striped
from tests.databases import new_database
from tests.serving.test_service import FakeGraph, NoMeters, no_sleep

PLATE = "/v1/categories/own/plate"
GENERATOR = np.random.default_rng(5)
PHOTOS = [png(striped(GENERATOR)[0]) for _ in range(4)]
BAD = png(striped(GENERATOR, defect=True)[0])
ORDER = Order("own", "plate", tuple(PHOTOS[:1]), "patchcore", {})


class Graph(FakeGraph):
    """Serves what the registry has; its verdicts are made up."""

    def __init__(self, registry):
        super().__init__()
        self.registry = registry

    async def champions(self):
        return self.registry.champions()

    async def score(self, *asked) -> ScoredImages:
        scored = await super().score(*asked)
        return replace(scored, images=tuple(replace(v, width=64, height=64) for v in scored.images))


class Direct:
    """Fits in a thread of this process."""

    def __init__(self, config):
        self.config, self.orders = config, []

    async def fit(self, order):
        self.orders.append(order)
        for step in await asyncio.to_thread(lambda: list(fit_part(order, self.config))):
            yield step

    async def preview(self, order):
        return await asyncio.to_thread(preview, order, self.config)


class Held:
    """Reaches "fitting", then waits; raises what it is given."""

    def __init__(self, error=None):
        self.error, self.closed = error, 0
        self.go = asyncio.Event()

    async def fit(self, _order):
        try:
            yield Step("fitting")
            await self.go.wait()
            if self.error:
                raise self.error
            yield Step("ready", version="1")
        finally:
            self.closed += 1

    async def preview(self, _order):
        await self.go.wait()
        raise self.error


class Site:
    """The routes over a registry of its own."""

    def __init__(self, folder, fitter=None, **settings):
        self.uri = new_database(folder / "mlflow")
        self.config = ServingConfig(tracking_uri=self.uri, cache=folder / "cache", **settings)
        self.registry, self.runs = Registry(self.uri), PartRuns(self.uri)
        self.fitter = fitter or Direct(self.config)
        self.graph = Graph(self.registry)
        service = ScoringService(self.config, self.graph, NoMeters(), sleep=no_sleep)
        self.enrolments = Enrolments(
            self.fitter, self.config.enrol_at_once, self.config.enrol_timeout_s, self.refresh
        )
        router = part_router(
            Parts(service, self.enrolments, self.registry, self.refresh),
            Corrections(service, self.enrolments, self.registry, self.runs),
            Sensitivities(service, self.registry, self.runs, self.refresh),
        )
        self.app = make_app(service, router)

    async def refresh(self):
        pass

    def run(self, talk):
        async def talking():
            transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                return await talk(http)

        return asyncio.run(talking())

    def ask(self, method, url, **options):
        return self.run(lambda http: http.request(method, url, **options))

    def enrolled(self, url=PLATE, photos=PHOTOS[:1], **options):
        """The states of an enrolment that is taken."""

        async def talk(http):
            answer = await http.post(url, files=files(photos), **options)
            assert answer.status_code == 202, answer.text
            return events((await http.get(answer.json()["progress"])).text)

        return self.run(talk)

    def corrected(self, **form):
        """The answer, and the states of what came of it."""

        async def talk(http):
            answer = await http.post(f"{PLATE}/feedback", **form)
            if not answer.is_success or not answer.json()["progress"]:
                return answer, []
            return answer, events((await http.get(answer.json()["progress"])).text)

        return self.run(talk)


def files(photos):
    return [("photos", ("photo.jpg", photo)) for photo in photos]


def events(text):
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def said(image, **fields):
    return {"files": [("image", ("image.png", image))], "data": fields}


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


@pytest.fixture
def plate(site):
    """The site with own/plate on one photo."""
    assert list(fit_part(ORDER, site.config))[-1].version == "1"
    return site


def test_photos_become_a_champion_with_the_thresholds_of_a_fit_in_python(site, tmp_path):
    states = site.enrolled(photos=PHOTOS[:2], data={"method": "patchcore"})
    assert [one["state"] for one in states] == list(get_args(State))[:-1]
    champion = site.registry.champion("own", "plate")
    config = read_config(site.registry.fetch(champion, "1", tmp_path / "fetched"))
    for place, photo in enumerate(PHOTOS[:2]):
        (tmp_path / f"{place}.png").write_bytes(photo)
    by_hand = fit([tmp_path / "0.png", tmp_path / "1.png"], method="patchcore")
    assert config.thresholds.image == pytest.approx(by_hand.thresholds.image, rel=1e-5)
    assert [shot.sha256 for shot in config.shots] == [shot.sha256 for shot in by_hand.shots]
    kept = site.runs.photos(site.registry.run_of(champion), tmp_path / "kept")
    assert [path.read_bytes() for path in kept] == PHOTOS[:2]


def test_a_preview_is_what_the_fit_would_learn_and_leaves_nothing(site):
    white = png(np.full((64, 64, 3), 255, np.uint8))
    form = {"files": files([*PHOTOS[:3], white]), "data": {"method": "finegrained"}}
    seen = site.ask("POST", f"{PLATE}/preview", **form).json()
    assert [fault.partition(":")[0] for fault in seen["faults"]] == ["photo 4 is over-exposed"]
    assert len(seen["pictures"]) == 4
    assert site.registry.champions() == {}
    record = yaml.safe_load(seen["caption"])
    assert (record["category"], record["provenance"]["source"]) == ("plate", "photos")
    record["defects"] = ["rust"]
    form["files"].append(("caption", yaml.safe_dump(record)))
    again = site.ask("POST", f"{PLATE}/preview", **form).json()
    assert yaml.safe_load(again["caption"])["defects"] == ["rust"]
    other = {"files": files(PHOTOS[:2]), "data": {"method": "patchcore"}}
    assert site.ask("POST", f"{PLATE}/preview", **other).json() == {
        "faults": [], "caption": None, "pictures": []
    }  # fmt: skip
    damaged = site.ask("POST", f"{PLATE}/preview", files=files([PHOTOS[2][:-600]]))
    assert (damaged.status_code, "damaged" in damaged.text) == (422, True)


def test_previews_are_few_at_once_and_end_in_time(tmp_path):
    async def talk(http):
        first = asyncio.create_task(http.post(f"{PLATE}/preview", files=files(PHOTOS)))
        await asyncio.sleep(0.05)
        second = await http.post(f"{PLATE}/preview", files=files(PHOTOS))
        return await first, second, await http.post(f"{PLATE}/preview", files=files(PHOTOS))

    site = Site(tmp_path, Held(), enrol_at_once=1, enrol_timeout_s=0.3)
    assert [answer.status_code for answer in site.run(talk)] == [503, 429, 503]


def test_methods_that_can_be_served_are_listed_the_usual_one_first(site):
    listed = site.ask("GET", "/v1/methods").json()["methods"]
    names = [method["name"] for method in listed]
    assert names[0] == "anomalydino"
    assert "winclip" not in names  # it needs windows
    assert [m["name"] for m in listed if m["needs_caption"]] == ["finegrained"]


def test_the_last_scores_of_a_part_are_told_from_thirty_on(plate):
    assert plate.ask("GET", f"{PLATE}/scores").json() == {"deviations": [], "drift": None}


def test_states_come_in_order_and_a_late_listener_hears_all(tmp_path):
    async def talk(http):
        site.fitter.go.clear()
        await http.post(PLATE, files=files(PHOTOS))
        early = asyncio.create_task(http.get(f"{PLATE}/enrolment"))
        await asyncio.sleep(0.05)
        site.fitter.go.set()
        return events((await early).text), events((await http.get(f"{PLATE}/enrolment")).text)

    site = Site(tmp_path, Held())
    early, late = site.run(talk)
    assert early == late
    assert [event["state"] for event in early] == ["received", "fitting", "ready"]
    assert early[-1]["version"] == "1"


def test_one_enrolment_of_a_part_and_a_few_in_all(tmp_path):
    async def talk(http):
        first = await http.post(PLATE, files=files(PHOTOS))
        same = await http.post(PLATE, files=files(PHOTOS))
        other = await http.post(f"{PLATE}2", files=files(PHOTOS))
        third = await http.post(f"{PLATE}3", files=files(PHOTOS))
        site.fitter.go.set()
        await http.get(f"{PLATE}/enrolment")
        again = await http.post(PLATE, files=files(PHOTOS))
        return [first, same, other, third, again]

    site = Site(tmp_path, Held(), enrol_at_once=2)
    answers = site.run(talk)
    assert [answer.status_code for answer in answers] == [202, 409, 202, 429, 202]
    assert "own/plate is being enrolled" in answers[1].text
    assert "retry-after" in answers[3].headers


@pytest.mark.parametrize(
    ("fitter", "settings", "words"),
    [
        (lambda: Held(RuntimeError("no memory")), {}, "RuntimeError: no memory"),
        (Held, {"enrol_timeout_s": 0.05}, "not done within 0.05 s"),
    ],
)
def test_what_ends_half_way_is_told_and_leaves_nothing(tmp_path, fitter, settings, words):
    site = Site(tmp_path, fitter(), **settings)
    if site.fitter.error:
        site.fitter.go.set()
    last = site.enrolled()[-1]
    assert last["state"] == "failed"
    assert words in last["message"]
    assert site.fitter.closed == 1
    assert site.registry.champions() == {}


def test_a_damaged_photo_and_a_champion_that_changed_leave_the_champion(plate):
    damaged = PHOTOS[2][:-600]
    steps = list(fit_part(replace(ORDER, photos=(damaged,), before="1"), plate.config))
    assert steps[-1].state == "failed"
    assert "damaged or cut short" in steps[-1].message
    steps = list(fit_part(ORDER, plate.config))
    assert "became version 1 meanwhile" in steps[-1].message
    steps = list(
        fit_part(
            replace(ORDER, method="winclip", options={"object_name": "plate"}, before="1"),
            plate.config,
        )
    )
    assert "needs windows" in steps[-1].message
    assert plate.registry.champion("own", "plate").version == "1"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("log_artifacts", OSError(28, "No space left on device")),
        ("create_model_version", MlflowException("away")),
    ],
)
def test_a_full_disk_and_a_registry_that_goes_leave_the_champion(plate, monkeypatch, call, error):
    def fails(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, fails)
        failed = plate.enrolled(params={"replace": True}, data={"method": "patchcore"})[-1]
    assert (failed["state"], str(error) in failed["message"]) == ("failed", True)
    assert plate.registry.champion("own", "plate").version == "1"
    again = plate.enrolled(params={"replace": True}, data={"method": "patchcore"})
    assert again[-1]["version"] == "2"


def test_where_scoring_is_overloaded_an_enrolment_waits_as_well(tmp_path):
    async def talk(http):
        scoring = asyncio.create_task(http.post(f"{PLATE}/score", content=BAD))
        while not site.graph.now:
            await asyncio.sleep(0.01)
        busy = await http.post(f"{PLATE}2", files=files(PHOTOS))
        go.set()
        await scoring
        return busy, await http.post(f"{PLATE}2", files=files(PHOTOS))

    async def slow(_call):
        await go.wait()

    site, go = Site(tmp_path, Held(), max_in_flight=1), asyncio.Event()
    assert list(fit_part(ORDER, site.config))[-1].state == "ready"
    site.graph.before = slow
    busy, later = site.run(talk)
    assert (busy.status_code, later.status_code) == (429, 202)
    assert "retry-after" in busy.headers


def test_two_parts_never_share_a_registered_model(plate):
    other = replace(ORDER, dataset="own-plate", category="x")
    assert list(fit_part(other, plate.config))[-1].state == "ready"
    steps = list(fit_part(replace(other, dataset="own", category="plate-x"), plate.config))
    assert "is of another part" in steps[-1].message
    assert sorted(plate.registry.champions()) == ["own-plate/x", "own/plate"]


TOO_LARGE = png(np.zeros((300, 300, 3), np.uint8))
REFUSED = {
    "no photo": ({"data": {"method": "padim"}, "files": {"caption": b"x"}}, 422, "no photo came"),
    "nine": ({"files": files([png(np.full((9, 9, 3), n, np.uint8)) for n in range(9)])}, 413, "8"),
    "twenty": ({"files": files(PHOTOS * 5)}, 413, "more than 8"),
    "a text": ({"files": files([PHOTOS[0], b"not a photo"])}, 415, "image 2 is not an image"),
    "an empty file": ({"files": files([b""])}, 422, "image 1 is empty"),
    "one twice": ({"files": files([*PHOTOS, PHOTOS[1]])}, 422, "image 5 is the same file"),
    "too many pixels": ({"files": files([TOO_LARGE])}, 413, "at most 80,000 pixels"),
    "too long": ({"files": files([bytes(300_000)])}, 413, "at most 200,000"),
    "too long a body": ({"files": files([bytes(1_100_000)])}, 413, "body"),
    "an image as the body": ({"content": PHOTOS[0]}, 415, "send a form"),
    "an unknown method": ({"files": files(PHOTOS), "data": {"method": "magic"}}, 422, "magic"),
    "a caption for nothing": (
        {"files": [*files(PHOTOS), ("caption", b"x: y")], "data": {"method": "padim"}},
        422, "reads no caption",
    ),
    "false alarms": ({"files": files(PHOTOS), "data": {"false_alarms": "x"}}, 422, "a number"),
    "no false alarm": ({"files": files(PHOTOS), "data": {"false_alarms": "0"}}, 422, "0.1 to 50"),
    "no YAML": ({"files": [*files(PHOTOS), ("caption", b"x: [")]}, 422, "cannot be read"),
    "no record": ({"files": [*files(PHOTOS), ("caption", b"x: y")]}, 422, "is no caption"),
    "another site": (
        {"files": files(PHOTOS), "headers": {"origin": "http://a.example"}}, 403, "a.example",
    ),
    "a foreign host": ({"files": files(PHOTOS), "headers": {"host": "a.example"}}, 403, "loopback"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_enrolled_gets_a_clear_answer(tmp_path, name):
    request, status, words = REFUSED[name]
    limits = {"max_pixels": 80_000, "max_image_bytes": 200_000, "max_body_bytes": 1_000_000}
    site = Site(tmp_path, Held(), **limits)
    answer = site.ask("POST", PLATE, **request)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]["message"]
    assert site.ask("GET", f"{PLATE}/enrolment").status_code == 404


def test_a_key_is_needed_where_one_is_set_and_frees_from_the_page(site, monkeypatch):
    monkeypatch.setenv(API_KEY, "secret")
    assert site.ask("POST", PLATE, files=files(PHOTOS)).status_code == 401
    key = {"x-api-key": "secret", "origin": "https://proxy.example"}
    assert site.ask("POST", f"{PLATE}/rollback", headers=key).status_code == 404


@pytest.mark.parametrize("name", ["plate", "Plate 2", "电路板", "Zahnrad_ü.v2", "क़ील-3", "x" * 80])
def test_names_that_can_be_stored(name):
    assert checked_name(name, "part")


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a/b", "a#b", "a:b", "..", "a\n", "x" * 81, "板" * 27, "a'b", "%2F"]
)
def test_names_that_cannot_say_what_can(name):
    with pytest.raises(ServiceError, match="allowed are letters and digits of any script"):
        checked_name(name, "part")


def test_odd_names_over_http(site):
    states = site.enrolled("/v1/categories/own/%E6%9D%BF%20u%CC%88", data={"method": "patchcore"})
    assert states[-1]["state"] == "ready"
    assert list(site.registry.champions()) == ["own/板 ü"]  # composed, as everybody else writes it
    again = site.ask("POST", "/v1/categories/own/%E6%9D%BF%20u%CC%88", files=files(PHOTOS))
    assert (again.status_code, "exists" in again.text) == (409, True)
    assert site.ask("POST", "/v1/categories/own/a%23b", files=files(PHOTOS)).status_code == 422
    answer = site.ask("POST", "/v1/categories/own/a%2Fb", files=files(PHOTOS))
    assert (answer.status_code, "no name can hold '/'" in answer.text) == (404, True)


def test_a_part_that_exists_is_only_replaced_on_request_and_comes_back(plate):
    answer = plate.ask("POST", PLATE, files=files(PHOTOS))
    assert answer.status_code == 409
    assert "replace=true" in answer.text
    again = plate.enrolled(
        photos=PHOTOS[1:2], params={"replace": True}, data={"method": "patchcore"}
    )
    assert again[-1]["version"] == "2"
    assert plate.ask("POST", f"{PLATE}/rollback").json()["version"] == "1"
    none_left = plate.ask("POST", f"{PLATE}/rollback")
    assert (none_left.status_code, "no earlier champion" in none_left.text) == (409, True)
    assert plate.ask("DELETE", PLATE).json()["category"] == "plate"
    assert plate.registry.champions() == {}
    assert plate.ask("DELETE", PLATE).status_code == 404
    assert plate.enrolled(data={"method": "patchcore"})[-1]["version"] == "3"
    assert [(c.what, c.who, c.after) for c in changes(plate.uri, "own/plate")[-4:]] == [
        ("enrolled", "127.0.0.1", "2"), ("rolled back", "127.0.0.1", "1"),
        ("withdrawn", "127.0.0.1", None), ("enrolled", "127.0.0.1", "3"),
    ]  # fmt: skip


def test_a_key_for_scoring_alone_changes_no_part(plate, tmp_path, monkeypatch):
    (tmp_path / "keys").write_text("line: {keys: [one], changes: false}\nlead: {keys: [two]}\n")
    monkeypatch.setenv(KEYS_FILE, str(tmp_path / "keys"))
    for method, url in (("DELETE", PLATE), ("POST", f"{PLATE}/rollback"), ("POST", PLATE)):
        answer = plate.ask(method, url, headers={"x-api-key": "one"})
        assert (answer.status_code, "change no part" in answer.text) == (403, True)
    assert plate.ask("DELETE", PLATE, headers={"x-api-key": "two"}).status_code == 200
    assert changes(plate.uri)[-1].who == "lead"


def test_a_good_part_joins_the_photos_and_a_missed_defect_the_feedback(plate, tmp_path, capsys):
    answer, states = plate.corrected(**said(PHOTOS[2], kind="good"))
    assert states[-1] == states[-1] | {"state": "ready", "version": "2"}
    assert plate.fitter.orders[-1].photos == (PHOTOS[0], PHOTOS[2])
    assert plate.fitter.orders[-1].method == "patchcore"
    answer, states = plate.corrected(**said(BAD, kind="missed", box="4,8,40,50"))
    assert (answer.status_code, states) == (202, [])
    champion = plate.registry.champion("own", "plate")
    assert champion.version == "2"
    good, missed = plate.runs.feedback(champion, tmp_path / "feedback")
    assert (good.kind, missed.kind, missed.box) == ("good", "missed", (4, 8, 40, 50))
    assert (tmp_path / "feedback" / missed.image).read_bytes() == BAD
    assert (missed.score, missed.who) == (0.7, "127.0.0.1")

    again, _ = plate.corrected(**said(PHOTOS[2], kind="good"))
    assert (again.status_code, "fitted on that very image" in again.text) == (409, True)
    plate.registry.rollback("own", "plate")
    command = ["feedback", "own/plate", "--out", str(tmp_path / "set"), "--tracking-uri", plate.uri]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert told.split() == ["train/good", "1", "test/good", "1", "test/missed", "1"]
    assert main(command) == 2  # it is there
    category = load_category("folder", tmp_path / "set", "plate")
    [sample] = [sample for sample in category.test if sample.mask]
    assert sample.path.read_bytes() == BAD
    rows, columns = np.nonzero(read_mask(sample.mask, 64, 64))
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (4, 8, 39, 49)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A site whose plate has as many photos as it may."""
    site = Site(tmp_path_factory.mktemp("full"), max_shots=1)
    assert list(fit_part(ORDER, site.config))[-1].state == "ready"
    return site


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        (said(BAD, kind="missed"), 422, "say where"),
        (said(BAD, kind="missed", box="4,8,65,50"), 422, "not within 64x64"),
        (said(BAD, kind="missed", box="4,8,4,50"), 422, "not within"),
        (said(BAD, kind="missed", box="a"), 422, "LEFT,TOP,RIGHT,BOTTOM"),
        (said(BAD, kind="good", box="1,2,3,4"), 422, "leave the box out"),
        (said(BAD, kind="bad"), 422, "needed good or missed"),
        (said(b"text", kind="good"), 415, "is not an image"),
        ({"files": files(PHOTOS[:2]), "data": {"kind": "good"}}, 422, "2 images came"),
        (said(PHOTOS[3], kind="good"), 409, "the most a part may"),
    ],
)
def test_corrections_that_cannot_be_taken(full, form, status, words):
    answer, _ = full.corrected(**form)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert full.registry.champion("own", "plate").version == "1"


def test_another_number_of_false_alarms_stays_with_its_version(plate, tmp_path):
    def asked():
        return plate.ask("GET", f"{PLATE}/sensitivity").json()["false_alarms"]

    def ask(false_alarms):
        wish = {"false_alarms": false_alarms}
        return plate.ask("PUT", f"{PLATE}/sensitivity", json=wish).status_code

    assert asked() == 5.0
    assert [ask(2.5), ask(0), ask(60), ask("x")] == [200, 422, 422, 422]
    assert asked() == 2.5
    _, states = plate.corrected(**said(PHOTOS[2], kind="good"))
    champion = plate.registry.champion("own", "plate")
    assert states[-1]["version"] == champion.version == "2"
    assert champion.false_alarms is None  # it was fitted for 2.5
    fetched = plate.registry.fetch(champion, "2", tmp_path / "fetched")
    assert read_config(fetched).thresholds.false_alarms == 2.5
    assert ask(10) == 200
    assert plate.registry.rollback("own", "plate").version == "1"
    assert asked() == 2.5


def test_the_feedback_says_where_it_tips_over(plate, tmp_path):
    plate.corrected(**said(BAD, kind="missed", box="4,8,40,50"))
    plate.corrected(**said(PHOTOS[0], kind="good"))  # the one that it was fitted on
    [tipping] = plate.ask("GET", f"{PLATE}/sensitivity").json()["feedback"]
    champion = plate.registry.champion("own", "plate")
    fetched = plate.registry.fetch(champion, "1", tmp_path / "fetched")
    thresholds = read_config(fetched).thresholds
    assert tipping["kind"] == "missed"
    score = 0.7  # of every image here
    share = 100 * (1 - stats.t.cdf(
        (np.log(score) - thresholds.scores.location) / thresholds.scores.scale,
        thresholds.scores.freedom,
    ))  # fmt: skip
    assert tipping["false_alarms"] == pytest.approx(share, abs=1e-3)


def test_what_was_fitted_before_cannot_be_asked(plate, monkeypatch):
    monkeypatch.setattr(sensitivity, "read_config", lambda _: Mock(thresholds=Thresholds(1.0, 1.0)))
    answer = plate.ask("PUT", f"{PLATE}/sensitivity", json={"false_alarms": 2})
    assert (answer.status_code, "fit it again" in answer.text) == (409, True)


@contextmanager
def away(site, monkeypatch):
    def refuses(*_, **__):
        raise ConnectionError("refused")

    with monkeypatch.context() as patch:
        patch.setattr(site.registry, "rollback", refuses)
        yield


def test_a_registry_that_is_away_is_503(plate, monkeypatch):
    with away(plate, monkeypatch):
        answer = plate.ask("POST", f"{PLATE}/rollback")
    assert (answer.status_code, "refused" in answer.text) == (503, True)
