"""The Open Inference Protocol, version 2, so that clients of KServe and Triton can ask as well.

A model is a category, under its name in the registry. Images come as BYTES (files: in base64 within
JSON, or raw after it, Triton's binary extension) or as UINT8 pixels (B,H,W,3), raw alone: a list of
a million numbers in JSON is refused.
"""

import asyncio
import base64
import binascii
import json
import math
import struct
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, ValidationError

from finegrain.data.masks import MAP_SIZE
from finegrain.decision import Verdict
from finegrain.evaluation.figures import png
from finegrain.serving.config import ServingConfig
from finegrain.serving.health import Health
from finegrain.serving.messages import Refusal, ServiceError
from finegrain.serving.service import ScoringService
from finegrain.tracking import Champion

MOST_VALUES = 1000  # commas of a request's JSON: base64 has none
HEADER_LENGTH = "inference-header-content-length"
OUTPUTS = {"image_score": "FP32", "rejected": "BOOL", "anomaly_map": "FP32"}


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Input(_Loose):
    """A tensor of the request; its data stand here or follow the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class Output(_Loose):
    """A tensor that is asked for."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(_Loose):
    """The JSON part of a request."""

    id: str | None = None
    inputs: list[Input]
    outputs: list[Output] = []
    parameters: dict[str, Any] = {}


def v2_router(service: ScoringService, health: Health) -> APIRouter:
    """The protocol's routes."""
    router = APIRouter(prefix="/v2", tags=["open inference protocol"])

    @router.get("")
    async def server() -> dict[str, Any]:
        return {
            "name": "finegrain",
            "version": version("finegrain"),
            "extensions": ["binary_tensor_data"],
        }

    @router.get("/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @router.get("/health/ready")
    async def ready() -> dict[str, bool]:
        if fault := health.fault():
            raise ServiceError(Refusal(503, "not_ready", fault), retry_after=5)
        return {"ready": True}

    @router.get("/models/{name}")
    @router.get("/models/{name}/versions/{model_version}")
    async def metadata(name: str, model_version: str | None = None) -> dict[str, Any]:
        champion = await _champion(service, name, model_version)
        return {
            "name": name,
            "versions": [champion.version],
            "platform": "finegrain",
            "inputs": [{"name": "image", "datatype": "BYTES", "shape": [-1]}],
            "outputs": [
                {"name": output, "datatype": kind, "shape": _shape(output, -1)}
                for output, kind in OUTPUTS.items()
            ],
        }

    @router.get("/models/{name}/ready")
    @router.get("/models/{name}/versions/{model_version}/ready")
    async def model_ready(name: str, model_version: str | None = None) -> dict[str, Any]:
        champion = await _champion(service, name, model_version)
        state = health.of(champion)
        if state is None or not state.ready:  # the protocol wants 4xx for no
            why = state.message if state else "no canary was scored yet"
            raise ServiceError(Refusal(400, "not_ready", f"{name} is not ready: {why}"))
        return {"name": name, "ready": True}

    @router.post("/models/{name}/infer")
    @router.post("/models/{name}/versions/{model_version}/infer")
    async def infer(request: Request, name: str, model_version: str | None = None) -> Response:
        champion = await _champion(service, name, model_version)
        length = request.headers.get(HEADER_LENGTH)
        asked, images = await asyncio.to_thread(_read, await request.body(), length, service.config)
        wanted = _wanted(asked)
        pictures = ["map"] if "anomaly_map" in wanted else []
        answered = await service.score(
            champion.dataset, champion.category, images, pictures, from_line=True
        )
        scored = []
        for image in answered.scored.images:
            if isinstance(image, Refusal):  # tensors have no place for a missing row
                raise ServiceError(image)
            scored.append(image)
        version = answered.scored.version
        return await asyncio.to_thread(_answer, asked, name, version, wanted, scored)

    return router


async def _champion(service: ScoringService, name: str, model_version: str | None) -> Champion:
    champions = await service.champions()
    for champion in champions.values():
        if champion.model == name:
            if model_version not in (None, champion.version):
                text = f"{name} is served in version {champion.version}, not {model_version}"
                raise ServiceError(Refusal(404, "unknown_model", text))
            return champion
    known = ", ".join(sorted(champion.model for champion in champions.values())) or "none yet"
    raise ServiceError(Refusal(404, "unknown_model", f"no model {name}; served: {known}"))


def _invalid(message: str) -> ServiceError:
    return ServiceError(Refusal(400, "invalid_request", message))


def _read(
    body: bytes, header_length: str | None, limits: ServingConfig
) -> tuple[InferRequest, list[bytes]]:
    """What is asked, and the image files; errors before anything is scored."""
    asked, raw = _parsed(body, header_length)
    wanted = _wanted(asked)
    if unknown := [output for output in wanted if output not in OUTPUTS]:
        raise _invalid(f"no output {', '.join(unknown)}; known: {', '.join(OUTPUTS)}")
    if "anomaly_map" in wanted and "anomaly_map" not in _binary(asked, wanted):
        raise _invalid('anomaly_map is sent in binary alone: ask with "binary_data": true')
    return asked, _images(asked, raw, limits)


def _wanted(asked: InferRequest) -> list[str]:
    return [output.name for output in asked.outputs] or ["image_score", "rejected"]


def _binary(asked: InferRequest, wanted: list[str]) -> set[str]:
    """The outputs that follow the JSON."""
    everything = bool(asked.parameters.get("binary_data_output", False))
    if not asked.outputs:
        return set(wanted) if everything else set()
    return {o.name for o in asked.outputs if o.parameters.get("binary_data", everything)}


def _parsed(body: bytes, header_length: str | None) -> tuple[InferRequest, bytes]:
    """The JSON part and what follows it."""
    if header_length is not None and not header_length.isdecimal():
        raise _invalid(f"{HEADER_LENGTH} is {header_length!r}, not a number of bytes")
    end = len(body) if header_length is None else int(header_length)
    if end > len(body):
        raise _invalid(f"{HEADER_LENGTH} is {end}, but the body has {len(body)} bytes")
    if body.count(b",", 0, end) > MOST_VALUES:
        raise _invalid(
            f"the JSON has more than {MOST_VALUES} values; send images as BYTES, tensors as binary"
        )
    try:
        return InferRequest.model_validate(json.loads(body[:end])), body[end:]
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise _invalid("; ".join(faults)) from error
    except (ValueError, RecursionError) as error:
        raise _invalid(f"the request is not JSON: {error}") from error


def _images(asked: InferRequest, raw: bytes, limits: ServingConfig) -> list[bytes]:
    """The image files of the one input, counted before any is made."""
    if len(asked.inputs) != 1 or asked.inputs[0].name != "image":
        names = ", ".join(tensor.name for tensor in asked.inputs) or "none"
        raise _invalid(f"needed one input, image; came: {names}")
    tensor = asked.inputs[0]
    size = tensor.parameters.get("binary_data_size")
    if size is not None and size != len(raw):
        raise _invalid(f"binary_data_size is {size}, but {len(raw)} bytes follow the JSON")
    if not tensor.shape or min(tensor.shape) < 1:
        raise _invalid(f"the shape is {tensor.shape}; send one image at least")
    if tensor.shape[0] > limits.max_images:
        most = f"at most {limits.max_images} are taken (max_images)"
        message = f"{tensor.shape[0]} images in one request; {most}"
        raise ServiceError(Refusal(413, "too_many_images", message))
    if tensor.datatype == "BYTES":
        images = _base64(tensor.data) if size is None else _elements(raw, limits.max_images)
        if len(images) != math.prod(tensor.shape):
            raise _invalid(f"the shape is {tensor.shape}, but {len(images)} elements came")
        return images
    if tensor.datatype == "UINT8" and size is not None:
        return _pixels(raw, tensor.shape, limits.max_pixels)
    raise _invalid(
        f"datatype {tensor.datatype} {'as JSON' if size is None else 'as binary data'} is not "
        "taken; send image files as BYTES, or pixels as UINT8 (B,H,W,3) in binary data"
    )


def _base64(data: list[Any] | None) -> list[bytes]:
    try:
        return [base64.b64decode(element, validate=True) for element in data or []]
    except (binascii.Error, TypeError, ValueError) as error:
        raise _invalid(f"BYTES in JSON are files in base64: {error}") from error


def _elements(raw: bytes, most: int) -> list[bytes]:
    """Each after its length, four bytes, little endian."""
    found: list[bytes] = []
    place = 0
    while place < len(raw):
        if len(found) == most:
            raise _invalid(f"the binary data have more than {most} elements (max_images)")
        if place + 4 > len(raw):
            raise _invalid("the binary data end within an element's length")
        (length,) = struct.unpack_from("<I", raw, place)
        place += 4
        if place + length > len(raw):
            raise _invalid(f"an element of {length} bytes is cut short")
        found.append(raw[place : place + length])
        place += length
    return found


def _pixels(raw: bytes, shape: list[int], most: int) -> list[bytes]:
    """As files, which is what travels on."""
    if len(shape) != 4 or shape[3] != 3 or math.prod(shape) != len(raw):
        raise _invalid(f"UINT8 pixels are (B,H,W,3); the shape is {shape} for {len(raw)} bytes")
    if shape[1] * shape[2] > most:
        message = (
            f"an image is {shape[2]}x{shape[1]}; at most {most:,} pixels are taken (max_pixels)"
        )
        raise ServiceError(Refusal(413, "image_size", message))
    pixels = np.frombuffer(raw, np.uint8).reshape(shape)
    return [png(image) for image in pixels]


def _shape(output: str, images: int) -> list[int]:
    return [images, MAP_SIZE, MAP_SIZE] if output == "anomaly_map" else [images]


def _values(output: str, scored: list[Verdict]) -> npt.NDArray[Any]:
    if output == "image_score":
        return np.array([image.score for image in scored], np.float32)
    if output == "rejected":
        return np.array([bool(image.rejected) for image in scored])
    return np.stack([image.anomaly_map for image in scored if image.anomaly_map is not None])


def _answer(
    asked: InferRequest, name: str, model_version: str, wanted: list[str], scored: list[Verdict]
) -> Response:
    """JSON, and after it the tensors that were asked for in binary."""
    binary = _binary(asked, wanted)
    outputs: list[dict[str, Any]] = []
    tail = b""
    for output in wanted:
        values = _values(output, scored)
        entry: dict[str, Any] = {
            "name": output,
            "datatype": OUTPUTS[output],
            "shape": list(values.shape),
        }
        if output in binary:
            raw = np.ascontiguousarray(values).tobytes()
            entry["parameters"] = {"binary_data_size": len(raw)}
            tail += raw
        else:
            entry["data"] = values.tolist()
        outputs.append(entry)
    head: dict[str, Any] = {"model_name": name, "model_version": model_version, "outputs": outputs}
    if asked.id is not None:
        head["id"] = asked.id
    text = json.dumps(head).encode()
    if not tail:
        return Response(text, media_type="application/json")
    headers = {"Inference-Header-Content-Length": str(len(text))}
    return Response(text + tail, media_type="application/octet-stream", headers=headers)
