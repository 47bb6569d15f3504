"""The deployments of the graph: thin shells that give the plain classes to Ray Serve.

    HTTP -> Ingress -> Captions
                    -> Encoder (batches) -> Scorer (routed by category) -> Ingress

The answer of the encoder goes to the scorer by reference: the ingress never holds tokens.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError, RayTaskError
from ray.serve import metrics
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    RayServeException,
    RequestCancelledError,
)
from ray.serve.handle import DeploymentHandle

from finegrain.backbones import PatchTokens
from finegrain.captions import Caption, CaptionStore
from finegrain.checkpoint import read_config
from finegrain.errors import InputError
from finegrain.serving.champions import ChampionPoller, Champions
from finegrain.serving.config import ServingConfig
from finegrain.serving.corrections import Corrections
from finegrain.serving.encoder import Encoder, Item
from finegrain.serving.enrolment import Enrolments
from finegrain.serving.examples import canary_png
from finegrain.serving.fit_task import RayFitter
from finegrain.serving.http import make_app
from finegrain.serving.messages import EncodedImages, Refusal, ScoredImages
from finegrain.serving.meters import RayMeters
from finegrain.serving.part_routes import part_router
from finegrain.serving.parts import Parts
from finegrain.serving.pictures import PREVIEWED
from finegrain.serving.precision import load_serving_backbone
from finegrain.serving.replicas import ReplicaWatch
from finegrain.serving.scorer import Scorer, Slot
from finegrain.serving.sensitivity import Sensitivities
from finegrain.serving.service import ScoringService
from finegrain.tracking import PartRuns, Registry
from finegrain.tracking.remembered import RememberedRegistry

log = logging.getLogger("ray.serve")
Handle = DeploymentHandle[Any]
IMAGES: list[float] = [1, 2, 4, 8, 16, 32, 64]


class CaptionLookup:
    """What the parts of a category look like."""

    def __init__(self, config: ServingConfig) -> None:
        self._captions = CaptionStore(config.captions)
        self._registry = RememberedRegistry(config.tracking_uri, config.cache)
        self._cache = config.cache.expanduser()

    async def caption(self, dataset: str, category: str) -> Caption | None:
        """The one that the champion was fitted with, else the known one; None without either."""
        try:
            own = await asyncio.to_thread(self._own, dataset, category)
        except Exception as error:  # the registry may be away
            log.warning("no look at the champion of %s/%s: %s", dataset, category, error)
            own = None
        return own or self._captions.find(dataset, category)

    def _own(self, dataset: str, category: str) -> Caption | None:
        champion = self._registry.champion(dataset, category)
        if champion is None:
            return None
        folder = self._registry.fetch(champion, champion.version, self._cache)
        stored = read_config(folder).options.get("caption")
        return Caption.model_validate(stored) if stored else None


class EncoderReplica:
    """Decodes as images arrive, encodes them in batches."""

    def __init__(self, config: ServingConfig) -> None:
        self._encoder = Encoder(
            load_serving_backbone(config), threads=max(1, int(config.encoder_cpus))
        )
        self._lane = ThreadPoolExecutor(1)  # a thread's memory is warm the next time
        self._batch.set_max_batch_size(config.max_batch_images)  # type: ignore[attr-defined]
        self._batch.set_batch_wait_timeout_s(config.batch_wait_ms / 1000)  # type: ignore[attr-defined]
        self._sizes = metrics.Histogram(
            "finegrain_batch_images", "Images encoded together.", boundaries=IMAGES
        )

    def identity(self) -> tuple[str, str]:
        """Name of the backbone and its weights' hash."""
        return self._encoder.identity

    async def encode(
        self, images: Sequence[bytes], *, preview: bool, aspect: float | None
    ) -> EncodedImages | Refusal:
        """A request's images, together with those of others; `aspect` is their part's."""
        start = time.perf_counter()
        prepared = await asyncio.to_thread(self._encoder.prepare, images, preview=preview)
        decoded = time.perf_counter()
        pixels = [item[1] for item in prepared if not isinstance(item, Refusal)]
        encoded = await asyncio.gather(*(self._batch((one, aspect)) for one in pixels))
        return self._encoder.gathered(
            prepared,
            [tokens for tokens, _ in encoded],
            aspect=aspect,
            decode_ms=1000 * (decoded - start),
            encode_ms=1000 * (time.perf_counter() - decoded),
            batch_images=encoded[0][1] if encoded else 0,
        )

    @serve.batch
    async def _batch(self, items: list[Item]) -> list[tuple[PatchTokens, int]]:
        self._sizes.observe(len(items))
        loop = asyncio.get_running_loop()
        tokens = await loop.run_in_executor(self._lane, self._encoder.encode, items)
        return [(one, len(items)) for one in tokens]


class ScorerReplica:
    """Scores with the champions of the categories that are routed to it."""

    def __init__(self, config: ServingConfig, encoder: Handle) -> None:
        self._config, self._encoder = config, encoder
        self._scorer: Scorer | None = None
        self._opening = asyncio.Lock()
        self._lane = ThreadPoolExecutor(1)

    async def score(
        self, encoded: EncodedImages | Refusal, *, pictures: Sequence[str]
    ) -> ScoredImages | Refusal:
        """The verdicts on a request's images."""
        try:
            slot = await self.slot(serve.get_multiplexed_model_id())
        except InputError as error:
            return Refusal(503, "no_checkpoint", str(error))
        assert self._scorer is not None
        score = partial(self._scorer.score, slot, encoded, pictures=pictures)
        return await asyncio.get_running_loop().run_in_executor(self._lane, score)

    async def slot(self, key: str) -> Slot:
        """Opens a category; `multiplexed` below puts Serve's cache before it."""
        async with self._opening:
            if self._scorer is None:
                identity = await self._encoder.identity.remote()
                config, loop = self._config, asyncio.get_running_loop()
                registry = await asyncio.to_thread(
                    RememberedRegistry, config.tracking_uri, config.cache
                )

                def canary(aspect: float | None) -> EncodedImages:
                    """Asked in the scorer's own threads."""
                    asked = asyncio.run_coroutine_threadsafe(self._canary(aspect), loop)
                    return asked.result(config.request_timeout_s)

                self._scorer = Scorer(registry, identity, canary, config)
        return await asyncio.to_thread(self._scorer.open, key)

    async def _canary(self, aspect: float | None) -> EncodedImages:
        encoded: EncodedImages = await self._encoder.encode.remote(
            [canary_png()], preview=False, aspect=aspect
        )
        return encoded


def multiplexed(categories: int) -> type[ScorerReplica]:
    """ScorerReplica that keeps the slots of that many categories, the most recently used."""

    class CachingReplica(ScorerReplica):
        @serve.multiplexed(max_num_models_per_replica=categories)  # type: ignore[untyped-decorator]
        async def slot(self, key: str) -> Slot:
            return await ScorerReplica.slot(self, key)

    return CachingReplica


class RayGraph:
    """The deployments as a ScoringService wants them."""

    def __init__(
        self, poller: ChampionPoller, captions: Handle, encoder: Handle, scorer: Handle
    ) -> None:
        self._poller = poller
        self._captions, self._encoder, self._scorer = captions, encoder, scorer
        self._replicas = ReplicaWatch()

    async def champions(self) -> Champions:
        """As last heard; before anything was, the registry's answer or its error."""
        heard = self._poller.heard
        return await asyncio.to_thread(self._poller.ask) if heard is None else heard

    async def caption(self, dataset: str, category: str) -> Caption | None:
        """The category's caption."""
        found: Caption | None = await self._captions.caption.remote(dataset, category)
        return found

    async def score(
        self, key: str, images: Sequence[bytes], pictures: Sequence[str]
    ) -> ScoredImages | Refusal:
        """Encode, and pass the un-awaited answer to the scorer that has the category."""
        champion = (await self.champions()).get(key)
        encoded = self._encoder.encode.remote(
            images,
            preview=not PREVIEWED.isdisjoint(pictures),
            aspect=champion.aspect if champion else None,
        )
        scorer = self._scorer.options(multiplexed_model_id=key)
        scored = scorer.score.remote(encoded, pictures=pictures)
        try:
            answer: ScoredImages | Refusal = await scored
        except asyncio.CancelledError:  # nobody waits for it any more
            scored.cancel()  # type: ignore[no-untyped-call]
            encoded.cancel()  # type: ignore[no-untyped-call]
            raise
        return answer

    def lost_since(self, moment: float) -> bool:
        """Whether a replica was seen to be gone after that moment of `time.monotonic`."""
        return self._replicas.lost_since(moment)

    def overloaded(self, error: Exception) -> bool:
        """Whether a deployment's queue was full."""
        return isinstance(_cause(error), BackPressureError)

    def lost_replica(self, error: Exception) -> bool:
        """Whether a replica died; through a chain of deployments that is a bare error of Serve."""
        cause = _cause(error)
        if isinstance(cause, DeploymentUnavailableError | RequestCancelledError):
            return False
        return isinstance(cause, RayActorError | RayServeException)


def _cause(error: Exception) -> BaseException:
    """What was raised in the replica, unwrapped."""
    found: BaseException = error
    while isinstance(found, RayTaskError) and getattr(found, "cause", None) is not None:
        found = found.cause
    return found


class Ingress:
    """HTTP in front of the graph."""

    def __init__(
        self,
        config: ServingConfig,
        captions: Handle,
        encoder: Handle,
        scorer: Handle,
    ) -> None:
        registry = Registry(config.tracking_uri)
        remembered = RememberedRegistry(config.tracking_uri, config.cache)
        poller = ChampionPoller(remembered, config.poll_seconds)
        graph = RayGraph(poller, captions, encoder, scorer)
        self._service = ScoringService(config, graph, RayMeters())
        refresh = partial(asyncio.to_thread, poller.look)
        enrolments = Enrolments(
            RayFitter(config), config.enrol_at_once, config.enrol_timeout_s, refresh
        )
        runs = PartRuns(config.tracking_uri)
        self._parts = part_router(
            Parts(self._service, enrolments, registry, refresh),
            Corrections(self._service, enrolments, registry, runs),
            Sensitivities(self._service, registry, runs, refresh),
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Serve in the replica."""
        return make_app(self._service, self._parts)
