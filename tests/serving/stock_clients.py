"""Triton's and KServe's own clients, run by an environment that has them: ADDRESS MODEL IMAGE.

Prints what each made of the answers, as JSON.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path

import kserve
import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException


def by_triton(address, model, image):
    client = triton.InferenceServerClient(address.removeprefix("http://"))
    ready = [client.is_server_live(), client.is_server_ready(), client.is_model_ready(model)]
    version = client.get_model_metadata(model)["versions"][0]
    tensor = triton.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([image], dtype=object))  # binary
    names = ("image_score", "rejected", "anomaly_map")
    wanted = [triton.InferRequestedOutput(name) for name in names]
    answer = client.infer(model, [tensor], outputs=wanted, model_version=version, request_id="7")
    score, rejected, anomaly_map = (answer.as_numpy(name) for name in names)
    tensor.set_data_from_numpy(np.array([b"no image"], dtype=object))
    try:
        client.infer(model, [tensor])
        error = None
    except InferenceServerException as refused:
        error = [refused.status(), refused.message()]
    return {
        "ready": ready, "unknown": client.is_model_ready("nothing"), "score": float(score[0]),
        "rejected": bool(rejected[0]), "map": list(anomaly_map.shape),
        "peak": float(anomaly_map.max()), "error": error,
    }  # fmt: skip


async def by_kserve(address, model, image):
    config = kserve.RESTConfig(protocol="v2")
    async with kserve.InferenceRESTClient(config) as client:
        ready = [
            await client.is_server_live(address),
            await client.is_server_ready(address),
            await client.is_model_ready(address, model),
        ]
        found = []
        for binary in (True, False):
            tensor = kserve.InferInput("image", [1], "BYTES")
            content = image if binary else base64.b64encode(image)  # its JSON is text alone
            tensor.set_data_from_numpy(np.array([content], dtype=object), binary_data=binary)
            asked = kserve.InferRequest(model, [tensor], request_id="7")
            answer = await client.infer(address, asked, model_name=model)
            found.append({out.name: out.as_numpy().tolist() for out in answer.outputs})
        tensor.set_data_from_numpy(np.array([b"no image"], dtype=object), binary_data=True)
        try:
            await client.infer(address, kserve.InferRequest(model, [tensor]), model_name=model)
            error = None
        except Exception as refused:
            error = str(refused)
    return {"ready": ready, "found": found, "error": error}


if __name__ == "__main__":
    address, model, path = sys.argv[1:]
    given = address, model, Path(path).read_bytes()
    print(json.dumps({"triton": by_triton(*given), "kserve": asyncio.run(by_kserve(*given))}))
