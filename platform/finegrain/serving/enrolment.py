"""Enrolments as the ingress knows them: one at a time for a part, each a row of states.

    received -> encoding -> fitting -> calibrating -> registering -> ready
                 any of them -> failed

No Ray and no HTTP in here: who does the work is given as a Fitter.
"""

import asyncio
import logging
import time
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from finegrain.backbones import Resize
from finegrain.decision.thresholds import FALSE_ALARMS
from finegrain.errors import InputError
from finegrain.serving.messages import Preview, Refusal, ServiceError

log = logging.getLogger("ray.serve")
State = Literal["received", "encoding", "fitting", "calibrating", "registering", "ready", "failed"]
ENDED = ("ready", "failed")
LONGEST_NAME = 80
KEPT = 100  # enrolments that can still be asked after


@dataclass(frozen=True)
class Order:
    """A part to be fitted.

    Args:
        photos: contents of the image files.
        method: of `finegrain.detectors.DETECTORS`.
        options: of the method, its caption among them where it needs one.
        seed: of all randomness.
        false_alarms: among 100 good parts, that the thresholds are calibrated for.
        before: version of its champion when it was ordered; None where it had none.
        by: who ordered it, for the record.
        resize: of images to the square that the backbone sees.
    """

    dataset: str
    category: str
    photos: tuple[bytes, ...]
    method: str
    options: Mapping[str, Any]
    seed: int = 0
    false_alarms: float = FALSE_ALARMS
    before: str | None = None
    by: str | None = None
    resize: Resize = "auto"

    @property
    def key(self) -> str:
        """DATASET/CATEGORY."""
        return f"{self.dataset}/{self.category}"


@dataclass(frozen=True)
class Step:
    """A state that is reached; `version` of one that is ready, `message` why one failed."""

    state: State
    version: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Progress(Step):
    """A step, and how many seconds after the beginning it was reached."""

    seconds: float = 0.0


class Fitter(Protocol):
    """Who does the work, elsewhere."""

    def fit(self, order: Order) -> AsyncGenerator[Step, None]:
        """The steps as they are reached, "ready" or "failed" at last; closing it ends the work."""
        ...

    async def preview(self, order: Order) -> Preview:
        """What is seen in the photos; InputError where one can't be read."""
        ...


class Enrolment:
    """One part's way from photos to a champion."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.seen: list[Progress] = []
        self._begun, self._news = time.monotonic(), asyncio.Condition()

    @property
    def ended(self) -> bool:
        """Whether it is ready or failed."""
        return bool(self.seen) and self.seen[-1].state in ENDED

    async def tell(self, step: Step) -> None:
        """Go on to the next state."""
        seconds = round(time.monotonic() - self._begun, 2)
        async with self._news:
            self.seen.append(Progress(step.state, step.version, step.message, seconds))
            self._news.notify_all()

    async def follow(self) -> AsyncIterator[Progress]:
        """All states from the first, as they are reached, to the last."""
        told = 0
        while True:
            async with self._news:
                while len(self.seen) == told:
                    await self._news.wait()
            for progress in self.seen[told:]:
                told += 1
                yield progress
            if self.ended and told == len(self.seen):
                return


class Enrolments:
    """Those of this process.

    Args:
        fitter: does the work.
        at_once: most that may be under way.
        timeout_s: of one.
        refresh: makes a new champion known here, before its enrolment is told to be ready.
    """

    def __init__(
        self,
        fitter: Fitter,
        at_once: int,
        timeout_s: float,
        refresh: Callable[[], Awaitable[object]],
    ) -> None:
        self._fitter, self._at_once, self._timeout_s = fitter, at_once, timeout_s
        self._refresh = refresh
        self._known: dict[str, Enrolment] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._previews = 0  # under way

    def find(self, dataset: str, category: str) -> Enrolment:
        """The part's latest; ServiceError 404 where there is none."""
        if found := self._known.get(f"{dataset}/{category}"):
            return found
        message = f"no enrolment of {dataset}/{category} since this server began"
        raise ServiceError(Refusal(404, "no_enrolment", message))

    def check_idle(self, dataset: str, category: str) -> None:
        """ServiceError 409 where the part is being enrolled."""
        found = self._known.get(f"{dataset}/{category}")
        if found and not found.ended:
            message = f"{found.key} is being enrolled; wait until that is ready"
            raise ServiceError(Refusal(409, "enrolling", message), retry_after=5)

    def check_free(self, dataset: str, category: str) -> None:
        """ServiceError 409 where the part is being enrolled, 429 where too many others are."""
        self.check_idle(dataset, category)
        running = [one.key for one in self._known.values() if not one.ended]
        if len(running) >= self._at_once:
            message = f"{len(running)} parts are being enrolled, the most at once: {running}"
            raise ServiceError(Refusal(429, "overloaded", message), retry_after=10)

    async def preview(self, order: Order) -> Preview:
        """What would be learnt from the photos.

        Raises:
            ServiceError: 429 where too many are asked for, 422 for a photo that can't be read, 503
                where it takes too long.
        """
        if self._previews >= self._at_once:
            message = f"{self._previews} previews are under way, the most at once"
            raise ServiceError(Refusal(429, "overloaded", message), retry_after=10)
        self._previews += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._fitter.preview(order)
        except InputError as error:
            raise ServiceError(Refusal(422, "bad_photo", str(error))) from error
        except TimeoutError as error:
            message = f"no preview within {self._timeout_s:g} s; is a core free for it?"
            raise ServiceError(Refusal(503, "timeout", message)) from error
        finally:
            self._previews -= 1

    async def begin(self, order: Order) -> Enrolment:
        """Start it; errors as for `check_free`."""
        self.check_free(order.dataset, order.category)
        enrolment = Enrolment(order.key)
        self._known.pop(order.key, None)  # the newest is last
        self._known[order.key] = enrolment
        for key in list(self._known)[:-KEPT]:
            if self._known[key].ended:
                del self._known[key]
        await enrolment.tell(Step("received"))
        task = asyncio.create_task(self._run(order, enrolment))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return enrolment

    async def _run(self, order: Order, enrolment: Enrolment) -> None:
        try:
            async with asyncio.timeout(self._timeout_s), aclosing(self._fitter.fit(order)) as steps:
                async for step in steps:
                    if step.state == "ready":
                        await self._refresh()
                    await enrolment.tell(step)
            failure = "the work ended without a result"
        except TimeoutError:
            failure = f"not done within {self._timeout_s:g} s; is a core free for it?"
        except Exception as error:
            log.exception("enrolment of %s", order.key)
            failure = f"{type(error).__name__}: {error}".splitlines()[0]
        if not enrolment.ended:
            await enrolment.tell(Step("failed", message=failure))


def checked_name(text: str, what: str) -> str:
    """A name that a registry, a URL and a file system can hold, in Unicode's composed form.

    Raises:
        ServiceError: 422, with what is allowed.
    """
    name = unicodedata.normalize("NFC", text)
    good = all(unicodedata.category(one)[0] in "LMN" or one in " _.-" for one in name)
    starts = bool(name) and unicodedata.category(name[0])[0] in "LN"
    if good and starts and name[-1] not in " ." and len(name.encode()) <= LONGEST_NAME:
        return name
    message = (
        f"{what} {text!r} can't be a name; allowed are letters and digits of any script, spaces, "
        f"'_', '-' and '.', a letter or digit first, no space or '.' last, up to {LONGEST_NAME} "
        "bytes of UTF-8"
    )
    raise ServiceError(Refusal(422, "bad_name", message))
