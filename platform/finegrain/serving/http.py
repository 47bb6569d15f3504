"""The routes: scores, categories, health, the inspector's page and its examples."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from finegrain.captions import Caption
from finegrain.decision import Verdict
from finegrain.serving.access import check_access, local_cookie
from finegrain.serving.api_page import api_page
from finegrain.serving.bodies import read_images
from finegrain.serving.examples import EXAMPLES, example_png
from finegrain.serving.guard import CLOSED, Guard
from finegrain.serving.health import Health
from finegrain.serving.keys import KeyRing, same
from finegrain.serving.messages import Refusal, ServiceError
from finegrain.serving.pictures import PICTURES
from finegrain.serving.protocol_v2 import v2_router
from finegrain.serving.schemas import (
    CategoriesAnswer,
    CategoryAnswer,
    ErrorAnswer,
    ReadyAnswer,
    ScoreAnswer,
)
from finegrain.serving.service import ScoringService
from finegrain.serving.uploads import Uploads

PAGE_POLICY = f"default-src 'self'; img-src 'self' data: blob:; {CLOSED}"
DOCS_POLICY = f"default-src 'none'; style-src 'unsafe-inline'; {CLOSED}"
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "images": {"type": "array", "items": {"type": "string", "format": "binary"}}
                    },
                }
            },
        },
    }
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer} for status in (401, 403, 404, 409, 413, 415, 422, 429, 503, 504)
}


def make_app(service: ScoringService, parts: APIRouter | None = None) -> FastAPI:
    """The whole HTTP face of a service; `parts` has the routes that change what is served."""
    health = Health(service)
    app = FastAPI(
        lifespan=_watched(health),
        title="finegrain",
        version=version("finegrain"),
        description="Few-shot visual anomaly detection: scores, decisions and their reasons.",
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
    )
    app.state.keys, app.state.health = KeyRing(), health
    _add_errors(app, service)
    app.add_middleware(Uploads, config=service.config, answer=_too_many)
    app.add_middleware(  # the outermost: every answer has its headers
        Guard,
        keys=app.state.keys,
        most_bytes=service.config.max_bytes_in_flight,
        answer=_too_many,
    )
    _add_scoring(app, service, health)
    _add_health(app, health)
    _add_page(app)
    app.include_router(v2_router(service, health), dependencies=[Depends(check_access)])
    if parts:
        app.include_router(parts, responses=ERRORS)
    return app


def _watched(health: Health) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Health is watched for as long as the app runs."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(health.watch())
        yield
        watching.cancel()

    return lifespan


def error_response(request: Request, error: ServiceError) -> JSONResponse:
    """The answer to a request that gets no score; the Open Inference Protocol has a text there."""
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else None
    fault = {"code": error.refusal.code, "message": error.refusal.message}
    text = error.refusal.message if request.url.path.startswith("/v2") else fault
    return JSONResponse({"error": text}, error.refusal.status, headers)


def _too_many(scope: Scope, error: ServiceError) -> JSONResponse:
    return error_response(Request(scope), error)


def _add_errors(app: FastAPI, service: ScoringService) -> None:
    @app.exception_handler(ServiceError)
    async def refused(request: Request, error: ServiceError) -> JSONResponse:
        category = getattr(request.state, "category", "unknown")  # what is served alone
        service.meters.request(category, error.refusal.status, "")
        return error_response(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        return error_response(request, ServiceError(Refusal(422, "invalid", "; ".join(faults))))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error.__cause__, ServiceError):  # FastAPI wraps it where it reads a body
            return await refused(request, error.__cause__)
        message = f"{request.method} {request.url.path}: {error.detail}; see /docs"
        answer = error_response(request, ServiceError(Refusal(error.status_code, "http", message)))
        answer.headers.update(error.headers or {})
        return answer


def _add_scoring(app: FastAPI, service: ScoringService, health: Health) -> None:
    guarded = [Depends(check_access)]

    @app.post(
        "/v1/categories/{dataset}/{category}/score",
        response_model=ScoreAnswer,
        responses={**ERRORS, 200: {"content": {"image/png": {}}}},
        openapi_extra=BODY,
        dependencies=guarded,
        tags=["scoring"],
    )
    async def score(
        request: Request,
        dataset: str,
        category: str,
        heatmap: Annotated[
            str | None, Query(pattern="^png$", description="answer the overlay")
        ] = None,
        pictures: Annotated[
            str | None, Query(description=f"comma-separated, any of {', '.join(PICTURES)}")
        ] = None,
    ) -> Response:
        """Score one image or several: decision, regions above the threshold, and why."""
        champion = await service.champion(dataset, category)  # both before a body is read
        request.state.category = champion.key
        service.check_room()
        wanted = _pictures(pictures, heatmap is not None)
        images = await read_images(request, service.config)
        if heatmap and len(images) > 1:
            message = f"heatmap=png answers one image; {len(images)} came. Use pictures=overlay"
            raise ServiceError(Refusal(422, "one_image", message))
        answered = await service.score(dataset, category, images, wanted, from_line=True)
        first = answered.scored.images[0]
        if isinstance(first, Refusal) and len(images) == 1:
            raise ServiceError(first)
        if heatmap and isinstance(first, Verdict):
            overlay = answered.scored.pictures[0]["overlay"]
            return Response(overlay, media_type="image/png", headers=_brief(first))
        answer = await asyncio.to_thread(
            ScoreAnswer.of,
            answered.key,
            answered.champion.model,
            answered.scored,
            answered.total_ms,
        )
        text = await asyncio.to_thread(answer.model_dump_json)  # pictures are large
        return Response(text, media_type="application/json")

    @app.get("/v1/categories", dependencies=guarded, responses=ERRORS, tags=["scoring"])
    async def categories() -> CategoriesAnswer:
        """What is served, and which versions."""
        champions = await service.champions()
        return CategoriesAnswer(
            categories=[
                CategoryAnswer.of(champion, service.drift.of(champion.key), health.of(champion))
                for champion in sorted(champions.values(), key=lambda c: c.key)
            ]
        )

    @app.get(
        "/v1/categories/{dataset}/{category}/caption",
        dependencies=guarded,
        responses=ERRORS,
        tags=["scoring"],
    )
    async def caption(dataset: str, category: str) -> Caption:
        """The category's caption at its three levels."""
        return await service.caption(dataset, category)


def _pictures(given: str | None, overlay: bool) -> list[str]:
    wanted = [name for name in (given or "").split(",") if name]
    if unknown := [name for name in wanted if name not in PICTURES]:
        message = f"no picture {', '.join(unknown)}; known: {', '.join(PICTURES)}"
        raise ServiceError(Refusal(422, "unknown_picture", message))
    return [*wanted, *(["overlay"] if overlay and "overlay" not in wanted else [])]


def _brief(verdict: Verdict) -> dict[str, str]:
    """The verdict as headers of a picture."""
    return {
        "X-Score": f"{verdict.score:.6g}",
        "X-Threshold": "" if verdict.threshold is None else f"{verdict.threshold:.6g}",
        "X-Rejected": json.dumps(verdict.rejected),
    }


def _add_health(app: FastAPI, health: Health) -> None:
    @app.get("/healthz", tags=["health"])
    async def alive() -> dict[str, str]:
        """The ingress answers."""
        return {"status": "ok"}

    @app.get("/readyz", responses=ERRORS, tags=["health"])
    async def ready() -> ReadyAnswer:
        """A canary went through the whole graph not long ago. Categories have their own state."""
        if fault := health.fault():
            raise ServiceError(Refusal(503, "not_ready", fault), retry_after=5)
        return ReadyAnswer(ready=True)


def _add_page(app: FastAPI) -> None:
    folder = files("finegrain.serving").joinpath("inspector")
    kinds = {
        "inspector.html": "text/html",
        "inspector.js": "text/javascript",
        "parts.js": "text/javascript",
        "inspector.css": "text/css",
    }
    contents = {name: folder.joinpath(name).read_bytes() for name in kinds}

    def file(name: str) -> Response:
        headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}
        return Response(contents[name], media_type=kinds[name], headers=headers)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        headers = {"Content-Security-Policy": DOCS_POLICY}
        return Response(api_page(app.openapi()), media_type="text/html", headers=headers)

    @app.get("/", include_in_schema=False)
    async def page(request: Request, key: str | None = None) -> Response:
        local = app.state.keys.local
        if not (key and local and same(key.encode(), local)):
            return file("inspector.html")
        moved = RedirectResponse("/", 303)  # without the key, which is in no history then
        moved.set_cookie(local_cookie(request), local, httponly=True, samesite="strict")
        return moved

    @app.get("/{name}.{suffix}", include_in_schema=False)
    async def part(name: str, suffix: str) -> Response:
        if f"{name}.{suffix}" not in contents:
            raise HTTPException(404, "Not Found")
        return file(f"{name}.{suffix}")

    guarded = [Depends(check_access)]  # they are drawn when asked for, which is work

    @app.get("/v1/examples", tags=["examples"], dependencies=guarded, responses=ERRORS)
    async def examples() -> dict[str, list[str]]:
        """Test pictures of the factory's categories, drawn when asked for."""
        return EXAMPLES

    @app.get(
        "/v1/examples/{category}/{name}", tags=["examples"], dependencies=guarded, responses=ERRORS
    )
    def example(category: str, name: str) -> Response:
        """One of them as a PNG file."""
        if name not in EXAMPLES.get(category, ()):
            message = f"no example {category}/{name}; /v1/examples lists them"
            raise ServiceError(Refusal(404, "unknown_example", message))
        return Response(example_png(category, name), media_type="image/png")
