"""The HTTP answers, as OpenAPI shows them."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Literal, Self

from pydantic import BaseModel, Field

from finegrain.decision import Region, Verdict
from finegrain.serving.drift import Drift
from finegrain.serving.health import State
from finegrain.serving.messages import Preview, Refusal, ScoredImages
from finegrain.serving.pictures import hue
from finegrain.serving.sensitivity import Sensitivity
from finegrain.tracking import Champion, Feedback


class Fault(BaseModel):
    """What was wrong, in one word and in one sentence."""

    code: str
    message: str


class ErrorAnswer(BaseModel):
    """Every answer that is not a success."""

    error: Fault


class ComponentAnswer(BaseModel):
    """A component that some patch was matched with, and its colour in the components picture."""

    name: str
    caption: str
    colour: str


class ImageAnswer(BaseModel):
    """The verdict on one image, or `error` alone."""

    score: float | None = Field(default=None, description="higher is worse")
    threshold: float | None = Field(default=None, description="calibrated on the shots")
    rejected: bool | None = None
    reason: str | None = None
    regions: list[Region] = []
    width: int | None = None
    height: int | None = None
    components: list[ComponentAnswer] = []
    pictures: dict[str, str] = Field(default={}, description="PNG files in base64, if asked for")
    error: Fault | None = None


class Checkpoint(BaseModel):
    """Who answered."""

    model: str
    version: str
    detector: str
    refused: str | None = Field(default=None, description="why a newer champion is not used")


class Timing(BaseModel):
    """Where the time of a request went; `wait_ms` is queues and transport between the stages."""

    decode_ms: float
    encode_ms: float
    score_ms: float
    wait_ms: float
    total_ms: float
    batch_images: int = Field(description="images encoded together, those of others among them")


class ScoreAnswer(BaseModel):
    """The verdicts on a request's images, in their order."""

    dataset: str
    category: str
    checkpoint: Checkpoint
    results: list[ImageAnswer]
    timing: Timing

    @classmethod
    def of(cls, key: str, model: str, scored: ScoredImages, total_ms: float) -> Self:
        """From what the scorer sent."""
        dataset, _, category = key.partition("/")
        stages = scored.decode_ms + scored.encode_ms + scored.score_ms
        return cls(
            dataset=dataset,
            category=category,
            checkpoint=Checkpoint(
                model=model,
                version=scored.version,
                detector=scored.detector,
                refused=scored.refused,
            ),
            results=[
                image_answer(image, files)
                for image, files in zip(scored.images, scored.pictures, strict=True)
            ],
            timing=Timing(
                decode_ms=scored.decode_ms,
                encode_ms=scored.encode_ms,
                score_ms=scored.score_ms,
                wait_ms=max(0.0, total_ms - stages),
                total_ms=total_ms,
                batch_images=scored.batch_images,
            ),
        )


def image_answer(image: Verdict | Refusal, pictures: Mapping[str, bytes]) -> ImageAnswer:
    """One image's part of the answer."""
    if isinstance(image, Refusal):
        return ImageAnswer(error=Fault(code=image.code, message=image.message))
    return ImageAnswer(
        score=image.score,
        threshold=image.threshold,
        rejected=image.rejected,
        reason=image.reason,
        regions=list(image.regions),
        width=image.width,
        height=image.height,
        components=[
            ComponentAnswer(name=seen.name, caption=seen.caption, colour=hue(seen.place))
            for seen in image.components
        ],
        pictures={name: b64encode(content).decode() for name, content in pictures.items()},
    )


class DriftAnswer(BaseModel):
    """How far the last accepted images lie from what the calibration expects."""

    images: int
    deviations: float = Field(description="above 0, they score higher")
    message: str | None = Field(description="where it is much")

    @classmethod
    def of(cls, drift: Drift) -> Self:
        """From what was watched."""
        return cls(images=drift.images, deviations=drift.deviations, message=drift.message)


class CategoryAnswer(BaseModel):
    """A category that is served."""

    dataset: str
    category: str
    model: str
    version: str
    earlier: list[str] = Field(default=[], description="champions before, oldest first")
    false_alarms: float | None = Field(
        default=None, description="of 100 good parts, if another number was asked for than fitted"
    )
    drift: DriftAnswer | None = Field(default=None, description="none below 30 accepted images")
    ready: bool | None = Field(default=None, description="whether it answers; null: not tried yet")
    message: str | None = Field(
        default=None, description="why it does not answer, or an earlier version does"
    )

    @classmethod
    def of(cls, champion: Champion, drift: Drift | None = None, state: State | None = None) -> Self:
        """From the registry's word, and what was seen since."""
        return cls(
            dataset=champion.dataset,
            category=champion.category,
            model=champion.model,
            version=champion.version,
            earlier=list(champion.earlier),
            false_alarms=champion.false_alarms,
            drift=DriftAnswer.of(drift) if drift else None,
            ready=state.ready if state else None,
            message=state.message if state else None,
        )


class EnrolmentAnswer(BaseModel):
    """A part that is being fitted, and where its progress is told."""

    dataset: str
    category: str
    progress: str


class PreviewAnswer(BaseModel):
    """What would be learnt from the photos."""

    faults: list[str] = Field(description="of photos, in words")
    caption: str | None = Field(description="YAML to edit; none for a method that reads none")
    pictures: list[str] = Field(description="PNG in base64: each photo with its regions")

    @classmethod
    def of(cls, seen: Preview) -> Self:
        """From what was seen."""
        pictures = [b64encode(picture).decode() for picture in seen.pictures]
        return cls(faults=list(seen.faults), caption=seen.caption, pictures=pictures)


class MethodAnswer(BaseModel):
    """A detector by its name."""

    name: str
    needs_caption: bool = Field(description="one is made from the photos where none is sent")


class MethodsAnswer(BaseModel):
    """What parts can be fitted by, the usual one first."""

    methods: list[MethodAnswer]

    @classmethod
    def of(cls, found: Sequence[tuple[str, bool]]) -> Self:
        """From names, and whether each needs a caption."""
        return cls(methods=[MethodAnswer(name=name, needs_caption=need) for name, need in found])


class ScoresAnswer(BaseModel):
    """The last accepted images of a part, at most 200; none below 30."""

    deviations: list[float] = Field(
        description="of their scores from those that the photos let expect of accepted parts"
    )
    drift: DriftAnswer | None

    @classmethod
    def of(cls, found: Sequence[float], drift: Drift | None) -> Self:
        """From what was watched."""
        shown = DriftAnswer.of(drift) if drift else None
        return cls(deviations=[round(one, 2) for one in found], drift=shown)


class FeedbackAnswer(Feedback):
    """What was kept, and where the progress of the new version is told, if there will be one."""

    progress: str | None


class SensitivityWish(BaseModel):
    """How many of 100 good parts may be rejected."""

    false_alarms: float


class TippingAnswer(BaseModel):
    """An image of the feedback."""

    kind: Literal["good", "missed"]
    false_alarms: float = Field(description="from which number on it is rejected")


class SensitivityAnswer(BaseModel):
    """What the champion is asked for, and where the images of its feedback tip over."""

    version: str
    false_alarms: float
    feedback: list[TippingAnswer] = Field(description="without the images that it was fitted on")

    @classmethod
    def of(cls, found: Sensitivity) -> Self:
        """From what was found."""
        return cls.model_validate(asdict(found))


class CategoriesAnswer(BaseModel):
    """All that are served."""

    categories: list[CategoryAnswer]


class ReadyAnswer(BaseModel):
    """The server is ready, whatever is wrong with a category."""

    ready: bool
