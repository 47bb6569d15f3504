"""One question to an OpenAI-compatible chat endpoint: limits, retries and a budget of calls."""

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import httpx

from finegrain.errors import ConfigError

Message = Mapping[str, Any]
MAX_REPLY_BYTES = 1 << 20
LONGEST_PAUSE_S = 60.0
CONNECT_TIMEOUT_S = 10.0
RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class ChatError(RuntimeError):
    """The endpoint gave no usable answer; the message says why and after how many tries."""


class BudgetSpentError(ChatError):
    """All calls that were allowed have been made."""


class CallBudget:
    """How many calls may still be made, counted over threads; retries count too.

    Args:
        calls: at most, at least 1.
    """

    def __init__(self, calls: int) -> None:
        if calls < 1:
            raise ConfigError(f"a budget allows at least 1 call; got {calls}")
        self.calls, self.made, self._lock = calls, 0, Lock()

    def spend(self) -> None:
        """Take one call; BudgetSpentError where none is left."""
        with self._lock:
            if self.made >= self.calls:
                raise BudgetSpentError(f"the budget of {self.calls} calls is spent")
            self.made += 1


@dataclass(frozen=True)
class Endpoint:
    """Where to ask, and how patiently.

    Args:
        url: of the API, without /chat/completions.
        model: the endpoint's name of it.
        key: sent as bearer token; None for a server without.
        timeout_s: for one whole answer, however slowly it drips.
        tries: of one question, the first included.
        pause_s: before the second try; it doubles with every further one.
    """

    url: str
    model: str
    key: str | None = None
    timeout_s: float = 120.0
    tries: int = 5
    pause_s: float = 1.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"an endpoint is an http:// or https:// address; got {self.url!r}")
        if self.tries < 1 or self.timeout_s <= 0:
            raise ConfigError("an endpoint needs at least one try and a positive timeout")


class Chat:
    """Questions to one endpoint; safe to use from several threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        budget: CallBudget,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.endpoint, self.budget, self._sleep = endpoint, budget, sleep
        key = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        timeout = httpx.Timeout(
            endpoint.timeout_s, connect=min(CONNECT_TIMEOUT_S, endpoint.timeout_s)
        )
        self._client = httpx.Client(headers=key, timeout=timeout)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ask(self, messages: Sequence[Message]) -> str:
        """The text of the answer.

        Raises:
            BudgetSpentError: no call is left.
            ChatError: the endpoint refused the question, or all tries failed.
        """
        tries = self.endpoint.tries
        for number in range(1, tries + 1):
            self.budget.spend()
            try:
                return self._call(messages)
            except (httpx.TransportError, _RetryableError) as error:
                why = str(error) or type(error).__name__
                if number == tries:
                    raise ChatError(f"no answer after {tries} tries; the last: {why}") from error
                asked_for = getattr(error, "wait_s", None)
                self._sleep(self._pause(number) if asked_for is None else asked_for)
        raise AssertionError("unreachable")

    def _pause(self, number: int) -> float:
        """Doubling, with up to a half less by chance, so that threads do not march in step."""
        longest: float = min(self.endpoint.pause_s * 2 ** (number - 1), LONGEST_PAUSE_S)
        return longest * random.uniform(0.5, 1.0)

    def _call(self, messages: Sequence[Message]) -> str:
        question = {"model": self.endpoint.model, "messages": list(messages), "temperature": 0}
        url = f"{self.endpoint.url.rstrip('/')}/chat/completions"
        started = time.monotonic()
        with self._client.stream("POST", url, json=question) as response:
            body = bytearray()
            for part in response.iter_bytes():
                body += part
                if len(body) > MAX_REPLY_BYTES:
                    raise ChatError(f"the answer is longer than {MAX_REPLY_BYTES} bytes")
                if time.monotonic() - started > self.endpoint.timeout_s:
                    raise httpx.ReadTimeout(f"no whole answer in {self.endpoint.timeout_s:g} s")
        return _text(response, bytes(body))


class _RetryableError(Exception):
    """Worth another try, after `wait_s` where the endpoint said so."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def _text(response: httpx.Response, body: bytes) -> str:
    """The first choice's text; an error where the status or the form is not as agreed."""
    status = response.status_code
    if status in RETRIED:
        raise _RetryableError(f"status {status}", _retry_after(response))
    if status != 200:
        hint = "; is the key right?" if status in (401, 403) else ""
        raise ChatError(
            f"the endpoint answers {status}{hint}: {body[:300].decode(errors='replace')}"
        )
    try:
        text = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError) as error:
        raise _RetryableError("the answer has not the form of a chat completion") from error
    if not isinstance(text, str):
        raise _RetryableError("the answer has no text")
    return text


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, within reason; None where the header is missing or a date."""
    try:
        return min(max(float(response.headers["retry-after"]), 0.0), LONGEST_PAUSE_S)
    except (KeyError, ValueError):
        return None
