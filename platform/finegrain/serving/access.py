"""Who may ask: by a key, or from this machine."""

import os

from starlette.requests import HTTPConnection, Request

from finegrain.serving.config import API_KEY
from finegrain.serving.keys import LOCAL, KeyRing, same
from finegrain.serving.messages import Refusal, ServiceError
from finegrain.serving.peer import Place, is_loopback, user_at, was_forwarded


def check_access(request: Request) -> None:
    """A known key where keys are set; where none is, only programs and pages of this machine.

    Raises:
        ServiceError: 401, 403, or 429 beyond the key's own limit.
    """
    ring: KeyRing = request.app.state.keys
    request.state.asker = asker(request, ring)
    if request.state.asker:
        return
    if ring.known():
        message = "send the API key as X-API-Key or as Authorization: Bearer KEY"
        raise ServiceError(Refusal(401, "unauthorized", message))
    _check_machine(request)
    _check_own_page(request)
    if ring.local and _from_browser(request) and not _same_cookie(request, ring.local):
        message = "open the address that the server printed when it began: it has the key"
        raise ServiceError(Refusal(401, "unauthorized", message))


def asker(request: HTTPConnection, ring: KeyRing) -> str | None:
    """The name of the key that a request shows; None where it shows none that is known."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    shown = request.headers.get("x-api-key") or (token if scheme.lower() == "bearer" else "")
    given = shown.strip(" \t").encode("latin-1")  # as it came
    if ring.local and same(given, ring.local):
        return LOCAL
    return ring.name_of(given)


def check_may_change(request: Request) -> None:
    """ServiceError 403 where the key may score, but change no part; after `check_access`."""
    ring: KeyRing = request.app.state.keys
    key = ring.known().get(request.state.asker or "")
    if key and not key.changes and request.method != "GET":
        message = f"the key of {request.state.asker} may score, but change no part"
        raise ServiceError(Refusal(403, "forbidden", message))


def asked_by(request: Request) -> str:
    """The name of the key that a request came with, or the address that it came from."""
    return request.state.asker or (request.client.host if request.client else "unknown")


def local_cookie(request: Request) -> str:
    """The name of the cookie with the local key: a browser has one for all ports of a host."""
    return f"finegrain-{request.url.port or 80}"


def _check_machine(request: Request) -> None:
    """ServiceError 403 for what does not come from this machine, as far as that can be seen.

    A foreign Host is one too: a web page elsewhere reaches loopback through a name that resolves
    to it. So is what a proxy passes on, wherever it says that comes from; one that is silent about
    it speaks HTTP/1.0, or is run by another user.
    """
    host = request.headers.get("host", "").rsplit(":", 1)[0].strip("[]")
    client: Place = request.client or ("", 0)
    server: Place = request.scope.get("server") or ("", 0)
    if was_forwarded(request.headers) or not (is_loopback(client[0]) and is_loopback(host)):
        message = f"only loopback may ask without a key; set {API_KEY} for the server"
        raise ServiceError(Refusal(403, "forbidden", message))
    user, strict = user_at(client, server), bool(request.app.state.keys.local)
    ours = user == os.getuid() or (user is None and not strict)
    if not ours or request.scope.get("http_version") == "1.0":
        message = (
            "only programs of the server's own user may ask without a key, and no proxy; "
            f"set {API_KEY} for the server"
        )
        raise ServiceError(Refusal(403, "forbidden", message))


def _check_own_page(request: Request) -> None:
    """ServiceError 403 for what a browser asks for another page than ours.

    Any page may let a browser send a form to loopback, or load a picture from it.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None:  # an old browser, or none
        foreign = origin is not None and origin.partition("://")[2] != request.headers.get("host")
    else:
        foreign = site not in ("same-origin", "none")
    if foreign:
        message = f"a page of {origin or 'another site'} may not ask this server"
        raise ServiceError(Refusal(403, "forbidden", message))


def _from_browser(request: Request) -> bool:
    """Whether the request has a mark that every browser leaves, and that no page can take off."""
    marked = any(name.startswith("sec-fetch-") for name in request.headers)
    return marked or "mozilla" in request.headers.get("user-agent", "").lower()


def _same_cookie(request: Request, key: str) -> bool:
    return same(request.cookies.get(local_cookie(request), "").encode(), key)
