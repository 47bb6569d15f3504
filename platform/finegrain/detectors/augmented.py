"""What detectors share that fit turned copies of the shots beside the shots themselves.

K shots, V views of a shot, N patches, W width of features.
"""

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

from torch import Tensor

from finegrain.backbones import PatchTokens, RgbImage, encode
from finegrain.detectors.detector import Detector


class Augmented(Detector):
    """A detector of features of K shots and of views of them.

    The views of each shot stay together until the detector is stored: a copy that has not seen a
    shot (`leaving_out`) has not seen its views either, but still those of the others.
    """

    views: tuple[Tensor, ...] = ()  # (V,N,W) of each shot

    def fit(self, images: Sequence[RgbImage]) -> Self:
        """Learn from the views of the K shots, encoded shot by shot."""
        self.check_some(images)
        turned = (self.augment(shot, place) for place, shot in enumerate(images))
        self.views = tuple(self.features(encode(self.backbone, views)) for views in turned)
        self.learn(self.views)
        return self

    def fit_tokens(self, tokens: PatchTokens) -> None:
        """Learn from the tokens of the K shots alone, which can't be turned."""
        self.views = tuple(shot[None] for shot in self.features(tokens))
        self.learn(self.views)

    def leaving_out(self, index: int, tokens: PatchTokens) -> Self:
        """A copy without the views of one shot; the only shot stays."""
        if len(self.views) != len(tokens):
            raise RuntimeError(
                f"{self.name} keeps the views of {len(self.views)} shots, not of {len(tokens)}; "
                "what was reloaded keeps none: fit it again"
            )
        other = copy.copy(self)
        others = tuple(views for i, views in enumerate(self.views) if i != index)
        other.views = others or self.views
        other.learn(other.views)
        return other

    @abstractmethod
    def augment(self, shot: RgbImage, place: int) -> list[RgbImage]:
        """The views of a shot, itself first; the same at the same seed and place among the K."""

    @abstractmethod
    def features(self, tokens: PatchTokens) -> Tensor:  # -> (B,N,W)
        """What is compared."""

    @abstractmethod
    def learn(self, views: Sequence[Tensor]) -> None:  # (V,N,W) each
        """Take the views of some shots for normal."""
