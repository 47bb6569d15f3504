"""Bodies and forms against their limits, without a server."""

import asyncio

import httpx
import numpy as np
import pytest

from finegrain.evaluation.figures import png
from finegrain.serving.http import make_app
from tests.serving.test_service import URL, FakeGraph, service

IMAGE = png(np.zeros((16, 16, 3), np.uint8))
LARGE = png(np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8))  # 1.9 MB
FORM = "multipart/form-data"


def post(content=None, limits=None, content_type=None, **options):
    """The status and the answer's JSON."""

    async def send():
        app = make_app(service(FakeGraph(), **(limits or {})))
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            headers = {"content-type": content_type} if content_type else {}
            headers |= options.pop("headers", {})
            return await http.post(URL, content=content, headers=headers, **options)

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
