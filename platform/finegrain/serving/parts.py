"""What operators do with parts: enrol them, take a version back, withdraw them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256

from finegrain.backbones import check_backbone
from finegrain.benchmark.methods import reads_text, trial_options
from finegrain.captions import CaptionStore
from finegrain.captions.store import parse_caption
from finegrain.decision.thresholds import FALSE_ALARMS, check_false_alarms
from finegrain.detectors import DETECTORS, Detector
from finegrain.errors import InputError
from finegrain.serving.champions import from_registry
from finegrain.serving.enrolment import Enrolment, Enrolments, Order
from finegrain.serving.messages import Preview, Refusal, ServiceError
from finegrain.serving.service import ScoringService
from finegrain.tracking import Champion, Registry

METHOD, WITH_CAPTION = "anomalydino", "finegrained"  # where none is named
MOST_CAPTION_BYTES = 64 * 2**10


@dataclass(frozen=True)
class Wish:
    """How a part is to be fitted; `caption` as YAML or JSON, `false_alarms` of 100 good parts.

    `by` is who wishes it, for the record.
    """

    photos: Sequence[bytes]
    method: str | None = None
    caption: bytes | None = None
    false_alarms: float = FALSE_ALARMS
    by: str | None = None


def methods() -> list[tuple[str, bool]]:
    """What a part can be fitted by here, the usual one first, and whether it needs a caption."""
    known = [kind for kind in DETECTORS.values() if kind.windows is Detector.windows]
    return sorted(
        ((kind.name, kind.needs_caption) for kind in known), key=lambda found: found[0] != METHOD
    )


class Parts:
    """The parts of a server.

    Args:
        service: admits, scores, and knows what is served.
        enrolments: under way here.
        registry: where champions are moved.
        refresh: makes a champion that was moved known here.
    """

    def __init__(
        self,
        service: ScoringService,
        enrolments: Enrolments,
        registry: Registry,
        refresh: Callable[[], Awaitable[object]],
    ) -> None:
        self.service, self.enrolments = service, enrolments
        self._registry, self._refresh = registry, refresh

    async def check_new(self, dataset: str, category: str, *, replace: bool) -> Champion | None:
        """Refuse before a body is read; the champion that would be replaced.

        Raises:
            ServiceError: 409 or 429.
        """
        self.enrolments.check_free(dataset, category)
        self.service.check_room()
        champion = (await self.service.champions()).get(f"{dataset}/{category}")
        if champion and not replace:
            message = (
                f"{champion.key} exists, with version {champion.version}; choose another name, or "
                "send replace=true for a new version"
            )
            raise ServiceError(Refusal(409, "part_exists", message))
        return champion

    async def enrol(
        self, dataset: str, category: str, wish: Wish, before: Champion | None
    ) -> Enrolment:
        """Start the fit of a part on its photos.

        Raises:
            ServiceError: what HTTP answers instead.
        """
        order = await self._order(dataset, category, wish)
        version = before.version if before else None
        return await self.enrolments.begin(replace(order, before=version))

    async def preview(self, dataset: str, category: str, wish: Wish) -> Preview:
        """What that fit would learn; errors as for `enrol`."""
        return await self.enrolments.preview(await self._order(dataset, category, wish))

    async def _order(self, dataset: str, category: str, wish: Wish) -> Order:
        self._check_photos(wish.photos)
        method, options = await asyncio.to_thread(self._method, dataset, category, wish)
        return Order(
            dataset,
            category,
            tuple(wish.photos),
            method,
            options,
            false_alarms=wish.false_alarms,
            by=wish.by,
        )

    async def rollback(self, dataset: str, category: str, by: str | None = None) -> Champion:
        """The champion before; ServiceError 404 or 409 where there is none."""
        return await self._move(dataset, category, partial(self._registry.rollback, by=by))

    async def withdraw(self, dataset: str, category: str, by: str | None = None) -> Champion:
        """Serve the part no longer; its versions stay. ServiceError 404 where it is not served."""
        return await self._move(dataset, category, partial(self._registry.withdraw, by=by))

    async def _move(
        self, dataset: str, category: str, move: Callable[[str, str], Champion]
    ) -> Champion:
        await self.service.champion(dataset, category)
        self.enrolments.check_idle(dataset, category)
        try:
            moved = await from_registry(lambda: move(dataset, category))
        except InputError as error:
            raise ServiceError(Refusal(409, "no_version", str(error))) from error
        await self._refresh()
        return moved

    def _check_photos(self, photos: Sequence[bytes]) -> None:
        """ServiceError where any photo can't be taken; of images to score, only all would be."""
        most = self.service.config.max_photos
        if not photos:
            message = f"no photo came; send 1 to {most} photos of good parts as files"
            raise ServiceError(Refusal(422, "no_image", message))
        if len(photos) > most:
            message = f"{len(photos)} photos came; at most {most} are taken"
            raise ServiceError(Refusal(413, "too_many_images", message))
        first: dict[str, int] = {}
        for place, photo in enumerate(photos):
            if isinstance(refusal := self.service.header(photo, place), Refusal):
                raise ServiceError(refusal)
            before = first.setdefault(sha256(photo).hexdigest(), place)
            if before != place:
                message = f"image {place + 1} is the same file as image {before + 1}; send it once"
                raise ServiceError(Refusal(422, "same_image", message))

    def _method(self, dataset: str, category: str, wish: Wish) -> tuple[str, dict[str, object]]:
        """The method, and its options with the caption; ServiceError 422 where that can't be."""
        method = wish.method or (WITH_CAPTION if wish.caption else METHOD)
        config = self.service.config
        try:
            check_false_alarms(wish.false_alarms)
            config.check_detector(method)
            check_backbone(config.backbone, config.backbone_weights, reads_text=reads_text(method))
            caption = CaptionStore(config.captions).find(dataset, category)
            if wish.caption:
                if not reads_text(method):
                    raise InputError(f"{method} reads no caption; leave it out, or the method")
                if len(wish.caption) > MOST_CAPTION_BYTES:
                    raise InputError(f"the caption has more than {MOST_CAPTION_BYTES} bytes")
                caption = parse_caption(wish.caption, "the caption")
            if caption:
                name = {"dataset": dataset, "category": category}
                caption = caption.model_copy(update=name)
            return method, trial_options(method, {}, category, caption)
        except InputError as error:
            raise ServiceError(Refusal(422, "bad_method", str(error))) from error
