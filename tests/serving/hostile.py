"""A real server under what hostile, slow and broken clients send, while it answers others."""

import os
import resource
import socket
import struct
import threading
import time
import zlib

import httpx
import numpy as np
import psutil
import pytest

from finegrain.evaluation.figures import png
from finegrain.serving.uploads import SILENT_S
from tests.serving.champions import PCB, PIXELS
from tests.serving.fuzz import attack

__all__ = [
    "test_mutated_requests_are_refused_and_change_nothing",
    "test_the_server_is_alive_while_it_has_much_to_do",
    "test_uploads_that_stall_hold_nobody_up",
]
WITHIN_S = 1.0
FUZZED = int(os.environ.get("FUZZ", "150"))  # `make fuzz` sends 2,000
CONNECTIONS = 700


class Probes:
    """Asks /healthz from a thread of its own; `worst` is the longest that it took."""

    def __init__(self, address):
        self.worst, self._address, self._ended = 0.0, address, threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join(60)

    def _ask(self):
        with httpx.Client(base_url=self._address, timeout=60) as client:
            while not self._ended.wait(0.05):
                start = time.monotonic()
                assert client.get("/healthz").status_code == 200
                self.worst = max(self.worst, time.monotonic() - start)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(
        ">I", zlib.crc32(kind + content)
    )  # fmt: skip


def black(side, before=b""):
    """A PNG without a colour, small however large it is."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes((3 * side + 1) * side), 9))
    return b"\x89PNG\r\n\x1a\n" + head + before + rows + chunk(b"IEND", b"")


NOISE = png(np.random.default_rng(0).integers(0, 256, (1300, 1300, 3), np.uint8))
LARGE_FORM = {"files": [("images", ("a.png", NOISE))] * 2}  # 10 MB; Serve's own limit was 4
HEAVY = {
    "many pixels in few bytes": ({"files": [("images", ("a.png", black(5000)))] * 16}, 413),
    "200,000 texts": ({"content": black(64, chunk(b"tEXt", b"a\0b") * 200_000)}, 200),
    "more than 4 MiB": (LARGE_FORM | {"params": {"pictures": "overlay,heatmap,components"}}, 200),
}


@pytest.mark.parametrize("name", HEAVY)
def test_the_server_is_alive_while_it_has_much_to_do(server, name):
    asked, status = HEAVY[name]
    with Probes(server.address) as probes:
        answer = httpx.post(server.address + PCB, timeout=60, **asked)
    assert answer.status_code == status, answer.text[:300]
    assert probes.worst < WITHIN_S


def test_uploads_that_stall_hold_nobody_up(server):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 300
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    host, port = server.address.removeprefix("http://").split(":")
    head = (
        f"POST {PCB} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: image/png\r\n"
        "Content-Length: 5000\r\n\r\n\x89PNG"
    ).encode("latin-1")
    stalled = []
    try:
        for _ in range(CONNECTIONS):
            stalled.append(socket.create_connection((host, int(port))))
            stalled[-1].sendall(head)
        httpx.get(server.address + "/healthz", timeout=30).raise_for_status()  # all are in
        time.sleep(SILENT_S)  # the last of them may be a slow camera until then
        with Probes(server.address) as probes:
            answer = httpx.post(server.address + PCB, content=PIXELS, timeout=60)
        assert answer.status_code == 200, answer.text
        assert probes.worst < WITHIN_S
    finally:
        for one in stalled:
            one.close()


def memory(server):
    """Bytes that the server's processes hold."""
    total = 0
    for process in psutil.Process(server.process.pid).children(recursive=True):
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total


def test_mutated_requests_are_refused_and_change_nothing(server):
    def good():
        answer = httpx.post(server.address + PCB, content=PIXELS, timeout=60).json()
        return answer["results"]

    attack(server.address, "pcb", 50, seed=1)  # buffers grow once
    before, held, start = good(), memory(server), time.monotonic()
    statuses, broken = attack(server.address, "pcb", FUZZED)
    assert not broken, broken[:1]
    assert set(statuses) <= {200, 400, 404, 413, 415, 422, 429}, statuses
    assert statuses.total() == FUZZED
    assert time.monotonic() - start < 60
    assert good() == before
    assert memory(server) - held < 200 * 2**20
