"""What operators say of verdicts: kept as feedback, and learnt from where a part is good."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from finegrain.checkpoint import CheckpointConfig, read_config
from finegrain.data.images import open_image
from finegrain.data.shots import Shot, file_sha256
from finegrain.decision.thresholds import FALSE_ALARMS
from finegrain.errors import InputError
from finegrain.serving.champions import from_registry
from finegrain.serving.enrolment import Enrolment, Enrolments, Order
from finegrain.serving.messages import Refusal, ServiceError
from finegrain.serving.service import ScoringService
from finegrain.tracking import Champion, Feedback, PartRuns, Registry

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Correction:
    """What an operator says of an image.

    Args:
        kind: the part is good, or has a defect that was missed.
        box: of that defect: left, top, right, bottom in pixels, the last two just outside.
        who: by which right it came.
    """

    kind: Literal["good", "missed"]
    box: Box | None
    who: str


class Corrections:
    """Takes them.

    Args:
        service: scores the image once more, for the record.
        enrolments: where new versions are made.
        registry: where champions lie.
        runs: where photos and feedback lie.
    """

    def __init__(
        self,
        service: ScoringService,
        enrolments: Enrolments,
        registry: Registry,
        runs: PartRuns,
    ) -> None:
        self._service, self._enrolments = service, enrolments
        self._registry, self._runs = registry, runs

    async def correct(
        self, dataset: str, category: str, image: bytes, said: Correction
    ) -> tuple[Feedback, Enrolment | None]:
        """Keep what an operator says of an image; a good one joins the photos in a new version.

        Raises:
            ServiceError: what HTTP answers instead.
        """
        champion = await self._service.champion(dataset, category)
        if said.kind == "good":
            self._enrolments.check_free(dataset, category)
        answered = await self._service.score(dataset, category, [image])
        verdict = answered.scored.images[0]
        if isinstance(verdict, Refusal):
            raise ServiceError(verdict)
        _check_box(said, verdict.width, verdict.height)
        digest, now = sha256(image).hexdigest(), datetime.now(UTC)
        suffix = str(open_image(image, "image 1").format).lower()
        feedback = Feedback(
            kind=said.kind,
            image=f"{now:%Y%m%d-%H%M%S}-{digest[:12]}.{suffix}",
            sha256=digest,
            box=said.box,
            version=answered.scored.version,
            score=verdict.score,
            threshold=verdict.threshold,
            who=said.who,
            when=now.isoformat(timespec="seconds"),
        )
        await from_registry(lambda: self._runs.add_feedback(champion, feedback, image))
        if said.kind == "missed":
            return feedback, None
        try:
            order = await from_registry(lambda: self._with_more(champion, image, said.who))
        except InputError as error:
            message = f"the image is kept as feedback, but there is no new version: {error}"
            raise ServiceError(Refusal(409, "no_version", message)) from error
        return feedback, await self._enrolments.begin(order)

    def _with_more(self, champion: Champion, image: bytes, by: str) -> Order:
        """The champion's own fit, on one photo more; InputError where it can't be done again."""
        limits = self._service.config
        folder = self._registry.fetch(champion, champion.version, limits.cache.expanduser())
        config = read_config(folder)
        if sha256(image).hexdigest() in {shot.sha256 for shot in config.shots}:
            raise InputError(f"version {champion.version} was fitted on that very image")
        if len(config.shots) >= limits.max_shots:
            raise InputError(
                f"version {champion.version} has {len(config.shots)} photos, the most a part may; "
                "enrol it again on the best of them"
            )
        return Order(
            champion.dataset,
            champion.category,
            (*self._photos(champion, config.shots), image),
            config.detector,
            config.options,
            config.seed,
            _asked_of(champion, config),
            before=champion.version,
            by=by,
            resize="fit" if config.aspect else "squash",
        )

    def _photos(self, champion: Champion, shots: Sequence[Shot]) -> list[bytes]:
        """What it was fitted on: kept in its run, or still where the benchmark found it."""
        with TemporaryDirectory() as scratch:
            kept = self._runs.photos(self._registry.run_of(champion), Path(scratch))
            places = {file_sha256(path): path for path in kept}
            places |= {shot.sha256: shot.path for shot in shots
                       if shot.sha256 not in places and _is_there(shot)}  # fmt: skip
            if not shots or any(shot.sha256 not in places for shot in shots):
                raise InputError(
                    f"the photos of version {champion.version} are not kept; enrol the part again, "
                    "with this one among them"
                )
            return [places[shot.sha256].read_bytes() for shot in shots]


def _check_box(said: Correction, width: int, height: int) -> None:
    """ServiceError 422 unless a missed defect has a box within the image, and a good part none."""
    if said.kind == "good":
        fault = "a good part has no defect; leave the box out" if said.box else None
    elif said.box is None:
        fault = "say where the missed defect is: box=LEFT,TOP,RIGHT,BOTTOM in pixels"
    else:
        left, top, right, bottom = said.box
        inside = 0 <= left < right <= width and 0 <= top < bottom <= height
        fault = None if inside else f"the box {said.box} is not within {width}x{height} pixels"
    if fault:
        raise ServiceError(Refusal(422, "bad_box", fault))


def _is_there(shot: Shot) -> bool:
    return shot.path.is_file() and file_sha256(shot.path) == shot.sha256


def _asked_of(champion: Champion, config: CheckpointConfig) -> float:
    """How many false alarms its thresholds are set for."""
    fitted = config.thresholds.false_alarms if config.thresholds else None
    return champion.false_alarms or fitted or FALSE_ALARMS
