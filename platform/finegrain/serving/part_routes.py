"""The routes by which parts are enrolled, corrected, taken back and withdrawn."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from finegrain.decision.thresholds import FALSE_ALARMS
from finegrain.serving.access import asked_by, check_access, check_may_change
from finegrain.serving.bodies import Form, read_form
from finegrain.serving.corrections import Box, Correction, Corrections
from finegrain.serving.enrolment import Enrolment, checked_name
from finegrain.serving.messages import Refusal, ServiceError
from finegrain.serving.parts import Parts, Wish, methods
from finegrain.serving.schemas import (
    CategoryAnswer,
    EnrolmentAnswer,
    FeedbackAnswer,
    MethodsAnswer,
    PreviewAnswer,
    ScoresAnswer,
    SensitivityAnswer,
    SensitivityWish,
)
from finegrain.serving.sensitivity import Sensitivities

PART = "/v1/categories/{dataset}/{category}"
KINDS: dict[str, Literal["good", "missed"]] = {"good": "good", "missed": "missed"}
FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}


def _form(required: list[str], **fields: Any) -> dict[str, Any]:
    """A multipart body as OpenAPI has it."""
    schema = {"type": "object", "properties": fields, "required": required}
    content = {"multipart/form-data": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


ENROLMENT = _form(
    ["photos"],
    photos=FILES,
    caption={"type": "string", "description": "YAML; of methods that read one"},
    method={"type": "string", "default": "anomalydino; finegrained with a caption"},
    false_alarms={"type": "number", "default": FALSE_ALARMS},
)


def part_router(parts: Parts, corrections: Corrections, sensitivities: Sensitivities) -> APIRouter:
    """All of them; each needs a key that may change parts, where there are keys."""
    guarded = [Depends(check_access), Depends(check_may_change)]
    router = APIRouter(tags=["parts"], dependencies=guarded)
    _add_enrolment(router, parts)
    _add_corrections(router, parts, corrections)
    _add_sensitivity(router, sensitivities)
    _add_scores(router, parts)
    _add_moves(router, parts)

    @router.post("/v1/categories/{dataset}/{category:path}", include_in_schema=False)
    async def nowhere(request: Request) -> None:
        """What is below a part and no route, such as a part whose name holds a slash."""
        message = f"POST {request.url.path}: no such route, and no name can hold '/'; see /docs"
        raise ServiceError(Refusal(404, "http", message))

    return router


def _add_enrolment(router: APIRouter, parts: Parts) -> None:
    @router.post(PART, status_code=202, openapi_extra=ENROLMENT)
    async def enrol(
        request: Request, dataset: str, category: str, replace: bool = False
    ) -> EnrolmentAnswer:
        """Fit a part on 1 to 8 photos of good ones; the answer says where its progress is told."""
        dataset, category = checked_name(dataset, "data set"), checked_name(category, "part")
        before = await parts.check_new(dataset, category, replace=replace)
        wish = await _wish_of(request, parts)
        return _begun(await parts.enrol(dataset, category, wish, before))

    @router.post(f"{PART}/preview", openapi_extra=ENROLMENT)
    async def preview(request: Request, dataset: str, category: str) -> PreviewAnswer:
        """What an enrolment with the same form would learn: nothing is fitted or kept."""
        dataset, category = checked_name(dataset, "data set"), checked_name(category, "part")
        parts.service.check_room()
        wish = await _wish_of(request, parts)
        return PreviewAnswer.of(await parts.preview(dataset, category, wish))

    @router.get("/v1/methods")
    async def known() -> MethodsAnswer:
        """What parts can be fitted by."""
        return MethodsAnswer.of(methods())

    @router.get(
        f"{PART}/enrolment",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}},
    )
    async def progress(dataset: str, category: str) -> StreamingResponse:
        """The states of the part's enrolment, from the first on, as server-sent events."""
        enrolment = parts.enrolments.find(dataset, category)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(
            _events(enrolment), media_type="text/event-stream", headers=headers
        )


async def _wish_of(request: Request, parts: Parts) -> Wish:
    form = await _form_of(request, parts)
    method = form.texts.get("method", b"").decode(errors="replace")
    caption, alarms = form.texts.get("caption") or None, form.texts.get("false_alarms")
    asked = _number(alarms, FALSE_ALARMS)
    return Wish(form.images, method or None, caption, asked, asked_by(request))


def _number(text: bytes | None, default: float) -> float:
    """A field that is a number; ServiceError 422 where it is none."""
    try:
        return float(text) if text else default
    except ValueError as error:
        message = f"false_alarms is {text!r}; needed a number"
        raise ServiceError(Refusal(422, "bad_false_alarms", message)) from error


async def _form_of(request: Request, parts: Parts) -> Form:
    config = parts.service.config
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        message = f"content type {kind or 'none'} is not taken; send a form, multipart/form-data"
        raise ServiceError(Refusal(415, "content_type", message))
    return await read_form(request, config.max_photos, ["caption"])


def _begun(enrolment: Enrolment) -> EnrolmentAnswer:
    dataset, _, category = enrolment.key.partition("/")
    url = f"/v1/categories/{quote(dataset)}/{quote(category)}/enrolment"
    return EnrolmentAnswer(dataset=dataset, category=category, progress=url)


async def _events(enrolment: Enrolment) -> AsyncIterator[str]:
    async for progress in enrolment.follow():
        yield f"event: progress\ndata: {json.dumps(asdict(progress))}\n\n"


def _add_corrections(router: APIRouter, parts: Parts, corrections: Corrections) -> None:
    @router.post(
        f"{PART}/feedback",
        status_code=202,
        openapi_extra=_form(
            ["image", "kind"],
            image={"type": "string", "format": "binary"},
            kind={"enum": ["good", "missed"]},
            box={"type": "string", "description": "of a missed defect: LEFT,TOP,RIGHT,BOTTOM"},
        ),
    )
    async def feedback(request: Request, dataset: str, category: str) -> FeedbackAnswer:
        """Say that a part is good, which makes a new version, or that a defect was missed."""
        await parts.service.champion(dataset, category)
        parts.service.check_room()
        form = await _form_of(request, parts)
        if len(form.images) != 1:
            message = f"{len(form.images)} images came; feedback is on one"
            raise ServiceError(Refusal(422, "one_image", message))
        said = Correction(*_said(form.texts), asked_by(request))
        kept, enrolment = await corrections.correct(dataset, category, form.images[0], said)
        progress = _begun(enrolment).progress if enrolment else None
        return FeedbackAnswer(**kept.model_dump(), progress=progress)


def _said(texts: Mapping[str, bytes]) -> tuple[Literal["good", "missed"], Box | None]:
    """The form's kind and box; ServiceError 422 where they are neither."""
    given = {name: text.decode(errors="replace").strip() for name, text in texts.items()}
    kind, box = KINDS.get(given.get("kind", "")), given.get("box")
    if kind is None:
        message = f"kind is {given.get('kind')!r}; needed {' or '.join(KINDS)}"
        raise ServiceError(Refusal(422, "bad_kind", message))
    if not box:
        return kind, None
    if not (found := re.fullmatch(r"(\d{1,6}),(\d{1,6}),(\d{1,6}),(\d{1,6})", box)):
        message = f"box is {box!r}; needed LEFT,TOP,RIGHT,BOTTOM in whole pixels"
        raise ServiceError(Refusal(422, "bad_box", message))
    left, top, right, bottom = map(int, found.groups())
    return kind, (left, top, right, bottom)


def _add_sensitivity(router: APIRouter, sensitivities: Sensitivities) -> None:
    @router.get(f"{PART}/sensitivity")
    async def look(dataset: str, category: str) -> SensitivityAnswer:
        """False alarms asked for, and from which number on images of the feedback are rejected."""
        return SensitivityAnswer.of(await sensitivities.look(dataset, category))

    @router.put(f"{PART}/sensitivity")
    async def change(
        request: Request, dataset: str, category: str, wish: SensitivityWish
    ) -> CategoryAnswer:
        """Ask the champion for another number of false alarms, without a fit."""
        changed = await sensitivities.change(
            dataset, category, wish.false_alarms, asked_by(request)
        )
        return CategoryAnswer.of(changed)


def _add_scores(router: APIRouter, parts: Parts) -> None:
    @router.get(f"{PART}/scores")
    async def scores(dataset: str, category: str) -> ScoresAnswer:
        """Of the last accepted images that this server scored, oldest first."""
        champion = await parts.service.champion(dataset, category)
        watch = parts.service.drift
        return ScoresAnswer.of(watch.recent(champion.key), watch.of(champion.key))


def _add_moves(router: APIRouter, parts: Parts) -> None:
    @router.post(f"{PART}/rollback")
    async def rollback(request: Request, dataset: str, category: str) -> CategoryAnswer:
        """Take the last promotion back: the version before answers again."""
        return CategoryAnswer.of(await parts.rollback(dataset, category, asked_by(request)))

    @router.delete(PART)
    async def withdraw(request: Request, dataset: str, category: str) -> CategoryAnswer:
        """Serve the part no longer. Its versions stay in the registry."""
        return CategoryAnswer.of(await parts.withdraw(dataset, category, asked_by(request)))
