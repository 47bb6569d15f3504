"""Mutated images and bodies against a server: truncations, flipped bits, wrong types, lies.

python -m tests.serving.fuzz ADDRESS CATEGORY [COUNT]
"""

import base64
import json
import struct
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from zlib import crc32

import httpx
import numpy as np

from finegrain.evaluation.figures import png
from finegrain.factory import render

MODEL = "/v2/models/finegrain-factory-{}/infer"
SCORE = "/v1/categories/factory/{}/score"
LENGTH = "inference-header-content-length"
KINDS = ("image/png", "image/jpeg", "application/octet-stream", "multipart/form-data",
         "multipart/form-data; boundary=b", "text/plain", "application/json", "")  # fmt: skip
ODD = (-1, 0, 2**31, 2**63, 3689348814741910336, 1.5, None, True, "1", [], {}, [[1]], "\x00", "é")


def mutated(image, generator):
    """Bytes that were an image file."""
    data = bytearray(image)
    match generator.integers(5):
        case 0:
            return bytes(data[: generator.integers(len(data))])
        case 1:  # bits anywhere, the header most often
            for place in generator.integers(0, generator.choice([64, len(data)]), 8):
                data[place] ^= 1 << generator.integers(8)
        case 2:  # a part is gone or doubled
            start, end = sorted(generator.integers(0, len(data), 2))
            data[start:end] = data[start:end] * int(generator.choice([0, 2]))
        case 3:  # a size that is a lie, with the right checksum
            size = generator.choice([0, 1, 7, 4000, 60_000, 2**31 - 1], 2)
            data[16:24] = struct.pack(">II", *map(int, size))
            data[29:33] = struct.pack(">I", crc32(bytes(data[12:29])))
        case 4:
            data[8:8] = generator.bytes(int(generator.integers(1, 40)))
    return bytes(data)


def of_v1(image, generator, category):
    """A request for a score, as httpx takes it."""
    url, body = SCORE.format(category), mutated(image, generator)
    match generator.integers(4):
        case 0:
            return {"url": url, "content": body}
        case 1:
            kind = str(generator.choice(KINDS))
            return {"url": url, "content": body, "headers": {"content-type": kind}}
        case 2:
            some = [("images", (f"{n}", mutated(image, generator))) for n in range(3)]
            return {"url": url, "files": some, "params": {"pictures": "heatmap"}}
    form = b'--b\r\nContent-Disposition: form-data; name="i"; filename="x"\r\n\r\n' + body
    form = mutated(form + b"\r\n--b--\r\n", generator)
    return {"url": url, "content": form, "headers": {"content-type": KINDS[4]}}


def of_v2(image, generator, category):
    """A request of the Open Inference Protocol with something wrong."""
    url, body = MODEL.format(category), mutated(image, generator)
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES"}
    asked = {"inputs": [tensor], "outputs": [{"name": "image_score"}], "parameters": {}}
    odd = ODD[generator.integers(len(ODD))]
    place, key = [(tensor, "shape"), (tensor, "datatype"), (tensor, "name"), (tensor, "data"),
                  (asked, "inputs"), (asked, "outputs"), (asked, "parameters"), (asked, "id"),
                  (tensor, "parameters")][generator.integers(9)]  # fmt: skip
    match generator.integers(4):
        case 0:
            tensor["data"] = [base64.b64encode(body).decode()]
        case 1:
            tensor["data"] = [base64.b64encode(image).decode()]
            place[key] = odd if generator.integers(2) else [odd]
        case 2:  # after the JSON, with lengths that lie
            raw = struct.pack("<I", int(generator.integers(0, 2**31))) + body
            size = len(raw) if generator.integers(2) else odd
            tensor["parameters"] = {"binary_data_size": size}
            head = json.dumps(asked).encode()
            length = str(generator.choice([len(head), len(head) - 1, 10**9, "x"]))
            return {"url": url, "content": head + raw, "headers": {LENGTH: length}}
        case 3:
            tensor["data"] = [base64.b64encode(image).decode()]
            return {"url": url, "content": mutated(json.dumps(asked).encode() * 2, generator)}
    return {"url": url, "content": json.dumps(asked).encode()}


def requests(category, count, seed=0):
    """So many of both kinds."""
    generator = np.random.default_rng(seed)
    image = png(render(category, "test", None, 0, 3).image[:96, :96])
    kinds = (of_v1, of_v2)
    return [kinds[n % 2](image, generator, category) for n in range(count)]


def attack(address, category, count, seed=0):
    """Send them from eight clients at once; (statuses counted, requests answered with 500)."""
    asked = requests(category, count, seed)
    with httpx.Client(base_url=address, timeout=30) as client, ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda one: client.post(**one).status_code, asked))
    broken = [one for one, status in zip(asked, statuses, strict=True) if status == 500]
    return Counter(statuses), broken


if __name__ == "__main__":
    start = time.monotonic()
    statuses, broken = attack(sys.argv[1], sys.argv[2], int((sys.argv[3:] or ["2000"])[0]))
    print(dict(statuses), f"{time.monotonic() - start:.1f} s", str(broken[:2])[:600])
