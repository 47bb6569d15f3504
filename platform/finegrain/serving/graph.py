"""The deployments of the graph: thin shells that give the plain classes to Ray Serve.

    HTTP -> Ingress -> Captions
                    -> Encoder (batches) -> Fusion (routed by category) -> Ingress

The answer of the encoder goes to fusion by reference: the ingress never holds tokens.
"""

import asyncio
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
from torch import Tensor

from finegrain.backbones import PatchTokens
from finegrain.captions import Caption
from finegrain.errors import InputError
from finegrain.serving.catalog import Catalog
from finegrain.serving.config import ServingConfig
from finegrain.serving.encoder import Encoder, load_serving_backbone
from finegrain.serving.fusion import Fusion, Slot
from finegrain.serving.http import make_app
from finegrain.serving.messages import EncodedImages, Refusal, ScoredImages
from finegrain.serving.service import ScoringService
from finegrain.tracking import Champion, Registry

Handle = DeploymentHandle[Any]
MILLISECONDS: list[float] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000]
IMAGES: list[float] = [1, 2, 4, 8, 16, 32, 64]


class CaptionLookup:
    """Which categories are served, and their captions."""

    def __init__(self, settings: ServingConfig) -> None:
        registry = Registry(settings.tracking_uri)
        self._catalog = Catalog(registry, settings.captions, settings.poll_seconds)

    async def champions(self) -> dict[str, Champion]:
        """By DATASET/CATEGORY."""
        return await asyncio.to_thread(self._catalog.champions)

    async def caption(self, dataset: str, category: str) -> Caption | None:
        """None where there is none."""
        return self._catalog.caption(dataset, category)


class EncoderReplica:
    """Decodes as images arrive, encodes them in batches."""

    def __init__(self, settings: ServingConfig) -> None:
        self._encoder = Encoder(
            load_serving_backbone(settings), threads=max(1, int(settings.encoder_cpus))
        )
        self._lane = ThreadPoolExecutor(1)  # a thread's memory is warm the next time
        self._batch.set_max_batch_size(settings.max_batch_images)  # type: ignore[attr-defined]
        self._batch.set_batch_wait_timeout_s(settings.batch_wait_ms / 1000)  # type: ignore[attr-defined]
        self._sizes = metrics.Histogram(
            "finegrain_batch_images", "Images encoded together.", boundaries=IMAGES
        )

    def identity(self) -> tuple[str, str]:
        """Name of the backbone and its weights' hash."""
        return self._encoder.identity

    async def encode(self, images: Sequence[bytes], *, preview: bool) -> EncodedImages | Refusal:
        """A request's images, together with those of others."""
        start = time.perf_counter()
        prepared = await asyncio.to_thread(self._encoder.prepare, images, preview=preview)
        decoded = time.perf_counter()
        pixels = [item[1] for item in prepared if not isinstance(item, Refusal)]
        encoded = await asyncio.gather(*(self._batch(one) for one in pixels))
        return self._encoder.gathered(
            prepared,
            [tokens for tokens, _ in encoded],
            decode_ms=1000 * (decoded - start),
            encode_ms=1000 * (time.perf_counter() - decoded),
            batch_images=encoded[0][1] if encoded else 0,
        )

    @serve.batch
    async def _batch(self, pixels: list[Tensor]) -> list[tuple[PatchTokens, int]]:
        self._sizes.observe(len(pixels))
        loop = asyncio.get_running_loop()
        tokens = await loop.run_in_executor(self._lane, self._encoder.encode, pixels)
        return [(one, len(pixels)) for one in tokens]


class FusionReplica:
    """Scores with the champions of the categories that are routed to it."""

    def __init__(self, settings: ServingConfig, encoder: Handle) -> None:
        self._settings, self._encoder = settings, encoder
        self._fusion: Fusion | None = None
        self._opening = asyncio.Lock()
        self._lane = ThreadPoolExecutor(1)

    async def score(
        self, encoded: EncodedImages | Refusal, *, pictures: Sequence[str]
    ) -> ScoredImages | Refusal:
        """The verdicts on a request's images."""
        try:
            slot = await self._slot(serve.get_multiplexed_model_id())
        except InputError as error:
            return Refusal(503, "no_checkpoint", str(error))
        assert self._fusion is not None
        score = partial(self._fusion.score, slot.slot, encoded, pictures=pictures)
        return await asyncio.get_running_loop().run_in_executor(self._lane, score)

    async def _slot(self, key: str) -> "OpenSlot":
        """Overridden below by Serve's multiplexing, which keeps the most recently used."""
        async with self._opening:
            if self._fusion is None:
                identity = await self._encoder.identity.remote()
                settings = self._settings
                registry = await asyncio.to_thread(Registry, settings.tracking_uri)
                self._fusion = Fusion(registry, identity, settings.cache, settings.poll_seconds)
        return OpenSlot(self._fusion, await asyncio.to_thread(self._fusion.open, key))


class OpenSlot:
    """A category in memory until Serve drops it."""

    def __init__(self, fusion: Fusion, slot: Slot) -> None:
        self.fusion, self.slot = fusion, slot

    def __del__(self) -> None:
        self.fusion.close(self.slot)


class RayGraph:
    """The deployments as a ScoringService wants them."""

    def __init__(self, captions: Handle, encoder: Handle, fusion: Handle) -> None:
        self._captions, self._encoder, self._fusion = captions, encoder, fusion

    async def champions(self) -> dict[str, Champion]:
        """By DATASET/CATEGORY."""
        found: dict[str, Champion] = await self._captions.champions.remote()
        return found

    async def caption(self, dataset: str, category: str) -> Caption | None:
        """The category's caption."""
        found: Caption | None = await self._captions.caption.remote(dataset, category)
        return found

    async def score(
        self, key: str, images: Sequence[bytes], pictures: Sequence[str]
    ) -> ScoredImages | Refusal:
        """Encode, and pass the un-awaited answer to the fusion replica that has the category."""
        encoded = self._encoder.encode.remote(images, preview="overlay" in pictures)
        fusion = self._fusion.options(multiplexed_model_id=key)
        scored: ScoredImages | Refusal = await fusion.score.remote(encoded, pictures=pictures)
        return scored

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


class RayMeters:
    """Ray's metrics, which every node's agent shows to Prometheus."""

    def __init__(self) -> None:
        self._requests = metrics.Counter(
            "finegrain_requests",
            "Requests answered.",
            tag_keys=("category", "status", "version"),  # type: ignore[arg-type]
        )
        self._stages = metrics.Histogram(
            "finegrain_stage_ms", "Time of a stage.", boundaries=MILLISECONDS, tag_keys=("stage",)
        )
        self._in_flight = metrics.Gauge("finegrain_images_in_flight", "Scored or waiting for it.")

    def request(self, category: str, status: int, version: str) -> None:
        """Count an answered request."""
        self._requests.inc(tags={"category": category, "status": str(status), "version": version})

    def stage(self, name: str, milliseconds: float) -> None:
        """Note how long a stage took."""
        self._stages.observe(milliseconds, tags={"stage": name})

    def in_flight(self, images: int) -> None:
        """Note how many images are being scored or wait for it."""
        self._in_flight.set(images)


class Ingress:
    """HTTP in front of the graph."""

    def __init__(
        self,
        settings: ServingConfig,
        captions: Handle,
        encoder: Handle,
        fusion: Handle,
    ) -> None:
        graph = RayGraph(captions, encoder, fusion)
        self._service = ScoringService(settings, graph, RayMeters())

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Serve in the replica."""
        return make_app(self._service)


def scoring_graph(settings: ServingConfig) -> serve.Application:
    """The application of these settings."""
    captions = serve.deployment(
        name="Captions", ray_actor_options={"num_cpus": 0}, max_ongoing_requests=100
    )(CaptionLookup)
    encoder = serve.deployment(
        name="Encoder",
        ray_actor_options={"num_cpus": settings.encoder_cpus, "num_gpus": settings.encoder_gpus},
        max_ongoing_requests=settings.encoder_max_ongoing,
        max_queued_requests=settings.max_in_flight,
        autoscaling_config=_scaling(
            settings.encoder_min_replicas,
            settings.encoder_max_replicas,
            settings.encoder_target_ongoing,
        ),
    )(EncoderReplica)
    fusion = serve.deployment(
        name="Fusion",
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=settings.fusion_max_ongoing,
        max_queued_requests=settings.max_in_flight,
        autoscaling_config=_scaling(
            settings.fusion_min_replicas,
            settings.fusion_max_replicas,
            settings.fusion_max_ongoing,
        ),
    )(_multiplexed(settings.detectors_per_replica))
    ingress = serve.deployment(
        name="Ingress",
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=20 * settings.max_in_flight,  # it also answers with 429
    )(serve.ingress()(Ingress))
    encoding = encoder.bind(settings)
    application: serve.Application = ingress.bind(
        settings, captions.bind(settings), encoding, fusion.bind(settings, encoding)
    )
    return application


def _scaling(least: int, most: int, target: int) -> dict[str, float]:
    """Quick up, slow down."""
    return {
        "min_replicas": least,
        "max_replicas": most,
        "target_ongoing_requests": target,
        "upscale_delay_s": 2,
        "downscale_delay_s": 30,
    }


def _multiplexed(detectors: int) -> type[FusionReplica]:
    """FusionReplica with Serve's cache of that many categories before `_slot`."""

    class Fusion(FusionReplica):
        @serve.multiplexed(max_num_models_per_replica=detectors)  # type: ignore[untyped-decorator]
        async def _slot(self, key: str) -> OpenSlot:
            return await FusionReplica._slot(self, key)

    return Fusion
