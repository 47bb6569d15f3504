"""Bodies and forms against their limits, without a server."""

import asyncio
import gzip
import json
import struct
import time

import httpx
import numpy as np
import pytest

from finegrain.evaluation.figures import png
from finegrain.serving.http import make_app
from tests.serving.test_service import URL, FakeGraph, service

IMAGE = png(np.zeros((16, 16, 3), np.uint8))
LARGE = png(np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8))  # 1.9 MB
FORM = "multipart/form-data"


def post(content=None, limits=None, content_type=None, url=URL, **options):
    """The status and the answer's JSON."""

    async def send():
        app = make_app(service(FakeGraph(), **(limits or {})))
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            headers = {"content-type": content_type} if content_type else {}
            headers |= options.pop("headers", {})
            return await http.post(url, content=content, headers=headers, **options)

    answer = asyncio.run(send())
    return answer.status_code, answer.json()


async def in_chunks(count, size):
    for _ in range(count):
        yield bytes(size)


def parts(*contents):
    return [("images", (f"{i}.png", content)) for i, content in enumerate(contents)]


def test_files_of_a_form_come_whole_however_large_and_fields_are_left_aside():
    assert len(LARGE) > 2**20  # beyond what Starlette keeps in memory
    status, answer = post(files=parts(IMAGE, LARGE, IMAGE), data={"note": "x"})
    assert (status, len(answer["results"])) == (200, 3)


SHORT = {"max_body_bytes": 1000, "max_images": 2}
FAULTS = {
    "declared too long": ({"content": bytes(1001)}, 413, "body_size", "more than 1,000 bytes"),
    "too long in chunks": ({"content": in_chunks}, 413, "body_size", "more than 1,000 bytes"),
    "a form too long": ({"files": parts(bytes(2000))}, 413, "body_size", "more than 1,000"),
    "one image too many": ({"files": parts(b"x", b"y", b"z")}, 413, "too_many_images", "3 images"),
    "far too many": ({"files": parts(*[b"x"] * 5)}, 413, "too_many_images", "more than 2 images"),
    "no boundary": ({"content": b"x", "content_type": FORM}, 422, "bad_form", "boundary"),
    "not a form": (
        {"content": b"x" * 50, "content_type": f"{FORM}; boundary=b"}, 422, "bad_form", "Invalid",
    ),
    "a nameless part": (
        {"content": b"--b\r\nA: c\r\n\r\nx\r\n--b--\r\n", "content_type": f"{FORM}; boundary=b"},
        422, "bad_form", "name",
    ),
    "a field too large": ({"files": parts(IMAGE), "data": {"a": "x" * 2**21}}, 422, "bad_form",
                          "exceeded"),
    "compressed": (
        {"content": gzip.compress(IMAGE), "headers": {"content-encoding": "gzip"}},
        415, "content_encoding", "encoded by gzip",
    ),
    "an odd length": (
        {"content": IMAGE, "headers": {"content-length": "many"}}, 400, "bad_length", "'many'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_beyond_the_limits_is_told(name):
    asked, status, code, message = FAULTS[name]
    if asked.get("content") is in_chunks:
        asked = {"content": in_chunks(11, 100)}
    limits = SHORT | ({"max_body_bytes": 2**22} if name == "a field too large" else {})
    got, answer = post(limits=limits, **asked)
    assert (got, answer["error"]["code"]) == (status, code)
    assert message in answer["error"]["message"]


def test_a_body_that_does_not_arrive_is_not_waited_for():
    async def stalled():
        yield b"first"
        await asyncio.sleep(60)

    start = time.monotonic()
    status, answer = post(content=stalled(), limits={"body_timeout_s": 0.2})
    assert (status, answer["error"]["code"]) == (408, "body_timeout")
    assert time.monotonic() - start < 10


MODEL = "/v2/models/finegrain-folder-plate"
INFER = f"{MODEL}/infer"


def tensor(shape, **fields):
    return json.dumps({"inputs": [{"name": "image", "shape": shape, **fields}]}).encode()


def with_raw(shape, raw, datatype="BYTES"):
    """A request with binary data after its JSON."""
    head = tensor(shape, datatype=datatype, parameters={"binary_data_size": len(raw)})
    headers = {"inference-header-content-length": str(len(head))}
    return {"content": head + raw, "headers": headers, "url": INFER}


HUGE = 3689348814741910336  # times 5 it is 16 modulo 2^64
OF_V2 = {
    "a million empty strings": (
        {"content": tensor([10**6], datatype="BYTES", data=[""] * 10**6), "url": INFER},
        400, "more than 1000 values",
    ),
    "elements without content": (with_raw([2], bytes(4 * 10**6)), 400, "more than 2 elements"),
    "a million tiny images": (
        with_raw([10**5, 8, 8, 3], bytes(8 * 8 * 3 * 10**5), "UINT8"), 413, "at most 2 are taken",
    ),
    "a shape that overflows": (with_raw([1, 5, HUGE, 3], bytes(48), "UINT8"), 400, "the shape is"),
    "no image": (with_raw([0], b""), 400, "one image at least"),
    "a negative shape": (with_raw([-1], b""), 400, "one image at least"),
    "too many pixels": (
        with_raw([1, 2000, 20, 3], bytes(120000), "UINT8"), 413, "image is 20x2000; at most 30,000",
    ),
    "an unknown version": (
        {"content": b"{}", "url": f"{MODEL}/versions/7/infer"}, 404, "in version 3, not 7",
    ),
    "an unknown route": ({"content": b"{}", "url": "/v2/nothing"}, 404, "/v2/nothing"),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_V2)
def test_the_protocol_s_errors_are_a_text_and_come_before_the_work(name):
    asked, status, words = OF_V2[name]
    limits = {"max_images": 2, "max_pixels": 30_000}
    start = time.monotonic()
    got, answer = post(limits=limits, **asked)
    assert (got, list(answer)) == (status, ["error"])
    assert words in answer["error"]
    assert time.monotonic() - start < 5


def test_a_version_may_be_named():
    raw = struct.pack("<I", len(IMAGE)) + IMAGE
    asked = with_raw([1], raw) | {"url": f"{MODEL}/versions/3/infer"}
    status, answer = post(**asked)
    assert (status, answer["model_version"]) == (200, "3")
