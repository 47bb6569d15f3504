"""Bodies on their way: each whole in time, within the limit, and not too many at once."""

import asyncio
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finegrain.serving.config import ServingConfig
from finegrain.serving.messages import Refusal, ServiceError

SILENT_S = 1.0  # an upload that says nothing for so long makes room for another
Answer = Callable[[Scope, ServiceError], ASGIApp]


class Uploads:
    """ASGI's middleware for every route that reads a body.

    Args:
        app: what reads them; it gets the errors of `Upload.receive`.
        config: with the limits.
        answer: makes the answer to a request that finds no room.
    """

    def __init__(self, app: ASGIApp, config: ServingConfig, answer: Answer) -> None:
        self._app, self._config, self._answer = app, config, answer
        self._arriving: set[Upload] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app read the body through an Upload."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self._app(scope, receive, send)
            return
        if len(self._arriving) >= self._config.max_uploads and not self._make_room():
            most = f"{self._config.max_uploads} bodies arrive; no more may (max_uploads)"
            busy = ServiceError(Refusal(429, "overloaded", most), retry_after=1)
            await self._answer(scope, busy)(scope, receive, send)
            return
        upload = Upload(receive, self._config, Headers(scope=scope), self._arriving.discard)
        self._arriving.add(upload)
        try:
            await self._app(scope, upload.receive, send)
        finally:
            self._arriving.discard(upload)

    def _make_room(self) -> bool:
        """Give up the upload that has been silent the longest, if any has."""
        slowest = min(self._arriving, key=lambda upload: upload.heard)
        silent = asyncio.get_running_loop().time() - slowest.heard > SILENT_S
        if silent:
            self._arriving.discard(slowest)
            slowest.give_up()
        return silent


class Upload:
    """A body that arrives.

    Starlette's RequestBodyLimitMiddleware would answer a declared length in plain text.

    Args:
        receive: of ASGI.
        config: with the limits.
        headers: of the request.
        arrived: told when nothing more of it comes.
    """

    def __init__(
        self,
        receive: Receive,
        config: ServingConfig,
        headers: Headers,
        arrived: Callable[["Upload"], None],
    ) -> None:
        self._receive, self._config, self._headers = receive, config, headers
        self._arrived = arrived
        self.heard = asyncio.get_running_loop().time()
        self._deadline: float | None = self.heard + config.body_timeout_s
        self._size = 0
        self._waiting: asyncio.Timeout | None = None

    def give_up(self) -> None:
        """Wait for it no longer."""
        now = asyncio.get_running_loop().time()
        if self._deadline is not None:
            self._deadline = now
        if self._waiting is not None:
            self._waiting.reschedule(self._deadline)

    async def receive(self) -> Message:
        """The next message.

        Raises:
            ServiceError: 400, 413, 415 as soon as the body is known not to be taken, 408 where it
                does not arrive.
        """
        if not self._size:
            self._check_headers()
        try:
            async with asyncio.timeout_at(self._deadline) as self._waiting:
                message = await self._receive()
        except TimeoutError as error:
            raise ServiceError(Refusal(408, "body_timeout", self._late())) from error
        finally:
            self._waiting = None
        self.heard = asyncio.get_running_loop().time()
        self._size += len(message.get("body", b""))
        if self._size > self._config.max_body_bytes:
            raise self._too_long()
        if not message.get("more_body", False):  # what follows is that the client has gone
            self._deadline = None
            self._arrived(self)
        return message

    def _check_headers(self) -> None:
        encoding = self._headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            message = f"the body is encoded by {encoding}, which is not taken; send it as it is"
            raise ServiceError(Refusal(415, "content_encoding", message))
        declared = self._headers.get("content-length", "0")
        if not declared.isdecimal():
            raise ServiceError(Refusal(400, "bad_length", f"Content-Length is {declared!r}"))
        if int(declared) > self._config.max_body_bytes:
            raise self._too_long()

    def _too_long(self) -> ServiceError:
        limit = self._config.max_body_bytes
        message = f"the body has more than {limit:,} bytes, the most taken (max_body_bytes)"
        return ServiceError(Refusal(413, "body_size", message))

    def _late(self) -> str:
        return (
            f"the body did not arrive within {self._config.body_timeout_s:g} s (body_timeout_s), "
            f"or said nothing for {SILENT_S:g} s while too many others arrived (max_uploads)"
        )
