"""How much a request may send, and what it sends: an image, or a form."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from finegrain.serving.config import ServingConfig
from finegrain.serving.messages import Refusal
from finegrain.serving.service import ServiceError

RAW_TYPES = ("application/octet-stream", "")


async def read_body(request: Request, config: ServingConfig) -> bytes:
    """The request's body; errors as for `limited`."""
    return await limited(request, config).body()


def limited(request: Request, config: ServingConfig) -> Request:
    """The request, whose body has to keep within the limits.

    Starlette's RequestBodyLimitMiddleware would answer a declared length in plain text.

    Raises:
        ServiceError: 413 as soon as the body is too long, 408 where it does not arrive, 415 where
            it is compressed.
    """
    limit = config.max_body_bytes
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        message = f"the body is encoded by {encoding}, which is not taken; send it as it is"
        raise ServiceError(Refusal(415, "content_encoding", message))
    too_long = ServiceError(
        Refusal(
            413,
            "body_size",
            f"the body has more than {limit:,} bytes, the most taken (max_body_bytes)",
        )
    )
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal():
        raise ServiceError(Refusal(400, "bad_length", f"Content-Length is {declared!r}"))
    if int(declared) > limit:
        raise too_long
    size, deadline = 0, asyncio.get_running_loop().time() + config.body_timeout_s

    async def receive() -> Message:
        nonlocal size
        try:
            async with asyncio.timeout_at(deadline):
                message = await request.receive()
        except TimeoutError as error:
            late = f"the body did not arrive within {config.body_timeout_s:g} s (body_timeout_s)"
            raise ServiceError(Refusal(408, "body_timeout", late)) from error
        size += len(message.get("body", b""))
        if size > limit:
            raise too_long
        return message

    return Request(request.scope, receive)


async def read_images(request: Request, config: ServingConfig) -> list[bytes]:
    """The images of a multipart form, or the one that is the body.

    Raises:
        ServiceError: 413, 415, or 422 for a form that can't be read.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    multipart = content_type == "multipart/form-data"
    if not (multipart or content_type.startswith("image/") or content_type in RAW_TYPES):
        message = (
            f"content type {content_type} is not taken; send an image as the body "
            "(image/png, image/jpeg, ...) or several as multipart/form-data"
        )
        raise ServiceError(Refusal(415, "content_type", message))
    if multipart:
        return (await read_form(request, config, config.max_images)).images
    body = await read_body(request, config)
    return [body] if body else []


@dataclass(frozen=True)
class Form:
    """A multipart form: its files, and its other fields by name.

    Args:
        images: contents of all files but those that `texts` has.
        texts: fields, and files that were asked for as texts.
    """

    images: list[bytes]
    texts: dict[str, bytes]


async def read_form(
    request: Request, config: ServingConfig, most: int, texts: Collection[str] = ()
) -> Form:
    """The request's form.

    Args:
        request: with a multipart body.
        config: with the limits.
        most: images.
        texts: names of fields that may come as a file and are no image.

    Raises:
        ServiceError: as for `limited`, or 422 for a form that can't be read.
    """
    try:
        files = most + len(texts) + 1
        async with limited(request, config).form(max_files=files, max_fields=20) as form:
            parts = form.multi_items()
            images = [p for name, p in parts if isinstance(p, UploadFile) and name not in texts]
            others = {
                name: await part.read() if isinstance(part, UploadFile) else part.encode()
                for name, part in parts
                if name in texts or isinstance(part, str)
            }
            return Form([await image.read() for image in images], others)
    except HTTPException as error:  # Starlette's word on a form that it does not take
        if "Too many files" in error.detail:
            message = f"more than {most} images in one request"
            raise ServiceError(Refusal(413, "too_many_images", message)) from error
        raise ServiceError(Refusal(422, "bad_form", f"the form: {error.detail}")) from error
