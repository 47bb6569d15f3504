"""What every request passes and every answer carries, whatever its route."""

from collections import Counter
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finegrain.serving.access import asker
from finegrain.serving.keys import KeyRing
from finegrain.serving.messages import Refusal, ServiceError

Answer = Callable[[Scope, ServiceError], ASGIApp]
CLOSED = "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": f"default-src 'none'; {CLOSED}",  # of what has no other
}


class Guard:
    """ASGI's middleware: bytes in memory, requests of a key at once, headers of every answer.

    Args:
        app: what is guarded; it gets ServiceErrors where it reads a body.
        keys: that requests may show.
        most_bytes: of all bodies that are read or worked on.
        answer: makes the answer to a request that is not let in.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, most_bytes: int, answer: Answer) -> None:
        self._app, self._keys, self._answer = app, keys, answer
        self._most, self._held = most_bytes, 0
        self._requests: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, and see it out."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = asker(HTTPConnection(scope), self._keys) or ""
        key = self._keys.known().get(name)
        if key and key.max_requests and self._requests[name] >= key.max_requests:
            message = f"the key of {name} has {key.max_requests} requests in work; no more may be"
            busy = ServiceError(Refusal(429, "overloaded", message), retry_after=1)
            await self._answer(scope, busy)(scope, receive, _closed(send))
            return
        self._requests[name] += 1
        body = Held(self, receive, Headers(scope=scope))
        try:
            await self._app(scope, body.receive, _closed(send))
        finally:
            self._held -= body.size
            self._requests[name] -= 1
            self._requests += Counter()  # names without a request are dropped

    def hold(self, more: int) -> None:
        """Count bytes before they are kept; ServiceError 429 where they are too many."""
        if self._held + more > self._most:
            message = (
                f"bodies of {self._held:,} bytes are in work, {self._most:,} may be "
                "(max_bytes_in_flight). Try again in 1 s"
            )
            raise ServiceError(Refusal(429, "overloaded", message), retry_after=1)
        self._held += more


class Held:
    """A body that is counted as it arrives; what it declares has to have room before that."""

    def __init__(self, guard: Guard, receive: Receive, headers: Headers) -> None:
        self._guard, self._receive = guard, receive
        declared = headers.get("content-length", "0")
        self._declared = int(declared) if declared.isdecimal() else 0
        self.size = 0

    async def receive(self) -> Message:
        """The next message; errors as for `Guard.hold`."""
        if not self.size:
            self._guard.hold(self._declared)
            self._guard.hold(-self._declared)
        message = await self._receive()
        more = len(message.get("body", b""))
        self._guard.hold(more)
        self.size += more
        return message


def _closed(send: Send) -> Send:
    """Sends answers that no page frames and no browser takes for something else."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
