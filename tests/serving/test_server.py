"""A real server over real HTTP, against the detectors in this process."""

import base64
import io
import json
import os
import re
import shutil
import struct
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from zlib import crc32

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from finegrain.backbones import encode
from finegrain.checkpoint import CONFIG, WEIGHTS
from finegrain.data.images import decode_rgb
from finegrain.evaluation.figures import png
from finegrain.factory import render
from finegrain.loopback import free_ports, is_free
from finegrain.serving.client import Client, ScoringError
from tests.conftest import bundled
from tests.serving.champions import CATEGORIES, PCB, PIXELS, fitted, logged, picture
from tests.serving.clients import *  # noqa: F403 - one server for all tests that ask it
from tests.serving.hostile import *  # noqa: F403

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip


def test_scores_over_http_are_those_of_the_detector(server, champions):
    with Client(server.address) as client:
        for category, count in zip(CATEGORIES, (7, 5, 3), strict=True):
            detector, thresholds = champions.detectors[category]
            images = [picture(category, i) for i in range(count)]
            expected = detector.score(encode(bundled(), [decode_rgb(data) for data in images]))
            answers = [
                result
                for start in range(0, count, 5)
                for result in client.score(f"factory/{category}", images[start : start + 5]).results
            ]
            np.testing.assert_allclose([a.score for a in answers], expected.image_scores, atol=1e-3)
            assert all(a.threshold == pytest.approx(thresholds.image) for a in answers)
            assert [a.rejected for a in answers] == [a.score > a.threshold for a in answers]
            peaks = expected.anomaly_maps.max((1, 2))
            for answer, peak in zip(answers, peaks, strict=True):
                if abs(peak - thresholds.pixel) > 1e-3:
                    assert bool(answer.regions) == (peak > thresholds.pixel)
                if answer.regions:
                    assert answer.regions[0].score == pytest.approx(peak, abs=1e-3)
                    assert answer.regions[0].caption in dict(detector.units).values()


def test_an_overlay_is_a_picture_of_the_images_size_with_the_verdict_in_headers(http):
    answer = http.post(PCB, params={"heatmap": "png"}, content=PIXELS)
    assert answer.headers["content-type"] == "image/png"
    assert decode_rgb(answer.content).shape == decode_rgb(PIXELS).shape
    assert (float(answer.headers["x-score"]) > float(answer.headers["x-threshold"])) == json.loads(
        answer.headers["x-rejected"]
    )


def test_pictures_come_with_the_answer_when_asked_for(http):
    answer = http.post(PCB, params={"pictures": "heatmap,components,overlay"}, content=PIXELS)
    pictures = answer.json()["results"][0]["pictures"]
    assert sorted(pictures) == ["components", "heatmap", "overlay"]
    assert Image.open(io.BytesIO(base64.b64decode(pictures["heatmap"]))).mode == "RGBA"


def test_a_bad_image_among_good_ones_is_its_own_error(http):
    parts = [("images", ("a.png", PIXELS)), ("images", ("b.png", PIXELS[:900])),
             ("images", ("c.png", PIXELS))]  # fmt: skip
    results = http.post(PCB, files=parts).json()["results"]
    assert [r["error"] and r["error"]["code"] for r in results] == [None, "undecodable", None]
    assert results[0]["score"] == pytest.approx(results[2]["score"], abs=1e-5)
    assert results[1]["score"] is None


def test_categories_captions_health_and_documentation(http):
    listed = http.get("/v1/categories").json()["categories"]
    assert [c["category"] for c in listed] == list(CATEGORIES)
    caption = http.get("/v1/categories/factory/gear/caption").json()
    assert caption["foreground"] == "gear"
    assert caption["components"][0]["caption"]
    assert http.get("/healthz").json() == {"status": "ok"}
    deadline = time.monotonic() + 30  # the first canary makes scorers load each champion
    while not all(one["ready"] for one in http.get("/v1/categories").json()["categories"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert http.get("/readyz").json() == {"ready": True}
    paths = http.get("/openapi.json").json()["paths"]
    assert "/v1/categories/{dataset}/{category}/score" in paths


def test_the_open_inference_protocol_scores_alike(http):
    plain = http.post(PCB, content=PIXELS).json()["results"][0]["score"]
    name = "finegrain-factory-pcb"
    assert http.get("/v2/health/ready").json() == {"ready": True}
    assert http.get(f"/v2/models/{name}").json()["inputs"][0]["datatype"] == "BYTES"
    assert http.get(f"/v2/models/{name}/ready").json()["ready"] is True
    data = base64.b64encode(PIXELS).decode()
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES"}
    asked = {"id": "7", "inputs": [{**tensor, "data": [data]}]}
    answer = http.post(f"/v2/models/{name}/infer", json=asked).json()
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert answer["id"] == "7"
    assert outputs["image_score"]["data"][0] == pytest.approx(plain, abs=1e-6)
    assert outputs["rejected"]["datatype"] == "BOOL"

    pixels = np.stack([decode_rgb(PIXELS)] * 2)
    for sent, shape, kind in (
        (struct.pack("<I", len(PIXELS)) + PIXELS, [1], "BYTES"),
        (pixels.tobytes(), list(pixels.shape), "UINT8"),
    ):
        size = {"binary_data_size": len(sent)}
        tensor = {"name": "image", "shape": shape, "datatype": kind, "parameters": size}
        wanted = [{"name": "image_score"},
                  {"name": "anomaly_map", "parameters": {"binary_data": True}}]  # fmt: skip
        head = json.dumps({"inputs": [tensor], "outputs": wanted}).encode()
        length = {"Inference-Header-Content-Length": str(len(head))}
        answer = http.post(f"/v2/models/{name}/infer", content=head + sent, headers=length)
        end = int(answer.headers["inference-header-content-length"])
        score, map_ = json.loads(answer.content[:end])["outputs"]
        assert score["data"] == pytest.approx([plain] * shape[0], abs=1e-6)
        assert map_["shape"] == [shape[0], 400, 400]
        values = np.frombuffer(answer.content[end:], np.float32)
        assert values.size == shape[0] * 400 * 400
        assert values.max() > 0


def _gif():
    stream = io.BytesIO()
    Image.new("RGB", (32, 32)).save(stream, "GIF")
    return stream.getvalue()


def _tiff():
    """A picture that no browser but Safari draws."""
    stream = io.BytesIO()
    Image.fromarray(render("gear", "test", None, 0, 3).image).resize((320, 200)).save(
        stream, "TIFF"
    )
    return {"name": "x.tif", "mimeType": "image/tiff", "buffer": stream.getvalue()}


def _header_only(width, height):
    """A PNG that claims to be that large."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + body + struct.pack(">I", crc32(body))
    return b"\x89PNG\r\n\x1a\n" + header + PIXELS[33:]


def _post(content=PIXELS, path=PCB, **options):
    return lambda http: http.post(path, content=content, **options)


def _infer(content, **options):
    path = "/v2/models/finegrain-factory-pcb/infer"
    if isinstance(content, dict):
        content = json.dumps({"inputs": [content]})
    return _post(content, path, **options)


def _chunks(count, size):
    return (bytes(size) for _ in range(count))


BYTES = {"name": "image", "shape": [1], "datatype": "BYTES"}
MALFORMED = {
    "no body": (_post(b""), 422, "has no image"),
    "text": (_post(b"not an image at all"), 415, "is not an image"),
    "a GIF": (_post(_gif()), 415, "needed PNG, JPEG"),
    "a PDF": (_post(b"%PDF-1.7\n" + bytes(100)), 415, "is not an image"),
    "cut PNG": (_post(PIXELS[:2000]), 422, "damaged or cut short"),
    "PNG signature alone": (_post(PIXELS[:8]), 415, "is not an image"),
    "cut JPEG": (_post(b"\xff\xd8\xff\xe0" + bytes(20)), 415, "is not an image"),
    "tiny image": (_post(png(np.zeros((4, 4, 3), np.uint8))), 413, "needed 8 pixels a side"),
    "huge claim": (_post(_header_only(60_000, 60_000)), 413, "pixels"),
    "just above the pixel limit": (_post(_header_only(10_001, 5000)), 413, "at most 50,000,000"),
    "too long a body": (_post(bytes(65 * 2**20)), 413, "67,108,864"),
    "too long in chunks": (lambda http: http.post(PCB, content=_chunks(66, 2**20)), 413, "most"),
    "JSON": (lambda http: http.post(PCB, json={"url": "file:///etc/passwd"}), 415, "json"),
    "form fields": (lambda http: http.post(PCB, data={"image": "x"}), 415, "urlencoded"),
    "multipart without a file": (
        lambda http: http.post(PCB, content=b"--b\r\nContent-Disposition: form-data; name=\"a\""
                               b"\r\n\r\nx\r\n--b--\r\n",
                               headers={"content-type": "multipart/form-data; boundary=b"}),
        422, "has no image",
    ),
    "multipart without boundary": (
        _post(headers={"content-type": "multipart/form-data"}), 422, "boundary",
    ),
    "broken multipart": (
        _post(b"--b\r\nnonsense", headers={"content-type": "multipart/form-data; boundary=b"}),
        422, "no image",
    ),
    "too many files": (
        lambda http: http.post(PCB, files=[("images", ("a", PIXELS[:50]))] * 40), 413, "images",
    ),
    "two bad images": (
        lambda http: http.post(PCB, files=[("images", ("a", b"x")), ("images", ("b", b"y"))]),
        415, "image 1 is not",
    ),
    "overlay of two": (
        lambda http: http.post(PCB, params={"heatmap": "png"},
                               files=[("images", ("a", PIXELS)), ("images", ("b", PIXELS))]),
        422, "answers one image",
    ),
    "unknown category": (_post(path="/v1/categories/factory/pcbs/score"), 404, "factory/gear"),
    "unknown data set": (_post(path="/v1/categories/x/pcb/score"), 404, "is not served"),
    "odd name": (_post(path="/v1/categories/factory/..%2Fpcb/score"), 404, "v1/categories"),
    "unknown picture": (_post(params={"pictures": "heatmap,x"}), 422, "no picture x"),
    "unknown heatmap": (_post(params={"heatmap": "jpg"}), 422, "heatmap"),
    "wrong method": (lambda http: http.get(PCB), 405, "GET"),
    "wrong path": (_post(path="/v1/score"), 404, "see /docs"),
    "foreign host": (_post(headers={"host": "evil.example"}), 403, "only loopback"),
    "forwarded": (_post(headers={"x-forwarded-for": "10.0.0.9"}), 403, "only loopback"),
    "v2: not JSON": (_infer(b"{"), 400, "not JSON"),
    "v2: no inputs": (_infer(b"{}"), 400, "inputs"),
    "v2: unknown model": (_post(b"{}", "/v2/models/x/infer"), 404, "finegrain-factory-pcb"),
    "v2: other input": (_infer({**BYTES, "name": "x", "data": []}), 400, "needed one input"),
    "v2: not base64": (_infer({**BYTES, "data": ["???"]}), 400, "base64"),
    "v2: shape": (_infer({**BYTES, "shape": [2], "data": ["QUJD"]}), 400, "shape is \\[2\\]"),
    "v2: pixels as JSON": (
        _infer({**BYTES, "datatype": "UINT8", "shape": [1, 8, 8, 3], "data": [0] * 192}),
        400, "as JSON",
    ),
    "v2: header length": (
        _infer(b"{}", headers={"inference-header-content-length": "99"}), 400, "99",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_gets_a_clear_answer(http, name):
    request, status, message = MALFORMED[name]
    answer = request(http)
    assert answer.status_code == status, answer.text[:300]
    error = answer.json()["error"]  # a text as the Open Inference Protocol has it
    assert isinstance(error, str) == name.startswith("v2:")
    assert re.search(message, error if isinstance(error, str) else error["message"]), error
    assert http.post(PCB, content=PIXELS).status_code == 200


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_the_inspector_shows_a_verdict_after_a_click(server):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page()
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(server.page)
        page.select_option("#category", "factory/gear")
        page.click("[data-example='good-0']")
        page.wait_for_selector("#stage:not([hidden])")
        assert page.inner_text("#decision") in ("Accepted", "Rejected")
        assert "version 1" in page.inner_text("#timing")
        assert page.evaluate("document.getElementById('heatmap').naturalWidth") == 400
        page.focus("#show-components")
        page.keyboard.press("Space")
        assert page.is_visible("#components")
        assert page.locator("#legend li").count() > 0
        page.set_input_files("#file", _tiff())
        page.wait_for_selector("#image[src^='data:']")
        shown = "[image.naturalWidth, image.naturalHeight]"
        assert page.evaluate(f"(image => {shown})(document.getElementById('image'))") == [320, 200]
        page.set_input_files("#file", {"name": "x", "mimeType": "image/png", "buffer": b"no"})
        page.locator("#status", has_text="image 1 is not an image").wait_for()
        browser.close()
    assert not errors


ATTACK = """<script>
const part = "URL/v1/categories/factory/gear";
const form = new FormData();
form.append("image", new Blob(["x"]));
for (const [path, options] of [["/rollback", {method: "POST"}], ["/score", {method: "POST"}],
  ["/feedback", {method: "POST", body: form}], ["/sensitivity", {}]])
  fetch(part + path, {mode: "no-cors", credentials: "include", ...options});
fetch(part, {method: "DELETE"}).catch(() => {});
</script>"""


@contextmanager
def web_page(text):
    """A page on another port of this machine; gives the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        try:
            yield site.server_port
        finally:
            site.shutdown()
            thread.join()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])  # another site, and the same
def test_a_web_page_gets_nothing_from_the_server_of_whoever_looks_at_it(server, http, host):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, web_page(ATTACK.replace("URL", server.address)) as port:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        context, statuses = browser.new_context(), {}
        context.set_default_timeout(120_000)
        own, page = context.new_page(), context.new_page()
        own.goto(server.page)  # whoever looks at the other has the key in this browser
        own.locator("#status", has_text="Ready").wait_for()
        page.on("response", lambda response: statuses.update({response.url: response.status}))
        page.goto(f"http://{host}:{port}/")
        page.wait_for_load_state("networkidle")
        browser.close()
    asked = {url: status for url, status in statuses.items() if url.startswith(server.address)}
    assert len(asked) == 4, asked  # not DELETE, for which a browser asks leave first
    assert set(asked.values()) == {403}, asked
    listed = http.get("/v1/categories").json()["categories"]
    assert "gear" in [one["category"] for one in listed]


@contextmanager
def nginx(folder, server, lines=""):
    """A proxy as it comes, with these lines beside; gives its address."""
    [port] = free_ports(1)
    user = "user nobody nogroup;" if os.getuid() == 0 else ""
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(f"""{user} daemon off; pid {folder}/pid; error_log stderr;
        events {{}} http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{port};
        location / {{ proxy_pass {server.address}; {lines} }} }} }}""")
    folder.chmod(0o755)
    process = subprocess.Popen(
        [NGINX, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.PIPE
    )
    try:
        while is_free(port):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.mark.skipif(NGINX is None, reason="no nginx on this machine: apt-get install nginx")
@pytest.mark.parametrize(
    "lines",
    [
        "",
        "proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header Host $http_host;",
        pytest.param(
            "proxy_http_version 1.1;",
            marks=pytest.mark.skipif(os.getuid() != 0, reason="only root starts nginx as another"),
        ),
    ],
)
def test_a_proxy_on_the_same_machine_does_not_pass_as_it(server, tmp_path, lines):
    key = parse_qs(urlsplit(server.page).query)["key"][0]
    with nginx(tmp_path, server, lines) as address:
        assert httpx.get(f"{address}/healthz").status_code == 200
        refused = httpx.get(f"{address}/v1/categories")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
        shown = httpx.get(f"{address}/v1/categories", headers={"x-api-key": key})
        assert shown.status_code == 200


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_an_operator_enrols_a_part_corrects_it_and_takes_that_back(server, http):
    from playwright.sync_api import sync_playwright

    def file(split, index=0, sticker=False):
        image = render("bolted_plate", split, None, index, 3).image.copy()
        if sticker:
            image[60:140, 60:160] = (220, 30, 40)
        return {"name": "photo.png", "mimeType": "image/png", "buffer": png(image)}

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*FLAGS, *(f"--use-fake-{what}-for-media-stream"
                                                      for what in ("device", "ui"))]
        )  # fmt: skip
        page = browser.new_page()
        page.set_default_timeout(120_000)
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))

        def score(image):
            with page.expect_response(lambda response: "/score" in response.url):
                page.set_input_files("#file", image)
            page.locator("#status", has_text="Ready").wait_for()
            return page.inner_text("#decision")

        page.goto(server.page)
        page.click("#new-part")
        page.fill("#part-name", "Plate 板")
        page.set_input_files("#photo-files", [file("train", i) for i in range(2)])
        page.click("#camera")
        page.click("#shoot")
        page.click("#thumbs li:nth-child(3) button")  # a camera without a part before it
        assert page.locator("#thumbs li").count() == 2
        page.locator("#part-method option[value=finegrained]").wait_for(state="attached")
        page.select_option("#part-method", "finegrained")
        page.click("#look")
        page.locator("#seen-pictures li").nth(1).wait_for()
        assert "provenance" in page.input_value("#part-caption")
        page.select_option("#part-method", "anomalydino")
        assert page.is_hidden("#part-caption")
        page.click("#enrol-start")
        page.locator("#status", has_text="is ready").wait_for()
        assert page.input_value("#category") == "own/Plate 板"

        assert page.is_hidden("#drift")
        line = [("images", ("photo", file("train", index)["buffer"])) for index in range(2, 10)]
        for _ in range(5):
            passing = http.post("/v1/categories/own/Plate 板/score", files=line)
            assert passing.is_success, passing.text
        assert score(file("train")) == "Accepted"
        page.locator("#drift-text", has_text="accepted parts score").wait_for(timeout=10000)
        assert page.locator("#sparkline polyline").is_visible()
        assert score(file("test", sticker=True)) == "Rejected"
        page.click("#is-good")
        page.locator("#correction", has_text="Learnt: version 2").wait_for()
        assert page.inner_text("#decision") == "Accepted"
        score(file("test", 1))
        page.click("#was-missed")
        page.fill("#miss-box", "10,20,90,100")
        page.click("#miss button[type=submit]")
        page.locator("#correction", has_text="Kept").wait_for()
        assert score(file("test", sticker=True)) == "Accepted"
        page.click("#sensitivity-box summary")
        page.locator("#alarms-effect", has_text="of 1 missed defects").wait_for()
        before = page.inner_text("#numbers")
        page.fill("#alarms", "3")
        page.click("#alarms-save")
        page.locator("#status", has_text="may raise 1 false alarms").wait_for()
        assert page.inner_text("#numbers") != before
        page.click("#rollback")
        page.click("#confirm [value=yes]")
        page.locator("#status", has_text="is version 1 again").wait_for()
        assert page.inner_text("#decision") == "Rejected"
        page.click("#withdraw")
        page.click("#confirm [value=no]")
        page.click("#withdraw")
        page.click("#confirm [value=yes]")
        page.locator("#status", has_text="no longer served").wait_for()
        browser.close()
    assert not errors


def test_an_enrolment_that_is_killed_leaves_nothing_and_the_next_one_serves(http, registry):
    def begin():
        photos = [("photos", ("photo", picture("gear", index))) for index in range(2)]
        answer = http.post("/v1/categories/own/gear", files=photos)
        assert answer.status_code == 202, answer.text
        return http.stream("GET", answer.json()["progress"])

    def states(stream):
        return (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))

    with begin() as stream:
        for progress in states(stream):
            if progress["state"] == "encoding":
                [task] = processes("ray::enrolment")
                task.kill()
    assert progress["state"] == "failed"
    assert "its process was lost" in progress["message"]
    assert registry.champion("own", "gear") is None
    with begin() as stream:
        assert list(states(stream))[-1]["version"] == "1"
    answer = http.post("/v1/categories/own/gear/score", content=picture("gear", 3))
    assert answer.json()["checkpoint"]["detector"] == "anomalydino"
    assert http.delete("/v1/categories/own/gear").status_code == 200
    gone = http.post("/v1/categories/own/gear/score", content=picture("gear", 3))
    assert gone.status_code == 404


def replicas(server, name):
    """The processes of a deployment."""
    family = psutil.Process(server.process.pid).children(recursive=True)
    return processes(f"ray::ServeReplica:scoring:{name}", family)


def processes(title, first=()):
    """Those that have it in their command line."""
    others = [p for p in psutil.process_iter(["cmdline"]) if p not in first]
    found = []
    for process in [*first, *others]:
        try:
            command = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if title in command:
            found.append(process)
    return found


def bad_run(champions, category) -> str:
    """A checkpoint whose memory is missing."""
    detector, thresholds = champions.detectors[category]
    run = logged(champions.uri, champions.folder, detector, thresholds, category)
    stored = champions.folder / "artifacts" / run / "artifacts" / "checkpoint"
    state = load_file(stored / WEIGHTS)
    kept = {k: v for k, v in state.items() if not k.startswith("units")}
    save_file(kept, stored / WEIGHTS)
    assert (stored / CONFIG).exists()
    return run


class Traffic:
    """Requests one after the other from a thread of its own: who answered, and what failed."""

    def __init__(self, address):
        self.answers, self.failures = [], []
        self._address, self._image, self._ended = address, picture("gear", 1), threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self):
        self._thread.start()
        self.wait_for(10)
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join(120)
        assert not self._thread.is_alive()

    def _send(self):
        with Client(self._address, retries=0, timeout_s=100) as client:  # a replica's new start
            while not self._ended.is_set():
                try:
                    answer = client.score("factory/gear", [self._image])
                    self.answers.append(answer.checkpoint)
                except ScoringError as error:
                    self.failures.append(error)

    def wait_for(self, more):
        """Until so many more requests are answered."""
        wanted = len(self.answers) + more
        self._wait(lambda: len(self.answers) >= wanted, seconds=120)

    def wait_until(self, true_of, seconds=10):
        """The first answer from now on of which this is true."""
        seen = len(self.answers)
        self._wait(lambda: any(map(true_of, self.answers[seen:])), seconds)
        return next(filter(true_of, self.answers[seen:]))

    def wait_for_version(self, version):
        self.wait_until(lambda checkpoint: checkpoint.version == version)

    def _wait(self, happened, seconds):
        deadline = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline, (self.answers[-1:], self.failures)
            time.sleep(0.05)


@pytest.mark.parametrize("name", ["Encoder", "Scorer"])
def test_no_request_fails_while_a_replica_dies(server, name):
    with Traffic(server.address) as traffic:
        replicas(server, name)[0].kill()
        traffic.wait_for(20)
    assert not traffic.failures


@pytest.fixture(scope="module")
def better(champions):
    """A run of "gear" that was fitted on other shots than its champion."""
    detector, thresholds = fitted(bundled(), "gear", first=5)
    return logged(champions.uri, champions.folder, detector, thresholds, "gear")


@pytest.fixture
def registry(champions, server):
    """The registry; after the test the first champion of "gear" answers again."""
    yield champions.registry
    while champions.registry.champion("factory", "gear").earlier:
        champions.registry.rollback("factory", "gear")
    with Traffic(server.address) as traffic:
        traffic.wait_until(lambda checkpoint: checkpoint.version == "1" and not checkpoint.refused)


def test_a_promoted_version_answers_from_then_on_and_no_request_fails(server, registry, better):
    with Traffic(server.address) as traffic:
        promoted = registry.promote(better)
        traffic.wait_for_version(promoted.version)
        traffic.wait_for(10)
    seen = [int(checkpoint.version) for checkpoint in traffic.answers]
    assert seen == sorted(seen)
    assert set(seen) == {1, int(promoted.version)}
    assert not traffic.failures


def test_a_broken_version_is_refused_and_the_one_before_answers(
    server, champions, registry, better
):
    with Traffic(server.address) as traffic:
        promoted = registry.promote(better)
        traffic.wait_for_version(promoted.version)
        broken = registry.promote(bad_run(champions, "gear"))
        answer = traffic.wait_until(lambda checkpoint: checkpoint.refused)
    assert answer.version == promoted.version
    assert f"version {broken.version} is refused" in answer.refused
    assert broken.version not in {checkpoint.version for checkpoint in traffic.answers}
    assert not traffic.failures


def test_a_rollback_brings_the_version_before_back(server, registry, better):
    with Traffic(server.address) as traffic:
        traffic.wait_for_version(registry.promote(better).version)
        assert registry.rollback("factory", "gear").version == "1"
        traffic.wait_for_version("1")
    assert not traffic.failures


def test_the_server_listens_on_loopback_alone(server):
    port = int(server.address.rsplit(":", 1)[1])
    listening = [
        c.laddr.ip for c in psutil.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN and c.laddr.port == port
    ]  # fmt: skip
    assert set(listening) == {"127.0.0.1"}
