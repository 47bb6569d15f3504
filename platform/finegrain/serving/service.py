"""What stands between HTTP and the graph: lookup, admission, one deadline, retries, measures.

No FastAPI and no Ray in here: the graph is given as three functions.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from finegrain.captions import Caption
from finegrain.data.images import open_image
from finegrain.errors import ImageError
from finegrain.serving.config import ServingConfig
from finegrain.serving.drift import DriftWatch
from finegrain.serving.encoder import image_refusal
from finegrain.serving.examples import canary_png
from finegrain.serving.messages import NO_SCORE, Refusal, ScoredImages, ServiceError
from finegrain.serving.room import Room
from finegrain.tracking import Champion

T = TypeVar("T")
log = logging.getLogger("ray.serve")
ATTEMPTS = 4  # of a request whose replica died
PAUSE_SECONDS = 0.1  # before the first retry; it doubles
LOOK_SECONDS = 1.0  # between two looks for a lost replica


class Graph(Protocol):
    """The deployments behind the ingress."""

    async def champions(self) -> dict[str, Champion]:
        """What is served, by DATASET/CATEGORY, as last heard of it."""
        ...

    async def caption(self, dataset: str, category: str) -> Caption | None:
        """The category's caption."""
        ...

    async def score(
        self, key: str, images: Sequence[bytes], pictures: Sequence[str]
    ) -> ScoredImages | Refusal:
        """Encode and score the images of one request."""
        ...

    def overloaded(self, error: Exception) -> bool:
        """Whether a queue was full."""
        ...

    def lost_replica(self, error: Exception) -> bool:
        """Whether a replica died under the request, so that another may serve it."""
        ...

    def lost_since(self, moment: float) -> bool:
        """Whether a replica was lost after that moment of `time.monotonic`."""
        ...


class Meters(Protocol):
    """Where measurements go."""

    def request(self, category: str, status: int, version: str) -> None:
        """Count an answered request."""
        ...

    def stage(self, name: str, milliseconds: float) -> None:
        """Note how long a stage took."""
        ...

    def in_flight(self, images: int) -> None:
        """Note how many images are being scored or wait for it."""
        ...

    def drift(self, category: str, deviations: float) -> None:
        """Note how far a category's accepted images lie from what its calibration expects."""
        ...

    def refused(self, category: str, *, newest: bool) -> None:
        """Note whether a category's newest champion is refused, so that the one before answers."""
        ...

    def unusable(self, category: str) -> None:
        """Count a request whose scores are no finite numbers."""
        ...


@dataclass(frozen=True)
class Answered:
    """A scored request."""

    key: str
    champion: Champion
    scored: ScoredImages
    total_ms: float


class NeverAnsweredError(Exception):
    """A replica was lost, and a call is not answered."""


class ScoringService:
    """Scores requests through a graph within the config's limits."""

    def __init__(
        self,
        config: ServingConfig,
        graph: Graph,
        meters: Meters,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.config, self.meters = config, meters
        self._graph, self._sleep = graph, sleep
        self.drift = DriftWatch()
        self._room = Room(config, meters.in_flight)

    async def champions(self) -> dict[str, Champion]:
        """What is served, by DATASET/CATEGORY."""
        return await self._in_time(self._graph.champions)

    async def champion(self, dataset: str, category: str) -> Champion:
        """ServiceError 404 with the list where the category is not served."""
        champions = await self.champions()
        if found := champions.get(f"{dataset}/{category}"):
            return found
        nothing = "nothing yet; promote a run with `finegrain promote`"
        served = ", ".join(sorted(champions)) or nothing
        message = f"{dataset}/{category} is not served; served: {served}"
        raise ServiceError(Refusal(404, "unknown_category", message))

    async def caption(self, dataset: str, category: str) -> Caption:
        """ServiceError 404 where the category is not served or has no caption."""
        await self.champion(dataset, category)
        found = await self._in_time(lambda: self._graph.caption(dataset, category))
        if found is None:
            message = f"{dataset}/{category} is served by a detector without a caption"
            raise ServiceError(Refusal(404, "no_caption", message))
        return found

    async def score(
        self,
        dataset: str,
        category: str,
        images: Sequence[bytes],
        pictures: Sequence[str] = (),
        *,
        from_line: bool = False,
    ) -> Answered:
        """The verdicts on the images of one request; a single bad image is the request's error.

        Args:
            dataset: of the part.
            category: the part.
            images: contents of their files.
            pictures: see `Scorer.score`.
            from_line: whether they are parts that pass by, whose drift is watched.

        Raises:
            ServiceError: what HTTP answers instead.
        """
        start = time.perf_counter()
        champion = await self.champion(dataset, category)
        pixels = await asyncio.to_thread(self._check, images)
        with self._room.taken(len(images), pixels):
            scored = await self._in_time(lambda: self._graph.score(champion.key, images, pictures))
        if isinstance(scored, Refusal):
            if scored.code == NO_SCORE:
                self.meters.unusable(champion.key)
            raise ServiceError(scored)
        self.meters.refused(champion.key, newest=scored.refused is not None)
        total_ms = 1000 * (time.perf_counter() - start)
        self._measure(scored, total_ms)
        self.meters.request(champion.key, 200, scored.version)
        if from_line and (drift := self.drift.note(champion.key, scored)):
            self.meters.drift(champion.key, drift.deviations)
        return Answered(champion.key, champion, scored, total_ms)

    async def canary(self, key: str) -> ScoredImages | Refusal:
        """What the graph makes of the canary, which takes nobody's room; errors as for `score`."""
        return await self._in_time(lambda: self._graph.score(key, [canary_png()], ()))

    def _check(self, images: Sequence[bytes]) -> int:
        """How many pixels they have by their headers; ServiceError for what can't be scored.

        Of several images, only if all of them are so.
        """
        limits = self.config
        if not images:
            raise ServiceError(Refusal(422, "no_image", "the request has no image; send one"))
        if len(images) > limits.max_images:
            most = f"at most {limits.max_images} are taken (max_images)"
            message = f"{len(images)} images in one request; {most}"
            raise ServiceError(Refusal(413, "too_many_images", message))
        headers = [self.header(data, i) for i, data in enumerate(images)]
        refusals = [found for found in headers if isinstance(found, Refusal)]
        too_large = [refusal for refusal in refusals if refusal.status == 413]
        if too_large or len(refusals) == len(images):
            raise ServiceError((too_large or refusals)[0])
        pixels = sum(found for found in headers if not isinstance(found, Refusal))
        if pixels > limits.max_request_pixels:
            most = f"at most {limits.max_request_pixels:,} are taken at once (max_request_pixels)"
            message = f"the images have {pixels:,} pixels; {most}. Send fewer images in a request"
            raise ServiceError(Refusal(413, "image_size", message))
        return pixels

    def header(self, data: bytes, index: int = 0) -> Refusal | int:
        """How many pixels an image has by its header alone, or why it is refused."""
        name, most = f"image {index + 1}", self.config.max_image_bytes
        if len(data) > most:
            message = (
                f"{name} has {len(data):,} bytes; at most {most:,} are taken (max_image_bytes)"
            )
            return Refusal(413, "image_size", message)
        try:
            width, height = open_image(data, name).size
        except ImageError as error:
            return image_refusal(error)
        if width * height > (most := self.config.max_pixels):
            message = f"{name} is {width}x{height}; at most {most:,} pixels are taken (max_pixels)"
            return Refusal(413, "image_size", message)
        return width * height

    def check_room(self) -> None:
        """ServiceError 429 where one more image would be too many; cheap, before a body is read."""
        self._room.check(1)

    async def _in_time(self, call: Callable[[], Awaitable[T]]) -> T:
        """The call's result; ServiceError 504 where there is none within the request's time."""
        limit = self.config.request_timeout_s
        try:
            async with asyncio.timeout(limit):
                return await self._retried(call)
        except TimeoutError as error:
            message = f"no answer within {limit:g} s"
            raise ServiceError(Refusal(504, "timeout", message), retry_after=5) from error

    async def _retried(self, call: Callable[[], Awaitable[T]]) -> T:
        """The call's result; again where a replica died under it. Scoring twice does no harm."""
        pause, lost = PAUSE_SECONDS, 0
        while True:
            try:
                return await self._answered(call)
            except NeverAnsweredError:
                log.warning("no answer, and a replica was lost: asked again")
                await self._sleep(pause)
            except Exception as error:
                if self._graph.overloaded(error):
                    raise self._room.busy("the queues are full") from error
                if not self._graph.lost_replica(error):
                    raise
                lost += 1
                if lost == ATTEMPTS:
                    message = f"replicas were lost {ATTEMPTS} times under this request"
                    refusal = Refusal(503, "replica_lost", message)
                    raise ServiceError(refusal, retry_after=5) from error
                await self._sleep(pause)
                pause *= 2

    async def _answered(self, call: Callable[[], Awaitable[T]]) -> T:
        """The call's result. What is merely slow is waited for.

        Raises:
            NeverAnsweredError: a replica was lost meanwhile: what it owed may never come.
        """
        begun, patience = time.monotonic(), self.config.attempt_timeout_s
        task = asyncio.ensure_future(call())
        try:
            while True:
                await asyncio.wait([task], timeout=patience)
                if task.done():
                    return task.result()
                if self._graph.lost_since(begun):
                    raise NeverAnsweredError
                patience = LOOK_SECONDS
        finally:
            task.cancel()

    def _measure(self, scored: ScoredImages, total_ms: float) -> None:
        self._room.note(total_ms / 1000, len(scored.images))
        for name in ("decode", "encode", "score"):
            self.meters.stage(name, getattr(scored, f"{name}_ms"))
        self.meters.stage("total", total_ms)
