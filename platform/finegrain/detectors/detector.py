"""The one interface of all detectors: fit on the shots, score tokens, give up and take state.

B images, N patches, S = MAP_SIZE.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from finegrain.backbones import Backbone, PatchTokens, RgbImage, Windows, encode
from finegrain.errors import ConfigError


@dataclass(frozen=True)
class Prediction:
    """Scores of B images, higher is worse.

    Args:
        image_scores: (B,) float32.
        anomaly_maps: (B,S,S) float32, over the whole image.
        matched: (B,N) the place in `Detector.units` of each patch's best matching unit, from
            detectors that have units.
    """

    image_scores: npt.NDArray[np.float32]
    anomaly_maps: npt.NDArray[np.float32]
    matched: npt.NDArray[np.int16] | None = None

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Scores and maps of all parts, in order; what was matched is left behind."""
        return cls(
            np.concatenate([part.image_scores for part in parts]),
            np.concatenate([part.anomaly_maps for part in parts]),
        )


@dataclass(frozen=True)
class DetectorConfig:
    """The options of a detector; each detector has its own subclass, which checks its values."""

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """A config with the given options over the defaults.

        Raises:
            ConfigError: an unknown option, or a value of the wrong type or out of its range.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(options) - known):
            raise ConfigError(
                f"{cls.__name__} has no option {', '.join(unknown)}; "
                f"known: {', '.join(sorted(known)) or 'none'}"
            )
        try:
            return TypeAdapter(cls).validate_python(dict(options))
        except ValidationError as error:
            faults = (f"{'.'.join(map(str, e['loc']))} {e['msg']}".strip() for e in error.errors())
            raise ConfigError(f"{cls.__name__}: {'; '.join(faults)}") from error


class Detector(ABC):
    """A few-shot anomaly detector on a frozen backbone.

    `score` is the only path from tokens to scores: the benchmark and the server both call it.
    """

    name: ClassVar[str]
    Config: ClassVar[type[DetectorConfig]] = DetectorConfig
    needs_caption: ClassVar[bool] = False  # an option, and a backbone that reads text
    zero_shot: ClassVar[bool] = False  # fits on no shot at all
    names_object: ClassVar[bool] = False  # options object_name, defects where known; reads text

    def __init__(
        self, backbone: Backbone, options: Mapping[str, Any] | None = None, *, seed: int = 111
    ) -> None:
        self.backbone = backbone
        self.config = self.Config.from_options(options or {})
        self.seed = seed

    @classmethod
    def variant_options(cls, variant: str) -> dict[str, Any]:  # noqa: ARG003
        """The options that a variant's name stands for; none, where it is only a label."""
        return {}

    @classmethod
    def own_backbone(cls, options: Mapping[str, Any]) -> str | None:  # noqa: ARG003
        """The backbone that it needs in place of the benchmark's, if any."""
        return None

    def fit(self, images: Sequence[RgbImage]) -> Self:
        """Learn what is normal from the K shots, and from nothing else."""
        self.check_some(images)
        self.fit_tokens(encode(self.backbone, images, windows=self.windows))
        return self

    def check_some(self, images: Sequence[RgbImage]) -> None:
        """ConfigError where there is no shot."""
        if not images:
            raise ConfigError(f"{self.name} needs at least one shot")

    def epochs(self, images: Sequence[RgbImage], pauses: Container[int] = ()) -> Iterator[int]:
        """Fit as `fit` does, but pause after some epochs; at each pause the detector can score.

        Args:
            images: of the K shots.
            pauses: numbers of epochs; a detector that does not learn by epochs knows only one.

        Yields:
            How many epochs are done; the last pause is the end of the fit.
        """
        self.fit(images)
        yield 1

    @property
    def windows(self) -> Windows | None:
        """The windows that tokens have to come with, if any."""
        return None

    @property
    def units(self) -> tuple[tuple[str, str], ...]:
        """Name and caption of each unit of a category that patches are matched with, if any."""
        return ()

    @abstractmethod
    def fit_tokens(self, tokens: PatchTokens) -> None:
        """Learn from the tokens of the K shots."""

    def remembering(self, tokens: PatchTokens) -> Self:
        """A copy that takes other shots for normal, to score what was left out of them."""
        other = copy.copy(self)
        other.fit_tokens(tokens)
        return other

    def leaving_out(self, index: int, tokens: PatchTokens) -> Self:
        """A copy that has not seen one of the shots it was fitted on; the only one stays.

        Args:
            index: of the shot.
            tokens: of all of them, in the order of `fit`.
        """
        others = [tokens[i : i + 1] for i in range(len(tokens)) if i != index] or [tokens]
        return self.remembering(PatchTokens.concatenate(others))

    @abstractmethod
    def score(self, tokens: PatchTokens) -> Prediction:
        """Score B images by their tokens, each independently of the others."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Everything that `fit` learned."""

    @abstractmethod
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take what `state` gave, on the backbone's device; KeyError where some is missing."""
