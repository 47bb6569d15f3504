"""How an application is served: the arguments of `finegrain.serving.app:build`."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from finegrain import places
from finegrain.backbones import check_backbone
from finegrain.data.images import MAX_BYTES, MAX_PIXELS
from finegrain.detectors import DETECTORS, detector_class
from finegrain.errors import ConfigError

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
ROOMY_CPUS = 4  # two encoders, what scores, and the rest
# Environment variables of the head.
API_KEY, KEYS_FILE = "FINEGRAIN_API_KEY", "FINEGRAIN_API_KEYS"
LOCAL_KEY = "FINEGRAIN_LOCAL_KEY"  # made by `finegrain serve` where there is neither


Names = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda v: tuple(v.split(",")) if isinstance(v, str) else v),
]


def _renamed(name: str, before: str, default: Any) -> Any:
    """A field that older files know by the name it had before."""
    return Field(default=default, validation_alias=AliasChoices(name, before))


def spare() -> int:
    """2 on a machine of 4 CPUs or more, so that one may be lost; else 1"""
    return 2 if (os.cpu_count() or 1) >= ROOMY_CPUS else 1


class ServingConfig(BaseModel):
    """All switches of the application; flat, so that `serve run ... name=value` reaches each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tracking_uri: str = Field(default_factory=places.tracking_uri)
    captions: Path | None = None  # a folder of one's own before the library
    cache: Path = Field(default_factory=places.downloads)  # downloaded checkpoints
    poll_seconds: Seconds = 2.0  # how often champions are looked up
    canary_seconds: Seconds = 10.0  # how often an image is scored for `/readyz`

    backbone: str = _renamed("backbone", "clip", "bundled")  # that champions were fitted on
    backbone_weights: str | None = _renamed("backbone_weights", "clip_weights", None)  # file or tag
    # auto: on a GPU the faster of both, if it scores alike
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    encoder_cpus: Annotated[float, Field(gt=0)] = 1.0  # of a replica
    encoder_gpus: Annotated[float, Field(ge=0)] = 0.0  # may be a fraction
    encoder_min_replicas: Count = Field(default_factory=spare)
    encoder_max_replicas: Count = 2
    encoder_max_ongoing: Count = 16  # requests that a replica has at once, decoding or encoding
    encoder_target_ongoing: Count = 8  # above it, replicas are added
    max_batch_images: Count = 8  # encoded together
    batch_wait_ms: Annotated[float, Field(ge=0)] = 0.0  # batches fill while one is encoded

    scorer_min_replicas: Count = Field(
        default_factory=spare,
        validation_alias=AliasChoices("scorer_min_replicas", "fusion_min_replicas"),
    )
    scorer_max_replicas: Count = _renamed("scorer_max_replicas", "fusion_max_replicas", 2)
    scorer_max_ongoing: Count = _renamed("scorer_max_ongoing", "fusion_max_ongoing", 16)
    detectors_per_replica: Count = 16  # the most recently used are kept
    detectors: Names = tuple(DETECTORS)  # that may serve; a champion of another is refused

    enrol_cpus: Annotated[float, Field(gt=0)] = 1.0  # of an enrolment, beside the replicas'
    enrol_gpus: Annotated[float, Field(ge=0)] = 0.0  # may be a fraction
    enrol_at_once: Count = 4  # enrolments; above it, they are answered with 429
    enrol_timeout_s: Seconds = 600.0  # of one, the wait for a free core included
    max_photos: Count = 8  # that a part is enrolled from
    max_shots: Count = 32  # with those that corrections added

    max_in_flight: Count = 32  # images; above it, requests are answered with 429
    max_pixels_in_flight: Count = 400_000_000  # of them all; above it, likewise
    max_uploads: Count = 128  # bodies that arrive at once; the slowest makes room for the next
    max_images: Count = 16  # in one request
    max_bytes_in_flight: Count = 512 * 2**20  # bodies that are read or worked on; then 429
    max_image_bytes: Count = MAX_BYTES  # of one image; as a benchmark reads them
    max_body_bytes: Count = 64 * 2**20  # of a request
    max_pixels: Count = MAX_PIXELS  # of an image; as a benchmark reads them
    max_request_pixels: Count = 200_000_000  # of all images of a request
    body_timeout_s: Seconds = 60.0  # for a body to arrive; then the answer is 408
    request_timeout_s: Seconds = 30.0  # then the answer is 504
    attempt_timeout_s: Seconds = 15.0  # then it is asked again, if a replica was lost meanwhile

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_backbone(self.backbone, self.backbone_weights)
        for name in self.detectors:
            detector_class(name)  # is known
        if self.max_bytes_in_flight < self.max_body_bytes:
            raise ValueError(
                f"max_bytes_in_flight is {self.max_bytes_in_flight:,}, below max_body_bytes "
                f"{self.max_body_bytes:,}: a body that may be sent would never be taken"
            )
        if self.encoder_max_ongoing < self.max_batch_images:
            raise ValueError(
                f"encoder_max_ongoing is {self.encoder_max_ongoing}, so a batch of "
                f"max_batch_images = {self.max_batch_images} never fills; raise it to that at least"
            )
        for name in ("encoder", "scorer"):
            least, most = (
                getattr(self, f"{name}_min_replicas"),
                getattr(self, f"{name}_max_replicas"),
            )
            if most < least and f"{name}_min_replicas" in self.model_fields_set:
                raise ValueError(
                    f"{name}_max_replicas is {most}, below {name}_min_replicas {least}"
                )
        return self

    def check_detector(self, name: str) -> None:
        """ConfigError where a detector may not serve here."""
        if name.partition(":")[0] not in self.detectors:
            allowed = ", ".join(self.detectors) or "none"
            raise ConfigError(f"detector {name} may not serve here; may: {allowed} (detectors)")
