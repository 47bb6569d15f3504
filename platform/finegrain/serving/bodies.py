"""What a request sends: an image, or a form."""

from collections.abc import Collection
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from finegrain.serving.config import ServingConfig
from finegrain.serving.messages import Refusal, ServiceError

RAW_TYPES = ("application/octet-stream", "")


async def read_images(request: Request, config: ServingConfig) -> list[bytes]:
    """The images of a multipart form, or the one that is the body.

    Raises:
        ServiceError: as for `Upload.receive`, 415, or 422 for a form that can't be read.
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
        return (await read_form(request, config.max_images)).images
    body = await request.body()
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


async def read_form(request: Request, most: int, texts: Collection[str] = ()) -> Form:
    """The request's form.

    Args:
        request: with a multipart body.
        most: images.
        texts: names of fields that may come as a file and are no image.

    Raises:
        ServiceError: as for `Upload.receive`, or 422 for a form that can't be read.
    """
    try:
        files = most + len(texts) + 1
        async with request.form(max_files=files, max_fields=20) as form:
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
