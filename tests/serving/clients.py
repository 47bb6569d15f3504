"""Clients as they come from the package index, and curl, against a real server.

`make test-clients` gives them an environment of their own: KServe's brings Kubernetes' and gRPC's.
"""

import json
import os
import shutil
import subprocess

import httpx
import pytest

from tests.serving.champions import PCB, PIXELS
from tests.serving.conftest import ROOT

__all__ = [
    "expected",
    "image",
    "test_curl_as_the_documentation_shows_it",
    "test_the_clients_of_triton_and_kserve_understand_every_answer",
]
PYTHON = os.environ.get("CLIENTS")
MODEL = "finegrain-factory-pcb"
NO_IMAGE = "image 1 is not an image; needed PNG, JPEG, BMP, TIFF, WEBP"


@pytest.fixture(scope="module")
def expected(server):
    return httpx.post(server.address + PCB, content=PIXELS, timeout=60).json()["results"][0]


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "part.png"
    path.write_bytes(PIXELS)
    return path


@pytest.mark.skipif(PYTHON is None, reason="`make test-clients` installs them")
def test_the_clients_of_triton_and_kserve_understand_every_answer(server, expected, image):
    script = [PYTHON, "tests/serving/stock_clients.py", server.address, MODEL, image]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    triton, kserve = found["triton"], found["kserve"]
    score = pytest.approx(expected["score"], abs=1e-5)
    assert triton.pop("peak") > 0
    assert triton == {
        "ready": [True] * 3, "unknown": False, "score": score, "rejected": expected["rejected"],
        "map": [1, 400, 400], "error": ["415", NO_IMAGE],
    }  # fmt: skip
    assert kserve["ready"] == [True] * 3
    for outputs in kserve["found"]:
        assert outputs == {"image_score": [score], "rejected": [expected["rejected"]]}
    assert NO_IMAGE in kserve["error"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_curl_as_the_documentation_shows_it(server, expected, image):
    form = ["-F", f"images=@{image}", "-F", f"images=@{image}"]
    for sent in (["--data-binary", f"@{image}", "-H", "Content-Type: image/png"], form):
        command = ["curl", "--silent", "--fail", "--noproxy", "*", *sent, server.address + PCB]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        scores = [result["score"] for result in json.loads(done.stdout)["results"]]
        assert scores == pytest.approx([expected["score"]] * (1 + (sent is form)), abs=1e-5)
