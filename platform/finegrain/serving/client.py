"""A client of the server, sync and async; it waits and asks again where the server is busy."""

import asyncio
import os
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx

from finegrain.serving.config import API_KEY
from finegrain.serving.schemas import CategoriesAnswer, ErrorAnswer, ScoreAnswer

BUSY = (429, 503)
PAUSE_SECONDS = 0.2  # before the first retry where the server names no time; it doubles
LONGEST_PAUSE = 10.0

Image = bytes | Path
Steps = Generator[tuple[str, str, dict[str, Any]] | float, httpx.Response | Exception | None, Any]


class ScoringError(Exception):
    """The server refused, or could not be reached.

    Args:
        status: of HTTP; None where no answer came.
        code: the server's word for it.
    """

    def __init__(self, message: str, status: int | None = None, code: str = "unreachable") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _Exchange:
    """What is asked and how answers are read; the clients only send and sleep."""

    def __init__(self, retries: int) -> None:
        self._retries = retries

    def score(self, category: str, images: Sequence[Image], pictures: Sequence[str]) -> Steps:
        contents = [i.read_bytes() if isinstance(i, Path) else i for i in images]
        url = f"/v1/categories/{quote(category)}/score"
        params = {"pictures": ",".join(pictures)} if pictures else {}
        body: dict[str, Any] = {"content": contents[0]}  # a form has to be taken apart again
        if len(contents) != 1:
            body = {"files": [("images", (f"{n}", one)) for n, one in enumerate(contents)]}
        response = yield from self._ask("POST", url, {**body, "params": params})
        return ScoreAnswer.model_validate_json(response.content)

    def categories(self) -> Steps:
        response = yield from self._ask("GET", "/v1/categories", {})
        return CategoriesAnswer.model_validate_json(response.content)

    def _ask(
        self, method: str, url: str, content: dict[str, Any]
    ) -> Generator[Any, Any, httpx.Response]:
        pause = PAUSE_SECONDS
        for attempt in range(self._retries + 1):
            answer = yield method, url, content
            last = attempt == self._retries
            if isinstance(answer, httpx.Response):
                if answer.is_success:
                    return answer
                if answer.status_code not in BUSY or last:
                    raise _refusal(answer)
                named = answer.headers.get("retry-after", "")
                yield min(float(named) if named.isdecimal() else pause, LONGEST_PAUSE)
            elif last:
                raise ScoringError(f"no answer from the server: {answer!r}") from answer
            else:
                yield pause
            pause = min(2 * pause, LONGEST_PAUSE)
        raise AssertionError("unreachable")


def _refusal(response: httpx.Response) -> ScoringError:
    try:
        fault = ErrorAnswer.model_validate_json(response.content).error
    except ValueError:
        return ScoringError(f"HTTP {response.status_code}", response.status_code, "http")
    return ScoringError(fault.message, response.status_code, fault.code)


def _options(address: str, api_key: str | None, timeout_s: float) -> dict[str, Any]:
    key = api_key or os.environ.get(API_KEY)
    headers = {"X-API-Key": key.encode()} if key else {}  # of any letters
    return {"base_url": address, "headers": headers, "timeout": timeout_s}


class Client:
    """Scores images over HTTP.

    Args:
        address: of the server, http://HOST:PORT.
        api_key: [$FINEGRAIN_API_KEY].
        retries: on 429, 503 and lost connections.
        timeout_s: of one try.
        transport: for tests.
    """

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        retries: int = 5,
        timeout_s: float = 60,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        options = _options(address, api_key, timeout_s)
        self._http = httpx.Client(**options, transport=transport)
        self._exchange = _Exchange(retries)

    def score(
        self, category: str, images: Sequence[Image], pictures: Sequence[str] = ()
    ) -> ScoreAnswer:
        """The verdicts on files or their contents; `category` is DATASET/CATEGORY.

        Raises:
            ScoringError: the server refused, or did not answer.
        """
        answer: ScoreAnswer = self._run(self._exchange.score(category, images, pictures))
        return answer

    def categories(self) -> CategoriesAnswer:
        """What is served; errors as for `score`."""
        answer: CategoriesAnswer = self._run(self._exchange.categories())
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, steps: Steps) -> Any:
        answer: httpx.Response | Exception | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as done:
                return done.value
            if isinstance(step, float):
                time.sleep(step)
                answer = None
                continue
            method, url, content = step
            try:
                answer = self._http.request(method, url, **content)
            except httpx.TransportError as error:
                answer = error


class AsyncClient:
    """`Client` for asyncio, with the same arguments and errors."""

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        retries: int = 5,
        timeout_s: float = 60,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        options = _options(address, api_key, timeout_s)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        self._http = httpx.AsyncClient(**options, transport=transport, limits=limits)
        self._exchange = _Exchange(retries)

    async def score(
        self, category: str, images: Sequence[Image], pictures: Sequence[str] = ()
    ) -> ScoreAnswer:
        """See `Client.score`."""
        answer: ScoreAnswer = await self._run(self._exchange.score(category, images, pictures))
        return answer

    async def categories(self) -> CategoriesAnswer:
        """See `Client.categories`."""
        answer: CategoriesAnswer = await self._run(self._exchange.categories())
        return answer

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _run(self, steps: Steps) -> Any:
        answer: httpx.Response | Exception | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as done:
                return done.value
            if isinstance(step, float):
                await asyncio.sleep(step)
                answer = None
                continue
            method, url, content = step
            try:
                answer = await self._http.request(method, url, **content)
            except httpx.TransportError as error:
                answer = error
